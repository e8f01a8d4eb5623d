"""Harmonic angles, 1/2 k (theta - theta0)^2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_cgml.config import Angle, AngleStiffness
from openmm_cgml.errors import InputError
from openmm_cgml.potentials.bonded import BondedConfig, Fit, Parameters
from openmm_cgml.potentials.coordinate import ANGLE, Coordinate
from openmm_cgml.potentials.harmonic import Harmonic, HarmonicConfig
from openmm_cgml.potentials.potential import (
    Parameter,
    as_beads,
    check_indices,
    check_positive,
    frozen_array,
    minimum_image,
    norm,
)

if TYPE_CHECKING:
    import torch


class HarmonicAngleConfig(HarmonicConfig):
    """Harmonic angles, right for one narrow valley away from 180 degrees.

    A value is "fit", one for all angles, or a mapping from bead types such as "A-B-A".

    Attributes:
        angle: Equilibrium angle.
        stiffness: Force constant.
        convention: What a given stiffness means: "half" is 1/2 k (theta - theta0)^2, OpenMM's; "full" leaves out the
            half, and is doubled.
    """

    angle: Fit | Angle | dict[str, Fit | Angle] = "fit"
    stiffness: Fit | AngleStiffness | dict[str, Fit | AngleStiffness] = "fit"

    def settings(self) -> dict[str, Any]:
        """See `BondedConfig.settings`."""
        return {"angle": self.angle, "stiffness": self.stiffness}


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class HarmonicAngle(Harmonic):
    """E = sum 1/2 k (theta - theta0)^2, with theta at the middle bead.

    Three beads exactly in line give a zero force, as in OpenMM, not NaN.

    Attributes:
        indices: Beads of each angle, the middle one at index 1, shape (n_terms, 3).
        angle: Equilibrium angles theta0 [rad], within (0, pi], shape (n_terms,).
        stiffness: Force constants k [kJ/mol/rad^2], shape (n_terms,).

    Raises:
        InputError: If shapes disagree, a bead repeats, an angle lies outside (0, pi] or a stiffness is not positive.
    """

    key: ClassVar[str] = "harmonic_angle"
    coordinate: ClassVar[Coordinate] = ANGLE
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "angle": Parameter(unit="rad"),
        "stiffness": Parameter(unit="kJ/mol/rad^2"),
    }
    since: ClassVar[str] = "1.0"
    Config: ClassVar[type[BondedConfig]] = HarmonicAngleConfig
    center: ClassVar[str] = "angle"

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
        i, j, k = as_beads(self.indices, positions)
        first = minimum_image(positions[..., i, :] - positions[..., j, :], box)
        second = minimum_image(positions[..., k, :] - positions[..., j, :], box)
        theta = norm(first.cross(second, dim=-1)).atan2((first * second).sum(-1))
        angle, stiffness = (positions.new_tensor(values) for values in (self.angle, self.stiffness))
        return (0.5 * stiffness * (theta - angle) ** 2).sum(-1)

    def to_openmm(self, *, periodic: bool) -> openmm.Force:
        """A `HarmonicAngleForce`. See `Potential.to_openmm`."""
        force = openmm.HarmonicAngleForce()
        for (i, j, k), angle, stiffness in zip(
            self.indices.tolist(), self.angle.tolist(), self.stiffness.tolist(), strict=True
        ):
            force.addAngle(i, j, k, angle, stiffness)
        return self.named(force, periodic=periodic)

    @classmethod
    def other_ways(cls) -> str:
        """See `Harmonic.other_ways`."""
        return 'take angles.form "cosine", give its values by hand, or leave angles out'

    @classmethod
    def doubts(cls, parameters: Parameters, samples: NDArray[np.float64] | None, kt: float) -> tuple[str, ...]:
        """See `BondedPotential.doubts`; a harmonic angle has a kink at 0 and at 180 degrees."""
        found = super().doubts(parameters, samples, kt)
        angle = parameters["angle"]
        reach = 2 * math.sqrt(kt / parameters["stiffness"])
        if reach < angle < math.pi - reach:
            return found
        return (
            *found,
            f"of {math.degrees(angle):.0f} degrees reaches {'180' if angle > 1.5 else '0'} degrees within two standard "
            'deviations, where it has a kink; take angles.form "cosine", or leave it out',
        )
