"""A dataset made small: fewer frames, numbers rounded to what matters, compressed. It is read like any other."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames

POSITION_STEP = 2.0**-13
"""What positions are rounded to [nm], a ten-thousandth of a nanometer."""
FORCE_STEPS = 1000
"""Steps that forces are rounded to per their root mean square."""

_FORCES = ("forces", "forces_inter", "force_error")


def thin_dataset(
    dataset: ForceMatchingDataset, path: str | os.PathLike[str], n_frames: int, *, overwrite: bool = False
) -> ForceMatchingDataset:
    """A small copy of a dataset: evenly spread frames, rounded and compressed, for sharing.

    Positions are rounded to 2^-13 nm and forces to a thousandth of their root mean square or less, which changes
    neither distributions nor fits: the error of a rounded force is 0.03 % of its root mean square. A frame of 1000
    beads with total and intermolecular forces takes some 15 kB.

    Args:
        dataset: The dataset.
        path: Folder to make.
        n_frames: Frames to keep; all if there are fewer.
        overwrite: Replace what is there.

    Raises:
        InputError: If no frames are to be kept, or what is there is the dataset itself.
        OutputExistsError: If the folder is not empty and `overwrite` is not set.
    """
    if n_frames < 1:
        raise InputError(f"{n_frames} frames to keep; keep at least 1")
    if os.path.exists(path) and os.path.samefile(path, dataset.path):
        raise InputError(f"{path} is the dataset itself; choose another folder for the small copy")
    chosen = np.unique(np.linspace(0, dataset.n_frames - 1, min(n_frames, dataset.n_frames)).round()).astype(np.int64)
    return ForceMatchingDataset.create(
        path,
        [_rounded(dataset.frames(chosen))],
        topology=dataset.topology,
        temperature=dataset.temperature,
        mapping_fingerprint=dataset.mapping_fingerprint,
        source={**dataset.source, "thinned": {"from": dataset.fingerprint, "n_frames": len(chosen)}},
        templates=dataset.templates,
        chains=dataset.chains,
        kind=dataset.kind,
        compress=True,
        overwrite=overwrite,
    )


def _rounded(frames: Frames) -> Frames:
    changes: dict[str, Any] = {"positions": _to_multiples(frames.positions, POSITION_STEP)}
    for name in _FORCES:
        if (values := getattr(frames, name)) is not None:
            changes[name] = _to_multiples(
                values, _power_of_two(float(np.sqrt(np.mean(np.square(values)))) / FORCE_STEPS)
            )
    return frames.replace(**changes)


def _power_of_two(value: float) -> float:
    """The largest power of two that is not above a value: multiples of it end in zero bits, which compress."""
    return float(2.0 ** np.floor(np.log2(max(value, 1e-12))))


def _to_multiples(values: NDArray[np.floating], step: float) -> NDArray[np.float32]:
    return (np.round(np.asarray(values, np.float64) / step) * step).astype(np.float32)
