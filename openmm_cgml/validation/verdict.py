"""The verdict: a simulation's figures beside the reference's, each with its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.compare import (
    POLYMER_RMSE_RANGE,
    RMSE_RANGE,
    compare_rdf,
    compute_fraction_outside,
    compute_mass_below,
    compute_mean_error,
    compute_std_ratio,
)
from openmm_cgml.analysis.diffusion import CM2_PER_S
from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.validation.metric import Figure, format_reference, format_value, name_worst
from openmm_cgml.validation.polymer_figures import compute_polymer_figures, compute_polymer_notes
from openmm_cgml.validation.reference_summary import ReferenceSummary, ValidationLimits
from openmm_cgml.validation.trajectory_summary import TrajectorySummary


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationResult(Result):
    """One simulation compared with the reference.

    Attributes:
        name: Name of the run.
        status: "complete", or why it is not: "interrupted", "unstable".
        figures: The figures.
        notes: What a reader should know.
    """

    name: str
    status: str
    figures: tuple[Figure, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the run reached its end."""
        return self.status == "complete"

    @property
    def passed(self) -> bool:
        """Whether the run is complete and every figure with a limit is within it."""
        return self.is_complete and all(figure.verdict != "fail" for figure in self.figures)

    def figure(self, key: str) -> Figure:
        """The figure called `key`.

        Raises:
            InputError: If there is none.
        """
        for figure in self.figures:
            if figure.key == key:
                return figure
        raise InputError(f"no figure {key!r}; there are {', '.join(figure.key for figure in self.figures)}")

    def table(self) -> str:
        """The figures as a text table."""
        return format_table([self])


@dataclass(frozen=True, eq=False, kw_only=True)
class Validation(Result):
    """All runs of one system compared with the reference.

    Attributes:
        system: Name of the system.
        runs: One result per run.
        across: Figures that compare runs with one another.
    """

    system: str
    runs: tuple[ValidationResult, ...]
    across: tuple[Figure, ...] = ()

    @property
    def n_complete(self) -> int:
        """Runs that reached their end."""
        return sum(run.is_complete for run in self.runs)

    @property
    def passed(self) -> bool:
        """Whether every run is complete and every figure with a limit is within it."""
        return all(run.passed for run in self.runs) and all(figure.verdict != "fail" for figure in self.across)

    def table(self) -> str:
        """The figures of all runs as a text table."""
        lines = [format_table(self.runs)]
        lines += [f"{f.title}: {format_value(f.value, f.error)} (limit {f.limit}) {f.verdict}" for f in self.across]
        return "\n".join(lines)


def compare_with_reference(
    summary: TrajectorySummary,
    reference: ReferenceSummary,
    *,
    name: str = "simulation",
    status: str = "complete",
    limits: ValidationLimits | None = None,
) -> ValidationResult:
    """Put a simulation's figures beside the reference's.

    Args:
        summary: The simulation.
        reference: The reference.
        name: Name of the run.
        status: How the run ended.
        limits: Limits, if others than the reference's own.

    Raises:
        InputError: If the two have different bead types or bins.
    """
    limits = limits or reference.limits
    _check_same_system(summary, reference.trajectory)
    r_range = _common_range(summary, reference.trajectory)
    notes = []
    if r_range[1] < (POLYMER_RMSE_RANGE if reference.trajectory.chains else RMSE_RANGE)[1] - 1e-6:
        notes.append(f"the box allows g(r) up to {r_range[1]:g} nm only, so the comparison ends there")
    if status != "complete":
        notes.append(f"the run is {status}: its figures cover the part that was recorded")
    is_polymer = bool(summary.chains and reference.trajectory.chains)
    notes += compute_polymer_notes(summary, reference) if is_polymer else []
    figures = [
        *_thermodynamic_figures(summary, reference, limits),
        *(
            compute_polymer_figures(summary, reference, limits)
            if is_polymer
            else _gr_figures(summary, reference, limits, r_range)
        ),
        *_bond_figures(summary.bonds, reference.trajectory.bonds, limits),
        *_mobility_figures(summary, reference.trajectory, limits),
    ]
    return ValidationResult(name=name, status=status, figures=tuple(figures), notes=tuple(notes))


def compare_sizes(summaries: Sequence[TrajectorySummary], limits: ValidationLimits) -> Figure | None:
    """Relative spread of the potential energy per bead over systems of different size; None if all have one size."""
    sized = [(summary.n_molecules, summary.energies_per_bead["potential"]) for summary in summaries
             if "potential" in summary.energies_per_bead]  # fmt: skip
    sizes = sorted({size for size, _ in sized})
    if len(sizes) < 2:
        return None
    means = [np.mean([energy.mean for n, energy in sized if n == size]) for size in sizes]
    scale = float(np.mean(np.abs(means)))
    largest_error = max(energy.standard_error for _, energy in sized)
    return Figure(
        key="energy_per_bead_spread",
        label=f"energy per bead at {', '.join(map(str, sizes))} molecules: spread",
        value=float(np.ptp(means)) / scale,
        error=largest_error / scale,
        highest=limits.energy_spread,
    )


def format_table(results: Sequence[ValidationResult]) -> str:
    """The figures of several runs side by side, with the reference, the limits and the verdicts."""
    rows = [("", *(result.name for result in results), "reference", "limit", "")]
    for row in align_figures(results):
        known = [figure for figure in row if figure is not None]
        verdicts = [figure.verdict for figure in known]
        rows.append(
            (
                known[0].title,
                *("" if figure is None else format_value(figure.value, figure.error) for figure in row),
                format_reference(known[0]),
                known[0].limit,
                "fail" if "fail" in verdicts else verdicts[0],
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * max(map(len, lines)))
    lines += [f"{result.name}: {note}" for result in results for note in result.notes]
    return "\n".join(lines)


def align_figures(results: Sequence[ValidationResult]) -> list[list[Figure | None]]:
    """One row per kind of figure, one column per run; None where a run lacks it."""
    by_run = [{figure.key: figure for figure in result.figures} for result in results]
    keys = dict.fromkeys(key for figures in by_run for key in figures)
    return [[figures.get(key) for figures in by_run] for key in keys]


def _thermodynamic_figures(
    summary: TrajectorySummary, reference: ReferenceSummary, limits: ValidationLimits
) -> list[Figure]:
    figures = []
    if summary.temperature is not None:
        figures.append(
            Figure(
                key="temperature_mean",
                label="mean temperature",
                unit="K",
                value=summary.temperature.mean,
                error=summary.temperature.standard_error,
                reference=reference.temperature,
                lowest=reference.temperature - limits.temperature,
                highest=reference.temperature + limits.temperature,
            )
        )
    density = reference.trajectory.density
    figures.append(
        Figure(
            key="density",
            label="density",
            unit="g/cm³",
            value=summary.density,
            reference=density,
            lowest=density * (1 - limits.density_error),
            highest=density * (1 + limits.density_error),
        )
    )
    if "potential" in summary.energies_per_bead:
        energy = summary.energies_per_bead["potential"]
        figures.append(
            Figure(
                key="energy_per_bead",
                label="potential energy per bead",
                unit="kJ/mol",
                value=energy.mean,
                error=energy.standard_error,
            )
        )
    return figures


def _gr_figures(
    summary: TrajectorySummary, reference: ReferenceSummary, limits: ValidationLimits, r_range: tuple[float, float]
) -> list[Figure]:
    figures, below = [], {}
    ours, theirs = summary.com, reference.trajectory.com
    if ours is not None and theirs is not None:
        figures.append(
            Figure(
                key="gr_com_rmse",
                label="g(r) of centers of mass: RMSE",
                value=compare_rdf(ours, theirs, r_range=r_range),
                reference_error=reference.half_rmse.get("com"),
                highest=limits.gr_com_rmse,
            )
        )
        below["centers of mass"] = compute_mass_below(ours, theirs)
    pairs = {
        name: compare_rdf(summary.inter[name], rdf, r_range=r_range) for name, rdf in reference.trajectory.inter.items()
    }
    if pairs:
        worst = max(pairs, key=lambda name: pairs[name])
        figures.append(
            Figure(
                key="gr_inter_rmse",
                label=name_worst("g(r) between molecules: RMSE", pairs, worst),
                value=pairs[worst],
                reference_error=reference.half_rmse.get(f"inter {worst}"),
                highest=limits.gr_inter_rmse,
            )
        )
        below |= {
            name: compute_mass_below(summary.inter[name], rdf) for name, rdf in reference.trajectory.inter.items()
        }
    if below:
        worst = max(below, key=lambda name: below[name])
        figures.append(
            Figure(
                key="gr_below_first_bin",
                label=name_worst("g(r) below the reference's first bin", below, worst),
                value=below[worst],
                highest=limits.gr_below_first_bin,
            )
        )
    return figures


def _bond_figures(
    ours: Mapping[str, Distribution], theirs: Mapping[str, Distribution], limits: ValidationLimits
) -> list[Figure]:
    if not theirs:
        return []
    errors = {name: compute_mean_error(ours[name], theirs[name]) for name in theirs}
    ratios = {name: compute_std_ratio(ours[name], theirs[name]) for name in theirs}
    outside = {name: compute_fraction_outside(ours[name], theirs[name]) for name in theirs}
    far = max(errors, key=lambda name: abs(errors[name]))
    wide = max(ratios, key=lambda name: abs(np.log(max(ratios[name], 1e-9))))
    out = max(outside, key=lambda name: outside[name])
    return [
        Figure(
            key="bond_mean_error",
            label=name_worst("mean bond length: relative error", errors, far),
            value=errors[far],
            error=_relative_error(ours[far]),
            lowest=-limits.bond_mean_error,
            highest=limits.bond_mean_error,
        ),
        Figure(
            key="bond_std_ratio",
            label=name_worst("bond length fluctuation: ratio", ratios, wide),
            value=ratios[wide],
            lowest=1 - limits.bond_std_deviation,
            highest=1 + limits.bond_std_deviation,
        ),
        Figure(
            key="bonds_outside",
            label=name_worst("bonds outside the reference's range", outside, out),
            value=outside[out],
        ),
    ]


def _mobility_figures(
    summary: TrajectorySummary, reference: TrajectorySummary, limits: ValidationLimits
) -> list[Figure]:
    if summary.diffusion is None:
        return []
    figure = {
        "key": "diffusion",
        "label": "diffusion coefficient (CG time)",
        "unit": "10⁻⁵ cm²/s",
        "value": _in_1e5(summary.diffusion.value),
        "error": _in_1e5(summary.diffusion.standard_error),
    }
    if reference.diffusion is not None:
        figure |= {
            "reference": _in_1e5(reference.diffusion.value),
            "reference_error": _in_1e5(reference.diffusion.standard_error),
            "lowest": _in_1e5(reference.diffusion.value * limits.frozen_ratio),
        }
    return [Figure(**figure)]  # type: ignore[arg-type]


def _in_1e5(value: float | None) -> float | None:
    """A diffusion coefficient [nm^2/ps] in 1e-5 cm^2/s."""
    return None if value is None else value * CM2_PER_S * 1e5


def _relative_error(distribution: Distribution) -> float | None:
    return None if distribution.standard_error is None else distribution.standard_error / distribution.mean


def _common_range(summary: TrajectorySummary, reference: TrajectorySummary) -> tuple[float, float]:
    ends: list[RadialDistribution] = [
        rdf for part in (summary, reference) for rdf in (part.com, *part.inter.values()) if rdf is not None
    ]
    first, last = POLYMER_RMSE_RANGE if reference.chains else RMSE_RANGE
    return first, min([last, *(float(rdf.bin_edges[-1]) for rdf in ends)])


def _check_same_system(summary: TrajectorySummary, reference: TrajectorySummary) -> None:
    for what in ("inter", "bonds"):
        ours, theirs = set(getattr(summary, what)), set(getattr(reference, what))
        if not theirs <= ours:
            raise InputError(
                f"the reference has {what} distributions of {sorted(theirs)}, the simulation of {sorted(ours)}; "
                "they are different systems: choose the reference of this system"
            )
    if (summary.com is None) != (reference.com is None):
        raise InputError(
            "one of simulation and reference has a single molecule, the other several; choose its own reference"
        )
