"""Angles with a series of cosines, smooth where three beads are in line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import openmm
import torch
from numpy.typing import NDArray

from openmm_cgml.potentials.cosine_series import cosine_between, cosine_series
from openmm_cgml.potentials.potential import Potential, check_indices, frozen_array, minimum_image


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CosineAngle(Potential):
    """E = sum over terms and n = 1, 2, ... of k_n (cos(n theta) - cos(n theta0)), with theta at the middle bead.

    Theta0 is where the term is lowest, so that energies count from there: the coefficients of a narrow valley are
    large and cancel, and what they leave at every angle would cost single precision its last digits.
    A harmonic angle has a kink where the beads are in line, and one valley. This series has neither limit: its force
    is zero at 180 degrees, and four harmonics describe a skewed or a double valley. Two of them are the
    cosine-harmonic 1/2 k (cos(theta) - cos(theta0))^2: k_1 = -k cos(theta0), k_2 = k/4.

    Attributes:
        indices: Beads of each angle, the middle one at index 1, shape (n_terms, 3).
        coefficients: k_1, k_2, ... of each term [kJ/mol], of either sign, shape (n_terms, n_harmonics).

    Raises:
        InputError: If shapes disagree, a bead repeats or a coefficient is not finite.
    """

    name: ClassVar[str] = "cosine angle"

    indices: NDArray[np.int64]
    coefficients: NDArray[np.float64]

    def __post_init__(self) -> None:
        indices = frozen_array(self.indices, np.int64, (None, 3), "angle indices")
        object.__setattr__(self, "indices", indices)
        coefficients = frozen_array(self.coefficients, np.float64, (len(indices), None), "angle coefficients")
        object.__setattr__(self, "coefficients", coefficients)
        check_indices(indices, "angle")

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        i, j, k = torch.tensor(self.indices.T, device=positions.device)
        first = minimum_image(positions[..., i, :] - positions[..., j, :], box)
        second = minimum_image(positions[..., k, :] - positions[..., j, :], box)
        cosine = cosine_between(first, second, first.new_tensor(1e-30))
        series = cosine_series(cosine, positions.new_tensor(self.coefficients))
        return (series - positions.new_tensor(self._lowest())).sum(-1)

    def valleys(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Angle of least energy of each term [rad] and the curvature there [kJ/mol/rad^2], both of shape (n_terms,)."""
        kinds, kind_of = np.unique(self.coefficients, axis=0, return_inverse=True)
        order = np.arange(1, self.coefficients.shape[1] + 1)
        angles = np.linspace(0, np.pi, 1801)
        deepest = angles[np.argmin(kinds @ np.cos(order[:, None] * angles), axis=1)]
        curvature = -(kinds * order**2 * np.cos(order * deepest[:, None])).sum(axis=1)
        return deepest[kind_of.ravel()], curvature[kind_of.ravel()]

    def _lowest(self) -> NDArray[np.float64]:
        """Least value of sum over n of k_n (1 + cos(n theta)) for each term [kJ/mol], shape (n_terms,)."""
        order = np.arange(1, self.coefficients.shape[1] + 1)
        return np.asarray((self.coefficients * (1 + np.cos(order * self.valleys()[0][:, None]))).sum(axis=1))

    def to_openmm(self, *, periodic: bool) -> openmm.CustomAngleForce:
        """A `CustomAngleForce`. See `Potential.to_openmm`."""
        harmonics = range(1, self.coefficients.shape[1] + 1)
        force = openmm.CustomAngleForce(" + ".join(["-lowest", *(f"k{n}*(1 + cos({n}*theta))" for n in harmonics)]))
        for name in ("lowest", *(f"k{n}" for n in harmonics)):
            force.addPerAngleParameter(name)
        values = np.column_stack([self._lowest(), self.coefficients])
        for (i, j, k), parameters in zip(self.indices.tolist(), values.tolist(), strict=True):
            force.addAngle(i, j, k, parameters)
        force.setUsesPeriodicBoundaryConditions(periodic)
        force.setName(f"prior: {self.name}")
        return force
