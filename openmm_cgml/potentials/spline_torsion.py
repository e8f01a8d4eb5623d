"""Torsions with a periodic spline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.config import Angle
from openmm_cgml.potentials.bonded import Basis, BondedConfig, Parameters
from openmm_cgml.potentials.coordinate import TORSION, Coordinate
from openmm_cgml.potentials.inversion import Samples
from openmm_cgml.potentials.potential import Parameter
from openmm_cgml.potentials.spline_series import Spline, SplineBasis, SplineConfig, SplineSeries
from openmm_cgml.potentials.torsion_vectors import TorsionVectors

if TYPE_CHECKING:
    import torch


class SplineTorsionConfig(SplineConfig):
    """Torsions with a periodic cubic spline, trans being at 180 degrees.

    Attributes:
        spacing: Largest distance of two knots.
    """

    spacing: Angle = Field(default=math.radians(15), gt=0)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SplineTorsion(SplineSeries):
    """E = sum of a cubic spline of the magnitude of phi, from 0 (cis) to 180 degrees (trans), even about both ends.

    So it is periodic and cannot tell a molecule from its mirror image, as a series of cosines and a network of
    distances cannot either. For beads in line see `CosineTorsion`.

    Attributes:
        indices: Beads of each torsion in the order of their bonds, shape (n_terms, 4).
        kinds: Which spline each torsion has, shape (n_terms,).
        splines: The splines [kJ/mol] of the magnitude of the torsion [rad].

    Raises:
        InputError: If shapes disagree, a bead repeats or there is no such spline.
    """

    key: ClassVar[str] = "spline_torsion"
    coordinate: ClassVar[Coordinate] = TORSION
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "coefficients": Parameter(unit="kJ/mol", signed=True, many=True),
    }
    Config: ClassVar[type[BondedConfig]] = SplineTorsionConfig
    limits: ClassVar[tuple[float, float]] = (0.0, math.pi)

    indices: NDArray[np.int64]
    kinds: NDArray[np.int64]
    splines: tuple[Spline, ...]

    @classmethod
    def basis_of(cls, parameters: Parameters, origin: float) -> SplineBasis:
        """See `BondedPotential.basis_of`."""
        low, high = cls.limits
        n = len(parameters["coefficients"])
        return SplineBasis(origin=origin, n=n, low=low, high=high, wall=0.0, limits=cls.limits)

    @classmethod
    def range_of(cls, samples: Samples, spacing: float) -> tuple[float, float]:
        """See `SplineSeries.range_of`; all that a torsion can be."""
        return cls.limits

    @classmethod
    def folded(cls, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `SplineSeries.folded`; magnitudes."""
        return np.abs(values)

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], basis: Basis) -> dict[str, Any]:
        """See `BondedPotential.from_coefficients`."""
        return {"coefficients": super().from_coefficients(coefficients, basis)["coefficients"]}

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        first, squares, one, other, in_line = TorsionVectors.of(self.indices, positions, box)
        lost = (one * one).sum(-1) * (other * other).sum(-1) <= in_line
        sine = (first * other).sum(-1) * squares[1].masked_fill(lost, 1.0).sqrt()
        cosine = (one * other).sum(-1)
        return self.energies_of(sine.abs().masked_fill(lost, 1.0).atan2(cosine.masked_fill(lost, 0.0)))

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `CustomTorsionForce`. See `Potential.to_openmm`."""
        text, names, rows = self.formula("abs(theta)")
        force = openmm.CustomTorsionForce(text)
        for name in names:
            force.addPerTorsionParameter(name)
        for beads, row in zip(self.indices.tolist(), rows, strict=True):
            force.addTorsion(*beads, row)
        return self.named(force, periodic=periodic)
