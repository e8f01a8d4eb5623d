"""Dimensions of linear chains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from openmm_cgml.analysis.conformation import ChainStatistics, MeanSquare, compute_chain_statistics
from openmm_cgml.analysis.result import Result
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.quantity import Comparison, Quantity
from openmm_cgml.validation.report.chain_pictures import draw_internal_distances, draw_relaxation
from openmm_cgml.validation.report.plate import Plate

if TYPE_CHECKING:
    from openmm_cgml.validation.reference_summary import ReferenceSummary
    from openmm_cgml.validation.trajectory import Trajectory


@dataclass(frozen=True, eq=False, kw_only=True)
class ChainDimensions(Result):
    """Dimensions of the linear chains of a trajectory.

    Attributes:
        by_length: Statistics of the chains by their number of beads, which is text in JSON.
    """

    by_length: Mapping[str, ChainStatistics]

    @property
    def longest(self) -> ChainStatistics:
        """Statistics of the longest chains."""
        return max(self.by_length.values(), key=lambda found: found.n_beads)

    def check_ranges(self) -> None:
        """Refuse chains under the number of beads of others."""
        named = all(name == str(chains.n_beads) for name, chains in self.by_length.items())
        self.require(self.by_length and named, "by_length", "chains by their number of beads")


class Chains(Quantity[ChainDimensions]):
    """Radius of gyration, end-to-end distance and internal distances of chains; compared without limits."""

    key, result = "chains", ChainDimensions

    def compute(self, trajectory: Trajectory) -> ChainDimensions | None:
        """Dimensions of the chains of the sample, with their relaxation; None without chains."""
        interval = None if trajectory.interval is None else trajectory.interval * trajectory.stride
        chains = compute_chain_statistics(
            trajectory.sample, trajectory.topology, interval=interval, time_scale=trajectory.time_scale
        )
        return ChainDimensions(by_length={str(n_beads): found for n_beads, found in chains.items()}) if chains else None

    def compare(self, ours: ChainDimensions, theirs: ChainDimensions | None, comparison: Comparison) -> list[Metric]:
        """Ratios of dimensions for chain lengths that both have, and internal distances for any."""
        if theirs is None:
            return []
        deviations = [
            _compare_internal_distances(a, b) for a in ours.by_length.values() for b in theirs.by_length.values()
        ]
        return [
            *_compare_dimensions(ours.by_length, theirs.by_length),
            Metric(
                key="internal_distance_error",
                label="internal distances ⟨R²(s)⟩, up to half of a chain: relative rms deviation",
                value=float(max(deviations)),
            ),
        ]

    def collect_notes(self, ours: ChainDimensions, theirs: ChainDimensions | None, comparison: Comparison) -> list[str]:
        """Whether chains relax, and whether they are as long as the reference's."""
        if theirs is None:
            return []
        notes = [
            f"reference, chains of {name} beads: {chains.relaxation.statement}"
            for name, chains in theirs.by_length.items()
            if chains.relaxation is not None and not chains.relaxation.is_relaxed
        ]
        notes += [
            f"chains of {name} beads: {chains.relaxation.statement}"
            for name, chains in ours.by_length.items()
            if chains.relaxation is not None
        ]
        if not set(ours.by_length) & set(theirs.by_length):
            notes.append(
                f"chains of {' and '.join(ours.by_length)} beads are compared with a reference of "
                f"{' and '.join(theirs.by_length)}: dimensions by internal distances only; g(r) between chains depends "
                "somewhat on their length"
            )
        return notes

    def draw(self, runs: Sequence[tuple[str, ChainDimensions]], reference: ReferenceSummary) -> list[Plate]:
        """Internal distances and relaxation of the longest chains."""
        found = reference.trajectory.get(self)
        if found is None:
            return []
        ours = [(name, chains.longest) for name, chains in runs]
        caption = "Mean squared internal distances per bond of the longest chains"
        png = draw_internal_distances(found.longest, ours)
        plates = [Plate(name="internal-distances", png=png, caption=caption)]
        if any(chains.relaxation is not None for _, chains in ours):
            png = draw_relaxation(found.longest, ours)
            plates.append(Plate(name="relaxation", png=png, caption="Autocorrelation of end-to-end vectors"))
        return plates


def _compare_dimensions(ours: Mapping[str, ChainStatistics], theirs: Mapping[str, ChainStatistics]) -> list[Metric]:
    common = [(ours[name], theirs[name]) for name in theirs if name in ours]
    if not common:
        return []
    return [
        _average_ratios("rg_ratio", "radius of gyration over the reference's",
                        [(a.gyration, b.gyration) for a, b in common]),
        _average_ratios("end_to_end_ratio", "end-to-end distance over the reference's",
                        [(a.end_to_end, b.end_to_end) for a, b in common]),
    ]  # fmt: skip


def _average_ratios(key: str, label: str, pairs: Sequence[tuple[MeanSquare, MeanSquare]]) -> Metric:
    """Ratio of root mean squares, averaged over chain lengths by the number of our chains."""
    weights = np.array([ours.n_chains for ours, _ in pairs]) / sum(ours.n_chains for ours, _ in pairs)
    ratios = [_ratio_of_roots(*pair) for pair in pairs]
    errors = [error for _, error in ratios if error is not None]
    return Metric(
        key=key,
        label=label,
        value=float(weights @ [ratio for ratio, _ in ratios]),
        error=float(np.sqrt(np.sum((weights * errors) ** 2))) if len(errors) == len(ratios) else None,
    )


def _ratio_of_roots(ours: MeanSquare, theirs: MeanSquare) -> tuple[float, float | None]:
    ratio = ours.root / theirs.root
    if ours.root_error is None or theirs.root_error is None:
        return ratio, None
    return ratio, ratio * float(np.hypot(ours.root_error / ours.root, theirs.root_error / theirs.root))


def _compare_internal_distances(ours: ChainStatistics, theirs: ChainStatistics) -> float:
    longest = max(1, min(ours.n_beads, theirs.n_beads) // 2)
    common = [s for s in theirs.internal.separations.tolist() if s <= longest and s in ours.internal.separations]
    ratios = [ours.internal.mean[ours.internal.at(s)] / theirs.internal.mean[theirs.internal.at(s)] for s in common]
    return float(np.sqrt(np.mean((np.array(ratios) - 1) ** 2)))


CHAINS = Chains()
