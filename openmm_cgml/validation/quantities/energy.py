"""Energies per bead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.block_average import Average, compute_average
from openmm_cgml.analysis.result import Result
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.quantity import Comparison, Quantity

if TYPE_CHECKING:
    from openmm_cgml.validation.trajectory import Trajectory
    from openmm_cgml.validation.trajectory_summary import TrajectorySummary


@dataclass(frozen=True, eq=False, kw_only=True)
class Energies(Result):
    """Energies of a trajectory.

    Attributes:
        per_bead: Energy components per bead [kJ/mol] by name.
    """

    per_bead: Mapping[str, Average]


class Energy(Quantity[Energies]):
    """Potential energy per bead [kJ/mol], compared between systems of different size.

    Limits: `energy_spread`, largest relative spread over systems of different size.
    """

    key, result = "energy", Energies
    limits = ValidationLimits(energy_spread=0.01)

    def compute(self, trajectory: Trajectory) -> Energies | None:
        """Mean energies per bead; None without energies."""
        frames, interval = trajectory.frames, trajectory.interval or 1.0
        per_bead = {
            name: compute_average(values / frames.n_particles, interval=interval)
            for name, values in frames.energies.items()
        }
        return Energies(per_bead=per_bead) if per_bead else None

    def compare(self, ours: Energies, theirs: Energies | None, comparison: Comparison) -> list[Metric]:
        """Potential energy per bead, which has no counterpart among atoms."""
        energy = ours.per_bead.get("potential")
        if energy is None:
            return []
        return [
            Metric(
                key="energy_per_bead",
                label="potential energy per bead",
                unit="kJ/mol",
                value=energy.mean,
                error=energy.standard_error,
            )
        ]

    def compare_runs(
        self, runs: Sequence[tuple[TrajectorySummary, Energies]], limits: Mapping[str, float]
    ) -> list[Metric]:
        """Relative spread of the potential energy per bead over systems of different size; none if all have one."""
        sized = [
            (summary.n_molecules, energies.per_bead["potential"])
            for summary, energies in runs
            if "potential" in energies.per_bead
        ]
        sizes = sorted({size for size, _ in sized})
        if len(sizes) < 2:
            return []
        means = [np.mean([energy.mean for n, energy in sized if n == size]) for size in sizes]
        scale = float(np.mean(np.abs(means)))
        largest_error = max(energy.standard_error for _, energy in sized)
        return [
            Metric(
                key="energy_per_bead_spread",
                label=f"energy per bead at {', '.join(map(str, sizes))} molecules: spread",
                value=float(np.ptp(means)) / scale,
                error=largest_error / scale,
                highest=limits["energy_spread"],
            )
        ]


ENERGY = Energy()
