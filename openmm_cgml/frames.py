"""Frames of a trajectory in memory: positions, and what was recorded with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

PER_PARTICLE = ("positions", "forces", "forces_inter", "force_error")
PER_FRAME = ("box", "times", "pressures")


@dataclass(frozen=True, eq=False, kw_only=True)
class Frames:
    """Frames of one system; slicing gives `Frames` again.

    Attributes:
        positions: Positions, molecules whole [nm], shape (n_frames, n, 3).
        box: Box vectors in rows [nm], shape (n_frames, 3, 3), or None where there is no box.
        forces: Forces [kJ/mol/nm], shape (n_frames, n, 3), or None.
        forces_inter: Intermolecular part of the forces [kJ/mol/nm], shape (n_frames, n, 3), or None.
        force_error: Standard error of averaged forces [kJ/mol/nm], shape (n_frames, n, 3); None for instantaneous ones.
        energies: Energy components [kJ/mol] by name, each of shape (n_frames,).
        times: Times [ps], shape (n_frames,), or None.
        pressures: Momentary pressures [bar], shape (n_frames,), NaN in frames where it was not measured, or None.
    """

    positions: NDArray[np.floating]
    box: NDArray[np.floating] | None = None
    forces: NDArray[np.floating] | None = None
    forces_inter: NDArray[np.floating] | None = None
    force_error: NDArray[np.floating] | None = None
    energies: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    times: NDArray[np.floating] | None = None
    pressures: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.positions)
        if len(shape) != 3 or shape[2] != 3:
            raise InputError(f"positions have shape {shape}; expected (n_frames, n_particles, 3)")
        for name in PER_PARTICLE:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _checked(getattr(self, name), shape, name))
        if self.box is not None:
            box = _checked(self.box, (shape[0], 3, 3), "box")
            if len(box) and np.linalg.det(box).min() <= 0:
                frame = int(np.argmin(np.linalg.det(box)))
                raise InputError(
                    f"box of frame {frame} is {box[frame].tolist()}; three right-handed vectors are needed"
                )
            object.__setattr__(self, "box", box)
        if self.times is not None:
            object.__setattr__(self, "times", _checked(self.times, (shape[0],), "times"))
        if self.pressures is not None:
            pressures = _checked(self.pressures, (shape[0],), "pressures", may_lack=True)
            object.__setattr__(self, "pressures", pressures)
        energies = {name: _checked(values, (shape[0],), f"energy {name!r}") for name, values in self.energies.items()}
        object.__setattr__(self, "energies", MappingProxyType(energies))

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def n_particles(self) -> int:
        """Number of atoms or beads."""
        return self.positions.shape[1]

    def __getitem__(self, index: slice | Sequence[int] | NDArray[np.integer]) -> Frames:
        if isinstance(index, int | np.integer):
            index = slice(int(index), int(index) + 1 or None)
        parts: dict[str, Any] = {
            name: None if (array := getattr(self, name)) is None else array[index]
            for name in (*PER_PARTICLE, *PER_FRAME)
        }
        return Frames(**parts, energies={name: values[index] for name, values in self.energies.items()})

    def replace(self, **changes: object) -> Frames:
        """These frames with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @staticmethod
    def concatenate(parts: Sequence[Frames]) -> Frames:
        """All frames of `parts` in order.

        Raises:
            InputError: If there are none, or they do not hold the same fields.
        """
        if not parts:
            raise InputError("no frames to put together")
        first = parts[0]
        for number, part in enumerate(parts[1:], 1):
            for name in (*PER_PARTICLE, *PER_FRAME):
                if (getattr(first, name) is None) != (getattr(part, name) is None):
                    raise InputError(f"part {number} and part 0 differ: only one of them has {name}")
            if set(part.energies) != set(first.energies):
                raise InputError(
                    f"part {number} has energies {sorted(part.energies)}, part 0 has {sorted(first.energies)}"
                )
        joined: dict[str, Any] = {
            name: None if getattr(first, name) is None else np.concatenate([getattr(part, name) for part in parts])
            for name in (*PER_PARTICLE, *PER_FRAME)
        }
        return Frames(**joined, energies={n: np.concatenate([p.energies[n] for p in parts]) for n in first.energies})


def _checked(array: object, shape: tuple[int, ...], name: str, *, may_lack: bool = False) -> NDArray[np.floating]:
    result = np.ascontiguousarray(array)
    if not np.issubdtype(result.dtype, np.floating):
        result = result.astype(np.float64)
    if result.shape != shape:
        raise InputError(f"{name}: shape {result.shape}; expected {shape}")
    fine = np.isfinite(result) | (np.isnan(result) if may_lack else False)
    if not np.all(fine):
        where = np.argwhere(~fine)[0].tolist()
        raise InputError(f"{name}: {result[tuple(where)]} at index {where} (frame first); every value must be finite")
    if result.flags.writeable:
        result = result.view()
        result.setflags(write=False)
    return result
