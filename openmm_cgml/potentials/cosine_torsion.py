"""Torsions with a series of cosines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_cgml.potentials.cosine_series import cosine_between, cosine_series
from openmm_cgml.potentials.potential import Potential, check_indices, frozen_array, minimum_image

_STRAIGHT = 1e-6  # sine of an angle below which the torsion around it has no direction


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CosineTorsion(Potential):
    """E = sum over terms and n = 1, 2, ... of k_n (1 + cos(n phi)), phi = 180 degrees being trans.

    The series is even: it cannot tell a molecule from its mirror image, as a network of distances cannot either.
    The force of any torsion grows without limit where three of its beads come into line; exactly in line it is zero
    here (and undefined in OpenMM), so do not give torsions to chains whose angles reach 180 degrees.

    Attributes:
        indices: Beads of each torsion in the order of their bonds, shape (n_terms, 4).
        coefficients: k_1, k_2, ... of each term [kJ/mol], of either sign, shape (n_terms, n_harmonics).

    Raises:
        InputError: If shapes disagree, a bead repeats or a coefficient is not finite.
    """

    name: ClassVar[str] = "cosine torsion"

    indices: NDArray[np.int64]
    coefficients: NDArray[np.float64]

    def __post_init__(self) -> None:
        indices = frozen_array(self.indices, np.int64, (None, 4), "torsion indices")
        object.__setattr__(self, "indices", indices)
        coefficients = frozen_array(self.coefficients, np.float64, (len(indices), None), "torsion coefficients")
        object.__setattr__(self, "coefficients", coefficients)
        check_indices(indices, "torsion")

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        beads = torch.tensor(self.indices.T, device=positions.device)
        first, second, third = (
            minimum_image(positions[..., beads[n + 1], :] - positions[..., beads[n], :], box) for n in range(3)
        )
        one, other = torch.linalg.cross(first, second), torch.linalg.cross(second, third)
        squares = [(vectors * vectors).sum(-1) for vectors in (first, second, third)]
        in_line = _STRAIGHT**2 * squares[0] * squares[1] ** 2 * squares[2]
        cosine = cosine_between(one, other, in_line.detach())
        return cosine_series(cosine, positions.new_tensor(self.coefficients)).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.PeriodicTorsionForce:
        """A `PeriodicTorsionForce`. See `Potential.to_openmm`."""
        force = openmm.PeriodicTorsionForce()
        for beads, coefficients in zip(self.indices.tolist(), self.coefficients.tolist(), strict=True):
            for n, coefficient in enumerate(coefficients, start=1):
                if coefficient:
                    force.addTorsion(*beads, n, 0.0, coefficient)
        force.setUsesPeriodicBoundaryConditions(periodic)
        force.setName(f"prior: {self.name}")
        return force
