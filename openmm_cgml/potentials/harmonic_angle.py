"""Harmonic angles, 1/2 k (theta - theta0)^2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.potential import (
    Potential,
    check_indices,
    check_positive,
    frozen_array,
    minimum_image,
    norm,
)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class HarmonicAngle(Potential):
    """E = sum 1/2 k (theta - theta0)^2, with theta at the middle bead.

    Three beads exactly in line give a zero force, as in OpenMM, not NaN.

    Attributes:
        indices: Beads of each angle, the middle one at index 1, shape (n_terms, 3).
        angle: Equilibrium angles theta0 [rad], within (0, pi], shape (n_terms,).
        stiffness: Force constants k [kJ/mol/rad^2], shape (n_terms,).

    Raises:
        InputError: If shapes disagree, a bead repeats, an angle lies outside (0, pi] or a stiffness is not positive.
    """

    name: ClassVar[str] = "harmonic angle"

    indices: NDArray[np.int64]
    angle: NDArray[np.float64]
    stiffness: NDArray[np.float64]

    def __post_init__(self) -> None:
        indices = frozen_array(self.indices, np.int64, (None, 3), "angle indices")
        object.__setattr__(self, "indices", indices)
        object.__setattr__(self, "angle", frozen_array(self.angle, np.float64, (len(indices),), "angle"))
        object.__setattr__(
            self, "stiffness", frozen_array(self.stiffness, np.float64, (len(indices),), "angle stiffness")
        )
        check_indices(indices, "angle")
        check_positive(self.angle, "angle", "rad")
        check_positive(self.stiffness, "angle stiffness", "kJ/mol/rad^2")
        if (self.angle > math.pi).any():
            term = int(np.argmax(self.angle))
            raise InputError(f"angle of term {term} is {self.angle[term]:g} rad; it must lie within (0, pi]")

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        i, j, k = torch.tensor(self.indices.T, device=positions.device)
        first = minimum_image(positions[..., i, :] - positions[..., j, :], box)
        second = minimum_image(positions[..., k, :] - positions[..., j, :], box)
        sine = norm(torch.linalg.cross(first, second))
        theta = torch.atan2(sine, (first * second).sum(-1))
        angle, stiffness = (positions.new_tensor(values) for values in (self.angle, self.stiffness))
        return (0.5 * stiffness * (theta - angle) ** 2).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.HarmonicAngleForce:
        """A `HarmonicAngleForce`. See `Potential.to_openmm`."""
        force = openmm.HarmonicAngleForce()
        for (i, j, k), angle, stiffness in zip(
            self.indices.tolist(), self.angle.tolist(), self.stiffness.tolist(), strict=True
        ):
            force.addAngle(i, j, k, angle, stiffness)
        force.setUsesPeriodicBoundaryConditions(periodic)
        force.setName(f"prior: {self.name}")
        return force
