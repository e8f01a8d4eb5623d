"""The verdict: a simulation's metrics beside the reference's, each with its limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.validation.limits import ValidationLimits, check_limits, collect_limits
from openmm_cgml.validation.metric import Metric, format_reference, format_value
from openmm_cgml.validation.quantities import QUANTITIES
from openmm_cgml.validation.quantity import Comparison, Quantity
from openmm_cgml.validation.reference_summary import ReferenceSummary
from openmm_cgml.validation.trajectory_summary import TrajectorySummary


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationResult(Result):
    """One simulation compared with the reference.

    Attributes:
        name: Name of the run.
        status: "complete", or why it is not: "interrupted", "unstable".
        metrics: The metrics, under "figures" in JSON.
        notes: What a reader should know.
    """

    name: str
    status: str
    metrics: tuple[Metric, ...] = field(metadata={"key": "figures"})
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the run reached its end."""
        return self.status == "complete"

    @property
    def passed(self) -> bool:
        """Whether the run is complete and every metric with a limit is within it."""
        return self.is_complete and all(metric.verdict != "fail" for metric in self.metrics)

    def metric(self, key: str) -> Metric:
        """The metric called `key`.

        Raises:
            InputError: If there is none.
        """
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise InputError(f"no metric {key!r}; there are {', '.join(metric.key for metric in self.metrics)}")

    def table(self) -> str:
        """The metrics as a text table."""
        return format_table([self])


@dataclass(frozen=True, eq=False, kw_only=True)
class Validation(Result):
    """All runs of one system compared with the reference.

    Attributes:
        system: Name of the system.
        runs: One result per run.
        across: Metrics that compare runs with one another.
    """

    system: str
    runs: tuple[ValidationResult, ...]
    across: tuple[Metric, ...] = ()

    @property
    def n_complete(self) -> int:
        """Runs that reached their end."""
        return sum(run.is_complete for run in self.runs)

    @property
    def passed(self) -> bool:
        """Whether every run is complete and every metric with a limit is within it."""
        return all(run.passed for run in self.runs) and all(metric.verdict != "fail" for metric in self.across)

    def table(self) -> str:
        """The metrics of all runs as a text table."""
        lines = [format_table(self.runs)]
        lines += [f"{m.title}: {format_value(m.value, m.error)} (limit {m.limit}) {m.verdict}" for m in self.across]
        return "\n".join(lines)


def compare_with_reference(
    summary: TrajectorySummary,
    reference: ReferenceSummary,
    *,
    name: str = "simulation",
    status: str = "complete",
    limits: Mapping[str, float] | None = None,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> ValidationResult:
    """Put a simulation's metrics beside the reference's.

    Args:
        summary: The simulation.
        reference: The reference.
        name: Name of the run.
        status: How the run ended.
        limits: Limits in place of the reference's own; those not given stay.
        quantities: What to compare. A quantity that one of the two does not have is left out.

    Raises:
        InputError: If the two have different bead types or bins, or a limit is unknown.
    """
    comparison = Comparison(
        summary=summary, reference=reference, limits=_complete_limits(reference, limits, quantities)
    )
    notes = [] if status == "complete" else [f"the run is {status}: its metrics cover the part that was recorded"]
    if unread := ", ".join(reference.trajectory.unread):
        notes.append(f"the reference also has {unread}, which is not known here and not compared")
    metrics: list[Metric] = []
    for quantity in quantities:
        ours, theirs = summary.get(quantity), reference.trajectory.get(quantity)
        if ours is not None:
            metrics += quantity.compare(ours, theirs, comparison)
            notes += quantity.collect_notes(ours, theirs, comparison)
    return ValidationResult(name=name, status=status, metrics=tuple(metrics), notes=tuple(notes))


def compare_across(
    summaries: Sequence[TrajectorySummary],
    reference: ReferenceSummary,
    *,
    limits: Mapping[str, float] | None = None,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> tuple[Metric, ...]:
    """Metrics that compare simulations of one system with one another, such as those of boxes of different size.

    Args:
        summaries: The simulations.
        reference: The reference, for its limits.
        limits: Limits in place of the reference's own; those not given stay.
        quantities: What to compare.

    Raises:
        InputError: If a limit is unknown.
    """
    complete = _complete_limits(reference, limits, quantities)
    metrics: list[Metric] = []
    for quantity in quantities:
        found = [(summary, part) for summary in summaries if (part := summary.get(quantity)) is not None]
        metrics += quantity.compare_runs(found, complete)
    return tuple(metrics)


def _complete_limits(
    reference: ReferenceSummary, limits: Mapping[str, float] | None, quantities: Sequence[Quantity[Any]]
) -> ValidationLimits:
    check_limits(limits or (), quantities)
    return ValidationLimits(**{**collect_limits(quantities), **reference.limits, **(limits or {})})


def format_table(results: Sequence[ValidationResult]) -> str:
    """The metrics of several runs side by side, with the reference, the limits and the verdicts."""
    rows = [("", *(result.name for result in results), "reference", "limit", "")]
    for row in align_metrics(results):
        known = [metric for metric in row if metric is not None]
        verdicts = [metric.verdict for metric in known]
        rows.append(
            (
                known[0].title,
                *("" if metric is None else format_value(metric.value, metric.error) for metric in row),
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


def align_metrics(results: Sequence[ValidationResult]) -> list[list[Metric | None]]:
    """One row per kind of metric, one column per run; None where a run lacks it."""
    by_run = [{metric.key: metric for metric in result.metrics} for result in results]
    keys = dict.fromkeys(key for metrics in by_run for key in metrics)
    return [[metrics.get(key) for metrics in by_run] for key in keys]
