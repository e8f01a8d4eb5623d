"""What a recording declares, compared with what was recorded: temperature with kinetic energies, order with times."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.correlation import effective_samples
from openmm_cgml.errors import DatasetWarning, InputError
from openmm_cgml.shards import FrameStore
from openmm_cgml.units import BOLTZMANN

__all__ = ["check_temperature", "check_times"]

_LEAST_SAMPLES = 10  # independent kinetic energies
_SIGNIFICANT = 6.0  # standard errors
_SUSPICIOUS, _IMPOSSIBLE = 0.03, 0.2  # of the temperature


def check_temperature(store: FrameStore, wanted: float) -> None:
    """Compares the declared temperature of a recording with its kinetic energies and with that of the system.

    Args:
        store: The recording.
        wanted: Temperature of the system that it is mapped for [K].

    Raises:
        InputError: The kinetic energies are those of a temperature that differs by more than a fifth.
    """
    declared = float(store.metadata["temperature"])
    if abs(wanted - declared) > 1e-3 * declared:
        _warn(
            f"{store.path} was recorded at {declared:g} K, the system.yaml says {wanted:g} K; the dataset has "
            f"{declared:g} K, at which its mean forces hold"
        )
    kinetic = store.read_scalars()[1].get("kinetic")
    found = None if kinetic is None else _kinetic_temperature(kinetic, store.metadata)
    if found is None:
        return
    low, high, error = found
    off = max(low - declared, declared - high, 0.0)
    if off < max(_SIGNIFICANT * error, _SUSPICIOUS * declared):
        return
    text = (
        f"{store.path} declares {declared:g} K, its kinetic energies are those of {low:.1f} +- {error:.1f} K, with "
        "constraints taken into account"
    )
    if off > _IMPOSSIBLE * declared:
        raise InputError(
            f"{text}: priors and energies would be wrong by that factor. Record with the temperature of the run, or "
            "copy the frames into a recording that declares it: FrameWriter(new, metadata={**store.metadata, "
            '"temperature": ...}) for store = FrameStore.open(...)'
        )
    _warn(f"{text}; check thermostat, time step and equilibration")


def check_times(store: FrameStore) -> None:
    """Check that the frames of a recording follow each other in time.

    Raises:
        InputError: Frames are there twice.
    """
    times, energies = store.read_scalars()
    if times is None:
        return
    back = np.flatnonzero(np.diff(times) <= 0)
    if not len(back):
        return
    where = f"frame {back[0] + 1} is at {times[back[0] + 1]:g} ps, the one before at {times[back[0]]:g} ps"
    rows = np.column_stack([times, *energies.values()])
    _, first, counts = np.unique(rows, axis=0, return_index=True, return_counts=True)
    twice = np.sort(first[counts > 1])
    if len(twice) and energies:
        raise InputError(
            f"{store.path}: {len(twice)} frames are there twice, the first is frame {twice[0]} at {times[twice[0]]:g} "
            f"ps ({where}), as after a restart from an earlier checkpoint. Copy the others into a recording of their "
            "own, or drop the end before going on with FrameWriter(..., resume=True).truncate(n)"
        )
    _warn(
        f"{store.path}: times run backward ({where}); frames are split into training, validation and test parts by "
        "their order, so record independent runs into folders of their own and list each dataset in the fit"
    )


def _kinetic_temperature(
    kinetic: NDArray[np.floating], metadata: Mapping[str, Any]
) -> tuple[float, float, float] | None:
    """Lowest and highest temperature that the mean kinetic energy can mean, and its standard error [K].

    Old metadata do not tell whether the motion of the center of mass was removed, which leaves three degrees of freedom
    open. None without motion, and where the kinetic energies are too few or drift, as in a run that warms up.
    """
    atoms = metadata["atoms"]
    most = metadata.get("degrees_of_freedom", 3 * len(atoms["names"]) - len(atoms["constraints"]))
    least = most if "degrees_of_freedom" in metadata else most - 3
    series = np.asarray(kinetic, np.float64)
    independent = effective_samples(series[:, None])
    if independent < _LEAST_SAMPLES or least < 1 or not series.mean() > 0:
        return None
    temperatures = [2 * series.mean() / (BOLTZMANN * count) for count in (most, least)]
    spread = max(series.std() / series.mean(), (2 / most) ** 0.5) * temperatures[1]
    return temperatures[0], temperatures[1], float(spread / independent**0.5)


def _warn(text: str) -> None:
    warnings.warn(text, DatasetWarning, stacklevel=3)
