"""Bonds with a spline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.config import Length
from openmm_cgml.potentials.bonded import BondedConfig
from openmm_cgml.potentials.coordinate import BOND, Coordinate
from openmm_cgml.potentials.potential import Parameter, as_beads, minimum_image, norm
from openmm_cgml.potentials.spline_series import Spline, SplineConfig, SplineSeries

if TYPE_CHECKING:
    import torch


class SplineBondConfig(SplineConfig):
    """Bonds with a cubic spline, for lengths that are skewed or have two maxima.

    Attributes:
        spacing: Largest distance of two knots; a narrow range gets eight intervals.
    """

    spacing: Length = Field(default=0.005, gt=0)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SplineBond(SplineSeries):
    """E = sum of a cubic spline of the length r where there were samples, and of a parabola beyond.

    Attributes:
        indices: Bonded beads, shape (n_terms, 2).
        kinds: Which spline each bond has, shape (n_terms,).
        splines: The splines [kJ/mol] of the length [nm].

    Raises:
        InputError: If shapes disagree, a bead repeats or there is no such spline.
    """

    key: ClassVar[str] = "spline_bond"
    coordinate: ClassVar[Coordinate] = BOND
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "low": Parameter(unit="nm"),
        "high": Parameter(unit="nm"),
        "wall": Parameter(unit="kJ/mol/nm^2"),
        "coefficients": Parameter(unit="kJ/mol", signed=True, many=True),
    }
    Config: ClassVar[type[BondedConfig]] = SplineBondConfig

    indices: NDArray[np.int64]
    kinds: NDArray[np.int64]
    splines: tuple[Spline, ...]

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        i, j = as_beads(self.indices, positions)
        return self.energies_of(norm(minimum_image(positions[..., j, :] - positions[..., i, :], box)))

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `CustomBondForce`. See `Potential.to_openmm`."""
        text, names, rows = self.formula("r")
        force = openmm.CustomBondForce(text)
        for name in names:
            force.addPerBondParameter(name)
        for beads, row in zip(self.indices.tolist(), rows, strict=True):
            force.addBond(*beads, row)
        return self.named(force, periodic=periodic)
