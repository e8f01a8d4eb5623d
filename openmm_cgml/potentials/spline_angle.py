"""Angles with a spline, smooth where three beads are in line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.config import Angle
from openmm_cgml.potentials.bonded import BondedConfig
from openmm_cgml.potentials.coordinate import ANGLE, Coordinate
from openmm_cgml.potentials.potential import Parameter, as_beads, minimum_image, norm
from openmm_cgml.potentials.spline_series import Spline, SplineConfig, SplineSeries

if TYPE_CHECKING:
    import torch


class SplineAngleConfig(SplineConfig):
    """Angles with a cubic spline, for any distribution.

    Attributes:
        spacing: Largest distance of two knots; a narrow range gets eight intervals.
    """

    spacing: Angle = Field(default=math.radians(5), gt=0)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SplineAngle(SplineSeries):
    """E = sum of a cubic spline of theta, the angle at the middle bead, where there were samples, and of walls beyond.

    The energy is even about 180 degrees, and about 0: the spline where it reaches them, and the walls too, which are
    parabolas of the distance z = (2L/pi) sin(pi d/2L) for a distance d from the range and L from there to the limit. So
    the force vanishes where the beads are in line.

    Attributes:
        indices: Beads of each angle, the middle one at index 1, shape (n_terms, 3).
        kinds: Which spline each angle has, shape (n_terms,).
        splines: The splines [kJ/mol] of the angle [rad].

    Raises:
        InputError: If shapes disagree, a bead repeats or there is no such spline.
    """

    key: ClassVar[str] = "spline_angle"
    coordinate: ClassVar[Coordinate] = ANGLE
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "low": Parameter(unit="rad", signed=True),
        "high": Parameter(unit="rad"),
        "wall": Parameter(unit="kJ/mol/rad^2"),
        "coefficients": Parameter(unit="kJ/mol", signed=True, many=True),
    }
    Config: ClassVar[type[BondedConfig]] = SplineAngleConfig
    limits: ClassVar[tuple[float, float]] = (0.0, math.pi)

    indices: NDArray[np.int64]
    kinds: NDArray[np.int64]
    splines: tuple[Spline, ...]

    def energy(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Energy [kJ/mol], shape (...). See `Potential.energy`."""
        i, j, k = as_beads(self.indices, positions)
        first = minimum_image(positions[..., i, :] - positions[..., j, :], box)
        second = minimum_image(positions[..., k, :] - positions[..., j, :], box)
        # Unlike the arc cosine it has a gradient where the beads are in line.
        return self.energies_of(norm(first.cross(second, dim=-1)).atan2((first * second).sum(-1)))

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `CustomAngleForce`. See `Potential.to_openmm`."""
        text, names, rows = self.formula("theta")
        force = openmm.CustomAngleForce(text)
        for name in names:
            force.addPerAngleParameter(name)
        for beads, row in zip(self.indices.tolist(), rows, strict=True):
            force.addAngle(*beads, row)
        return self.named(force, periodic=periodic)
