"""One frame as another program wrote it: numbers in that program's units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.trajectories.unit_systems import UnitSystem

__all__ = ["RawFrame", "TrajectoryFormat"]


@dataclass(frozen=True, eq=False, kw_only=True)
class RawFrame:
    """A frame in the units of its file.

    Attributes:
        positions: Positions, wrapped or not, shape (n, 3).
        box: Box vectors in rows, shape (3, 3), or None.
        forces: Forces, shape (n, 3), or None.
        velocities: Velocities, shape (n, 3), or None.
        time: Time, or None where the file does not say.
        step: Number of the time step, or None.
    """

    positions: NDArray[np.float64]
    box: NDArray[np.float64] | None = None
    forces: NDArray[np.float64] | None = None
    velocities: NDArray[np.float64] | None = None
    time: float | None = None
    step: int | None = None


@dataclass(frozen=True, kw_only=True)
class TrajectoryFormat:
    """A format of trajectories.

    Attributes:
        name: As messages call it.
        suffixes: Endings of file names, in lower case.
        read: Gives the frames of a file one by one.
        units: What its numbers are by definition; None where the file does not say.
        has_forces: Whether it can hold forces at all.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], Iterator[RawFrame]]
    units: UnitSystem | None
    has_forces: bool = True
