"""Angles and torsions, which shape a chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.compare import compute_js_divergence, compute_mean_error, compute_std_ratio
from openmm_cgml.analysis.distributions import (
    Distribution,
    compute_angle_distributions,
    compute_torsion_distributions,
)
from openmm_cgml.validation.metric import Metric, name_worst
from openmm_cgml.validation.quantities.distributions import Distributions, compare_shapes, draw_plate
from openmm_cgml.validation.quantity import Comparison, Quantity

if TYPE_CHECKING:
    from openmm_cgml.frames import Frames
    from openmm_cgml.topology import CGTopology
    from openmm_cgml.validation.reference_summary import ReferenceSummary
    from openmm_cgml.validation.report.plate import Plate
    from openmm_cgml.validation.trajectory import Trajectory

_DEGREES = 180 / np.pi


class Angles(Quantity[Distributions]):
    """Angles [rad] by triple of bead types, "A-B-C"; compared for chains, without limits."""

    key, result = "angles", Distributions

    def compute(self, trajectory: Trajectory) -> Distributions | None:
        """Distributions of angles; None without angles."""
        return _compute(trajectory, compute_angle_distributions)

    def compare(self, ours: Distributions, theirs: Distributions | None, comparison: Comparison) -> list[Metric]:
        """Divergence over all types, and mean and fluctuation of the worst."""
        if theirs is None or not comparison.of_chains:
            return []
        pairs = {name: (ours.by_types[name], each) for name, each in theirs.by_types.items() if name in ours.by_types}
        return [*compare_shapes("angle", pairs, theirs), *_compare_moments(pairs)]

    def draw(self, runs: Sequence[tuple[str, Distributions]], reference: ReferenceSummary) -> list[Plate]:
        """Distributions of angles."""
        return draw_plate("angles", "Angles", ("angle", "degree", _DEGREES), reference.trajectory.get(self), runs)


class Torsions(Quantity[Distributions]):
    """Magnitudes of torsions [rad] by four bead types, "A-B-C-D"; compared for chains, without limits."""

    key, result = "torsions", Distributions

    def compute(self, trajectory: Trajectory) -> Distributions | None:
        """Distributions of the magnitude of torsions; None without torsions."""
        return _compute(trajectory, compute_torsion_distributions)

    def compare(self, ours: Distributions, theirs: Distributions | None, comparison: Comparison) -> list[Metric]:
        """Divergence over all types."""
        if theirs is None or not comparison.of_chains:
            return []
        pairs = {name: (ours.by_types[name], each) for name, each in theirs.by_types.items() if name in ours.by_types}
        return compare_shapes("torsion", pairs, theirs)

    def draw(self, runs: Sequence[tuple[str, Distributions]], reference: ReferenceSummary) -> list[Plate]:
        """Distributions of torsions."""
        coordinate = ("torsion angle, without sign", "degree", _DEGREES)
        return draw_plate("torsions", "Torsions", coordinate, reference.trajectory.get(self), runs)


def _compute(
    trajectory: Trajectory, compute: Callable[[Frames, CGTopology], dict[str, Distribution]]
) -> Distributions | None:
    """Distributions of the sample, for chains with the divergence between its halves; None without coordinates."""
    sample, topology = trajectory.sample, trajectory.topology
    found = compute(sample, topology)
    half_js: dict[str, float] = {}
    if trajectory.chain_lengths and len(sample) > 1:
        first, second = (compute(part, topology) for part in (sample[: len(sample) // 2], sample[len(sample) // 2 :]))
        half_js = {name: compute_js_divergence(first[name], second[name]) for name in found}
    return Distributions(by_types=found, half_js=half_js) if found else None


def _compare_moments(pairs: Mapping[str, tuple[Distribution, Distribution]]) -> list[Metric]:
    """Mean and fluctuation of the worst types."""
    if not pairs:
        return []
    errors = {name: compute_mean_error(*pair) for name, pair in pairs.items()}
    far = max(errors, key=lambda name: abs(errors[name]))
    metrics = [
        Metric(key="angle_mean_error", label=name_worst("mean angle: relative error", errors, far), value=errors[far])
    ]
    ratios = {name: compute_std_ratio(*pair) for name, pair in pairs.items() if pair[1].std > 0}
    if ratios:
        wide = max(ratios, key=lambda name: abs(np.log(max(ratios[name], 1e-9))))
        label = name_worst("angle fluctuation: ratio", ratios, wide)
        metrics.append(Metric(key="angle_std_ratio", label=label, value=ratios[wide]))
    return metrics


ANGLES, TORSIONS = Angles(), Torsions()
