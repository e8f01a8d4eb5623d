"""Torsions with a series of cosines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.potentials.bonded import BondedConfig
from openmm_cgml.potentials.coordinate import TORSION, Coordinate
from openmm_cgml.potentials.cosine_series import (
    COSINES,
    N_HARMONICS,
    CosineConfig,
    CosineSeries,
    cosine_between,
    cosine_series,
    series_minima,
)
from openmm_cgml.potentials.potential import Parameter, as_beads, check_indices, frozen_array, minimum_image

if TYPE_CHECKING:
    import torch

STRAIGHT = 1e-6
"""Sine of an angle below which the torsion around it has no direction."""
_RYCKAERT_BELLEMANS = 5  # the highest power of the cosine in OpenMM's form


class CosineTorsionConfig(CosineConfig):
    """Torsions with a series of cosines, trans being at 180 degrees.

    Attributes:
        coefficients: [k_1, k_2, ...], "fit", or a mapping from bead types such as "A-B-B-A" to either.
        harmonics: Length of a fitted series.
    """

    harmonics: int = Field(default=3, ge=1, le=N_HARMONICS)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CosineTorsion(CosineSeries):
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

    key: ClassVar[str] = "cosine_torsion"
    coordinate: ClassVar[Coordinate] = TORSION
    parameters: ClassVar[Mapping[str, Parameter]] = COSINES
    Config: ClassVar[type[BondedConfig]] = CosineTorsionConfig

    indices: NDArray[np.int64]
    coefficients: NDArray[np.float64]

    def __post_init__(self) -> None:
        indices = frozen_array(self.indices, np.int64, (None, 4), "torsion indices")
        object.__setattr__(self, "indices", indices)
        coefficients = frozen_array(self.coefficients, np.float64, (len(indices), None), "torsion coefficients")
        object.__setattr__(self, "coefficients", coefficients)
        check_indices(indices, "torsion")

    @classmethod
    def with_coefficients(cls, indices: NDArray[np.int64], coefficients: NDArray[np.float64]) -> Self:
        """See `CosineSeries.with_coefficients`."""
        return cls(indices=indices, coefficients=coefficients)

    def minima(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `BondedPotential.minima`."""
        return series_minima(self.coefficients, np.pi)

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        beads = as_beads(self.indices, positions)
        first, second, third = (
            minimum_image(positions[..., beads[n + 1], :] - positions[..., beads[n], :], box) for n in range(3)
        )
        one, other = first.cross(second, dim=-1), second.cross(third, dim=-1)
        squares = [(vectors * vectors).sum(-1) for vectors in (first, second, third)]
        in_line = STRAIGHT**2 * squares[0] * squares[1] ** 2 * squares[2]
        cosine = cosine_between(one, other, in_line.detach())
        return cosine_series(cosine, positions.new_tensor(self.coefficients)).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `RBTorsionForce`, or with six harmonics a `PeriodicTorsionForce`. See `Potential.to_openmm`.

        The former takes a third of the time, since it evaluates a torsion once and not once for each harmonic.
        """
        if self.coefficients.shape[1] > _RYCKAERT_BELLEMANS:
            return self.named(self._by_harmonics(), periodic=periodic)
        force = openmm.RBTorsionForce()
        for beads, powers in zip(self.indices.tolist(), self._powers().tolist(), strict=True):
            force.addTorsion(*beads, *powers)
        return self.named(force, periodic=periodic)

    def _by_harmonics(self) -> openmm.PeriodicTorsionForce:
        force = openmm.PeriodicTorsionForce()
        for beads, coefficients in zip(self.indices.tolist(), self.coefficients.tolist(), strict=True):
            for n, coefficient in enumerate(coefficients, start=1):
                if coefficient:
                    force.addTorsion(*beads, n, 0.0, coefficient)
        return force

    def _powers(self) -> NDArray[np.float64]:
        """Coefficients of the powers 0 to 5 of cos(phi - 180 degrees) [kJ/mol], shape (n_terms, 6)."""
        n = self.coefficients.shape[1]
        chebyshev = np.zeros((n + 1, _RYCKAERT_BELLEMANS + 1))
        for order in range(n + 1):
            chebyshev[order, : order + 1] = np.polynomial.chebyshev.cheb2poly([0.0] * order + [1.0])
        series = np.column_stack([self.coefficients.sum(axis=1), self.coefficients])
        powers: NDArray[np.float64] = series @ chebyshev * (-1.0) ** np.arange(_RYCKAERT_BELLEMANS + 1)
        return powers
