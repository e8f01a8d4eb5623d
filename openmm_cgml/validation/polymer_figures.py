"""Figures of chains: structure between and within them over all beads, angles, torsions, dimensions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from openmm_cgml.analysis.compare import (
    POLYMER_RMSE_RANGE,
    compare_rdf,
    compute_js_divergence,
    compute_mass_below,
    compute_mean_error,
    compute_std_ratio,
)
from openmm_cgml.analysis.conformation import ChainStatistics, MeanSquare
from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.validation.metric import Figure, name_worst
from openmm_cgml.validation.reference_summary import ReferenceSummary, ValidationLimits
from openmm_cgml.validation.trajectory_summary import TrajectorySummary


def compute_polymer_figures(
    summary: TrajectorySummary, reference: ReferenceSummary, limits: ValidationLimits
) -> list[Figure]:
    """The figures of chains.

    Args:
        summary: The simulation.
        reference: The reference; its chains may have other lengths than the simulation's.
        limits: Limits.

    Raises:
        InputError: If the bins of the distributions differ.
    """
    return [
        *_gr_figures(summary, reference, limits),
        *_shape_figures("angle", summary.angles, reference.trajectory.angles, reference.half_js),
        *_shape_figures("torsion", summary.torsions, reference.trajectory.torsions, reference.half_js),
        *_dimension_figures(summary.chains, reference.trajectory.chains),
        *_bead_mobility_figures(summary, reference.trajectory),
    ]


def compute_polymer_notes(summary: TrajectorySummary, reference: ReferenceSummary) -> list[str]:
    """What a reader should know about the chains of a simulation and its reference."""
    notes = [
        f"reference, chains of {name} beads: {chains.relaxation.statement}"
        for name, chains in reference.trajectory.chains.items()
        if chains.relaxation is not None and not chains.relaxation.is_relaxed
    ]
    notes += [
        f"chains of {name} beads: {chains.relaxation.statement}"
        for name, chains in summary.chains.items()
        if chains.relaxation is not None
    ]
    if not set(summary.chains) & set(reference.trajectory.chains):
        notes.append(
            f"chains of {_list(summary.chains)} beads are compared with a reference of "
            f"{_list(reference.trajectory.chains)}: dimensions by internal distances only; g(r) between chains depends "
            "somewhat on their length"
        )
    return notes


def _gr_figures(summary: TrajectorySummary, reference: ReferenceSummary, limits: ValidationLimits) -> list[Figure]:
    atomistic, figures = reference.trajectory, []
    ours, theirs = summary.inter_all, atomistic.inter_all
    if ours is not None and theirs is not None:
        r_range = _common_range(ours, theirs)
        pairs = {name: compare_rdf(summary.inter[name], rdf, r_range=r_range) for name, rdf in atomistic.inter.items()}
        worst = max(pairs, key=lambda name: pairs[name])
        figures += [
            Figure(
                key="gr_inter_rmse",
                label=f"g(r) between molecules, all beads, up to {r_range[1]:.3g} nm: RMSE",
                value=compare_rdf(ours, theirs, r_range=r_range),
                reference_error=reference.half_rmse.get("inter"),
                highest=limits.gr_inter_rmse,
            ),
            Figure(
                key="gr_inter_pairs_rmse",
                label=name_worst("g(r) between molecules by types: RMSE", pairs, worst),
                value=pairs[worst],
                reference_error=reference.half_rmse.get(f"inter {worst}"),
            ),
            Figure(
                key="gr_below_first_bin",
                label="g(r) below the reference's first bin, all beads",
                value=compute_mass_below(ours, theirs),
                highest=limits.gr_below_first_bin,
            ),
        ]
    if summary.intra_all is not None and atomistic.intra_all is not None:
        figures.append(
            _relative_gr_figure(
                "gr_intra_rmse",
                "g(r) within molecules: RMSE / peak height",
                summary.intra_all,
                atomistic.intra_all,
                reference.half_rmse.get("intra"),
                limits.gr_intra_rmse,
            )
        )
    if summary.intra_far is not None and atomistic.intra_far is not None and atomistic.intra_far.counts.any():
        figures.append(
            _relative_gr_figure(
                "gr_intra_far_rmse",
                "the same, beads more than two bonds apart",
                summary.intra_far,
                atomistic.intra_far,
                reference.half_rmse.get("far"),
                None,
            )
        )
    if summary.com is not None and atomistic.com is not None:
        figures.append(
            Figure(
                key="gr_com_rmse",
                label="g(r) of centers of mass: RMSE",
                value=compare_rdf(summary.com, atomistic.com, r_range=_common_range(summary.com, atomistic.com)),
                reference_error=reference.half_rmse.get("com"),
            )
        )
    return figures


def _relative_gr_figure(
    key: str,
    label: str,
    ours: RadialDistribution,
    theirs: RadialDistribution,
    own_error: float | None,
    limit: float | None,
) -> Figure:
    peak = float(theirs.g.max())
    return Figure(
        key=key,
        label=label,
        value=compare_rdf(ours, theirs, r_range=_common_range(ours, theirs)) / peak,
        reference_error=None if own_error is None else own_error / peak,
        highest=limit,
    )


def _shape_figures(
    kind: str, ours: Mapping[str, Distribution], theirs: Mapping[str, Distribution], half_js: Mapping[str, float]
) -> list[Figure]:
    """Divergence over all types, weighted by how many coordinates each has, and the worst mean and width of angles."""
    names = [name for name in theirs if name in ours]
    if not names:
        return []
    weights = np.array([theirs[name].n_samples for name in names], dtype=np.float64)
    js = [compute_js_divergence(ours[name], theirs[name]) for name in names]
    own = [half_js.get(f"{kind} {name}") for name in names]
    known = [error for error in own if error is not None]
    figures = [
        Figure(
            key=f"{kind}_js",
            label=f"{kind}s: Jensen-Shannon divergence",
            unit="bit",
            value=float(np.average(js, weights=weights)),
            reference_error=float(np.average(known, weights=weights)) if len(known) == len(names) else None,
        )
    ]
    if kind == "angle":
        errors = {name: compute_mean_error(ours[name], theirs[name]) for name in names}
        far = max(errors, key=lambda name: abs(errors[name]))
        ratios = {name: compute_std_ratio(ours[name], theirs[name]) for name in names if theirs[name].std > 0}
        figures.append(
            Figure(
                key="angle_mean_error", label=name_worst("mean angle: relative error", errors, far), value=errors[far]
            )
        )
        if ratios:
            wide = max(ratios, key=lambda name: abs(np.log(max(ratios[name], 1e-9))))
            figures.append(
                Figure(
                    key="angle_std_ratio",
                    label=name_worst("angle fluctuation: ratio", ratios, wide),
                    value=ratios[wide],
                )
            )
    return figures


def _dimension_figures(ours: Mapping[str, ChainStatistics], theirs: Mapping[str, ChainStatistics]) -> list[Figure]:
    figures = []
    for key, label, part in (
        ("rg_ratio", "radius of gyration over the reference's", "gyration"),
        ("end_to_end_ratio", "end-to-end distance over the reference's", "end_to_end"),
    ):
        ratios = [
            (*_ratio_of_roots(getattr(ours[name], part), getattr(theirs[name], part)), ours[name].n_chains)
            for name in theirs
            if name in ours
        ]
        if ratios:
            weights = np.array([n for _, _, n in ratios]) / sum(n for _, _, n in ratios)
            errors = [error for _, error, _ in ratios]
            figures.append(
                Figure(
                    key=key,
                    label=label,
                    value=float(weights @ [ratio for ratio, _, _ in ratios]),
                    error=float(np.sqrt(np.sum((weights * errors) ** 2))) if None not in errors else None,  # type: ignore[operator]
                )
            )
    deviations = [_compare_internal_distances(a, b) for a in ours.values() for b in theirs.values()]
    figures.append(
        Figure(
            key="internal_distance_error",
            label="internal distances ⟨R²(s)⟩, up to half of a chain: relative rms deviation",
            value=float(max(deviations)),
        )
    )
    return figures


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


def _bead_mobility_figures(summary: TrajectorySummary, reference: TrajectorySummary) -> list[Figure]:
    """How much faster beads move than in the reference, at a tenth of the longest common lag time."""
    ours, theirs = summary.bead_msd, reference.bead_msd
    if ours is None or theirs is None:
        return []
    time = min(float(ours.times[-1]), float(theirs.times[-1])) / 10
    if time < max(float(ours.times[1]), float(theirs.times[1])):
        return []
    found, expected = (float(np.interp(time, msd.times, msd.msd)) for msd in (ours, theirs))
    return [
        Figure(
            key="bead_msd_ratio",
            label=f"displacement² of beads in {time:.3g} ps (CG time) over the reference's",
            value=found / expected,
        )
    ]


def _common_range(first: RadialDistribution, second: RadialDistribution) -> tuple[float, float]:
    low, high = POLYMER_RMSE_RANGE
    return low, min(high, float(first.bin_edges[-1]), float(second.bin_edges[-1]))


def _list(names: Mapping[str, object]) -> str:
    return " and ".join(names)
