"""What a dataset says of itself, compared with what it holds: forces with positions, frames with each other."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.dataset.repeated_frames import FrameRegister
from openmm_cgml.errors import ArtifactError, DatasetWarning
from openmm_cgml.force_scale import ForceScale, Work, bond_work, compare_work, pair_work
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology

__all__ = [
    "compare_forces_with_positions",
    "find_outliers",
    "find_repeated",
    "warn_of_implausible_data",
    "warn_of_shared_frames",
]

OUTLIER_SIGMA = 50.0
_FRAMES = 200  # that forces and positions are compared in
_LEAST_FRAMES = 8


def compare_forces_with_positions(dataset: ForceMatchingDataset) -> ForceScale | None:
    """How large forces are beside what positions and temperature ask for; None where the data do not tell.

    See `openmm_cgml.force_scale`: bonds are compared where there are some that vibrate, near beads where there are no
    bonds. Frames with absurd forces are left out.
    """
    outliers = np.array(find_outliers(dataset), dtype=np.int64)
    usable = np.setdiff1d(np.arange(dataset.n_frames), outliers)
    if dataset.kind != "instantaneous" or len(usable) < _LEAST_FRAMES:
        return None
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(_FRAMES, len(usable))).round().astype(int))]
    frames = dataset.frames(chosen)
    work = _work(dataset.topology, frames)
    return None if work is None else compare_work(work, dataset.temperature)


def find_outliers(dataset: ForceMatchingDataset, chunk_frames: int = 100) -> tuple[int, ...]:
    """Frames with a force beyond 50 robust standard deviations (1.4826 MAD of the first frames) of its bead type."""
    return tuple(np.flatnonzero(_largest_forces(dataset, chunk_frames) > OUTLIER_SIGMA).tolist())


def _largest_forces(dataset: ForceMatchingDataset, chunk_frames: int = 100) -> NDArray[np.float64]:
    """Largest force component of each frame in robust standard deviations of its bead type, shape (n_frames,)."""
    types = dataset.topology.bead_types
    first = _forces(next(dataset.chunks(chunk_frames)))
    medians = {number: float(np.median(np.abs(first[:, types == number]))) for number in np.unique(types).tolist()}
    sigma = np.maximum(1.4826 * np.array([medians[n] for n in types.tolist()]), np.finfo(np.float32).tiny)
    largest = [np.abs(_forces(chunk)).max(axis=2) / sigma for chunk in dataset.chunks(chunk_frames)]
    return np.concatenate([ratios.max(axis=1) for ratios in largest])


def find_repeated(dataset: ForceMatchingDataset) -> tuple[tuple[int, int], ...]:
    """Pairs of frames with the same positions, the earlier one first."""
    register = FrameRegister()
    return tuple(pair for chunk in dataset.chunks() for pair in register.add(chunk))


def warn_of_implausible_data(dataset: ForceMatchingDataset) -> None:
    """Warns of absurd forces, frames that are there twice or in disorder, and forces that do not fit positions."""
    largest, repeated = _largest_forces(dataset), find_repeated(dataset)
    outliers = np.flatnonzero(largest > OUTLIER_SIGMA).tolist()
    scale = compare_forces_with_positions(dataset)
    complaint = None if scale is None else scale.complaint(dataset.temperature)
    if outliers:
        worst = sorted(outliers, key=lambda frame: -largest[frame])[:10]
        listed = ", ".join(f"{frame} ({largest[frame]:.3g})" for frame in worst)
        _warn(
            f"{dataset.path}: {len(outliers)} of {dataset.n_frames} frames hold forces beyond {OUTLIER_SIGMA:g} robust "
            f"standard deviations, the worst are {listed}. One such frame can ruin a fit; leave it out "
            "when the dataset is made, if it is not meant (a start before minimization, a failed calculation)"
        )
    if repeated:
        listed = ", ".join(f"{a} and {b}" for a, b in repeated[:5])
        _warn(
            f"{dataset.path}: {len(repeated)} frames are there twice: {listed}. Where one is trained on and the other "
            "tests, errors look smaller than they are; make the dataset without them"
        )
    if complaint:
        _warn(f"{dataset.path}: {complaint}")
    back = _times_backward(dataset)
    if back is not None:
        _warn(
            f"{dataset.path}: times run backward at frame {back}. Frames are split into training, validation and test "
            "parts by their order; make a dataset of its own of each run, and leave out what a restart repeated"
        )


def _times_backward(dataset: ForceMatchingDataset) -> int | None:
    """The first frame that is not later than the one before, of instantaneous frames with times."""
    parts = [chunk.times for chunk in dataset.chunks()]
    if dataset.kind != "instantaneous" or any(part is None for part in parts):
        return None
    back = np.flatnonzero(np.diff(np.concatenate([part for part in parts if part is not None])) <= 0)
    return int(back[0]) + 1 if len(back) else None


def warn_of_shared_frames(datasets: Sequence[ForceMatchingDataset]) -> None:
    """Warns of frames that two datasets have in common."""
    register, n_frames = FrameRegister(), 0
    ends: list[int] = []
    for dataset in datasets:
        pairs = [pair for chunk in dataset.chunks() for pair in register.add(chunk)]
        shared = [(earlier, later) for earlier, later in pairs if earlier < n_frames]
        if shared:
            other = bisect_right(ends, shared[0][0])
            _warn(
                f"{dataset.path} and {datasets[other].path} have {len(shared)} frames in common, the first is frame "
                f"{shared[0][1] - n_frames} of the former: they may be trained on in one and test in the other; make "
                "the datasets without them"
            )
        n_frames += dataset.n_frames
        ends.append(n_frames)


def _warn(text: str) -> None:
    warnings.warn(text, DatasetWarning, stacklevel=3)


def _work(topology: CGTopology, frames: Frames) -> Work | None:
    if len(topology.bonds):
        kinds = np.sort(topology.bead_types[topology.bonds], axis=1) @ (len(topology.type_names), 1)
        return bond_work(frames.positions, frames.box, _forces(frames), topology.bonds, kinds)
    return pair_work(frames.positions, frames.box, _forces(frames))


def _forces(frames: Frames) -> NDArray[np.floating]:
    if frames.forces is None:
        raise ArtifactError(
            "the dataset holds frames without forces; it was not written by this program: make it again"
        )
    return frames.forces
