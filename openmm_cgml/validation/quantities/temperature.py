"""Temperature of the beads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openmm_cgml.analysis.block_average import Average, compute_average
from openmm_cgml.analysis.thermo import compute_temperatures
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.quantity import Comparison, Quantity

if TYPE_CHECKING:
    from openmm_cgml.validation.trajectory import Trajectory


class Temperature(Quantity[Average]):
    """Mean temperature [K], compared with that of the reference's thermostat.

    Limits: `temperature`, largest deviation [K].
    """

    key, result = "temperature", Average
    limits = ValidationLimits(temperature=3.0)

    def compute(self, trajectory: Trajectory) -> Average | None:
        """Temperature [K]; None without kinetic energies or degrees of freedom."""
        kinetic = trajectory.frames.energies.get("kinetic")
        if trajectory.degrees_of_freedom is None or kinetic is None:
            return None
        temperatures = compute_temperatures(kinetic, trajectory.degrees_of_freedom)
        return compute_average(temperatures, interval=trajectory.interval or 1.0)

    def compare(self, ours: Average, theirs: Average | None, comparison: Comparison) -> list[Metric]:
        """Mean temperature beside the thermostat's."""
        target, limit = comparison.reference.temperature, comparison.limits["temperature"]
        return [
            Metric(
                key="temperature_mean",
                label="mean temperature",
                unit="K",
                value=ours.mean,
                error=ours.standard_error,
                reference=target,
                lowest=target - limit,
                highest=target + limit,
            )
        ]


TEMPERATURE = Temperature()
