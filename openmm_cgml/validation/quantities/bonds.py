"""Bond lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.compare import compute_fraction_outside, compute_mean_error, compute_std_ratio
from openmm_cgml.analysis.distributions import Distribution, compute_bond_distributions
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric, name_worst
from openmm_cgml.validation.quantities.distributions import Distributions, compare_shapes, draw_plate
from openmm_cgml.validation.quantity import Comparison, Quantity, check_same_types

if TYPE_CHECKING:
    from openmm_cgml.validation.reference_summary import ReferenceSummary
    from openmm_cgml.validation.report.plate import Plate
    from openmm_cgml.validation.trajectory import Trajectory


class Bonds(Quantity[Distributions]):
    """Bond lengths [nm] by pair of bead types, "A-B"; metrics are those of the worst pair, and of all the divergence.

    Limits: `bond_mean_error`, largest relative deviation of a mean; `bond_std_deviation`, largest deviation from one of
    the ratio of the standard deviations.
    """

    key, result = "bonds", Distributions
    limits = ValidationLimits(bond_mean_error=0.01, bond_std_deviation=0.15)

    def compute(self, trajectory: Trajectory) -> Distributions:
        """Distributions of bond lengths; empty without bonds."""
        return Distributions(by_types=compute_bond_distributions(trajectory.sample, trajectory.topology))

    def compare(self, ours: Distributions, theirs: Distributions | None, comparison: Comparison) -> list[Metric]:
        """Mean, fluctuation and range of the worst pair of types, and divergence over all types."""
        if theirs is None or not theirs.by_types:
            return []
        check_same_types("bonds", ours.by_types, theirs.by_types)
        pairs = {name: (ours.by_types[name], each) for name, each in theirs.by_types.items()}
        errors = {name: compute_mean_error(*pair) for name, pair in pairs.items()}
        ratios = {name: compute_std_ratio(*pair) for name, pair in pairs.items()}
        outside = {name: compute_fraction_outside(*pair) for name, pair in pairs.items()}
        far = max(errors, key=lambda name: abs(errors[name]))
        wide = max(ratios, key=lambda name: abs(np.log(max(ratios[name], 1e-9))))
        out = max(outside, key=lambda name: outside[name])
        mean, std = comparison.limits["bond_mean_error"], comparison.limits["bond_std_deviation"]
        return [
            Metric(
                key="bond_mean_error",
                label=name_worst("mean bond length: relative error", errors, far),
                value=errors[far],
                error=_relative_error(ours.by_types[far]),
                lowest=-mean,
                highest=mean,
            ),
            Metric(
                key="bond_std_ratio",
                label=name_worst("bond length fluctuation: ratio", ratios, wide),
                value=ratios[wide],
                lowest=1 - std,
                highest=1 + std,
            ),
            Metric(
                key="bonds_outside",
                label=name_worst("bonds outside the reference's range", outside, out),
                value=outside[out],
            ),
            *compare_shapes("bond", pairs, theirs),
        ]

    def draw(self, runs: Sequence[tuple[str, Distributions]], reference: ReferenceSummary) -> list[Plate]:
        """Distributions of bond lengths."""
        return draw_plate("bonds", "Bond lengths", ("bond length", "nm", 1.0), reference.trajectory.get(self), runs)


def _relative_error(distribution: Distribution) -> float | None:
    return None if distribution.standard_error is None else distribution.standard_error / distribution.mean


BONDS = Bonds()
