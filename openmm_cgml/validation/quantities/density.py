"""Mass density of the box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.result import Result
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.quantity import Comparison, Quantity

if TYPE_CHECKING:
    from openmm_cgml.validation.trajectory import Trajectory


@dataclass(frozen=True, eq=False, kw_only=True)
class MassDensity(Result):
    """Mass density of a trajectory.

    Attributes:
        mean: Mean mass density [g/cm^3].
    """

    mean: float

    def check_ranges(self) -> None:
        """Refuse a box without beads."""
        self.require(self.mean > 0, "mean", "positive")


class Density(Quantity[MassDensity]):
    """Mean mass density [g/cm^3].

    Limits: `density_error`, largest relative deviation.
    """

    key, result = "density", MassDensity
    limits = ValidationLimits(density_error=0.01)

    def compute(self, trajectory: Trajectory) -> MassDensity:
        """Mass of the beads over the volume, averaged over all frames."""
        per_volume = (1 / np.linalg.det(trajectory.box)).mean()
        return MassDensity(mean=float(trajectory.topology.masses.sum() * per_volume * DALTON_PER_NM3_IN_G_PER_CM3))

    def compare(self, ours: MassDensity, theirs: MassDensity | None, comparison: Comparison) -> list[Metric]:
        """Density beside the reference's."""
        if theirs is None:
            return []
        limit = comparison.limits["density_error"]
        return [
            Metric(
                key="density",
                label="density",
                unit="g/cm³",
                value=ours.mean,
                reference=theirs.mean,
                lowest=theirs.mean * (1 - limit),
                highest=theirs.mean * (1 + limit),
            )
        ]


DENSITY = Density()
