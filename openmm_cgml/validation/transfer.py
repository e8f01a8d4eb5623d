"""Transfer: whether one model gives chains of other lengths, or in other boxes, the same statistics per segment.

The first run is the one that the others are compared with. Every quantity has a value with a standard error that
counts correlated samples once: temperature and bonds from their correlation times, g(r) from blocks of frames,
displacements from groups of beads, internal distances from sections of the chains. Differences are tested by Welch's t,
with the degrees of freedom that the errors have, and all p-values together by Holm's procedure (S. Holm, Scand. J.
Statist. 6, 65 (1979)): the chance that any is called different although all are equal is the level of significance. A
difference that is resolved but smaller than a tolerance does not count.

Compared is what is the same for chains of any length: g(r) over all pairs of beads, while g(r) between chains alone
depends on their length by what a chain itself fills around its beads; displacements of the inner half of each chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import t as student_t

from openmm_cgml.analysis.conformation import ChainStatistics
from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.validation.metric import format_value
from openmm_cgml.validation.quantities import BONDS, CHAINS, DENSITY, MOBILITY, STRUCTURE, TEMPERATURE
from openmm_cgml.validation.quantity import Quantity, R
from openmm_cgml.validation.trajectory_summary import TrajectorySummary

_WINDOW = 0.1
"""Width of the windows over which g(r) is averaged before it is compared [nm]."""
_N_TIMES = 4
_MIN_SECTIONS = 4
_SEPARATIONS = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferLimits(Result):
    """When two runs count as different.

    Attributes:
        significance: Chance that any quantity is called different although all are equal.
        tolerance: Relative difference that does not count even if it is resolved; absolute for g(r).
    """

    significance: float = 0.01
    tolerance: float = 0.01


@dataclass(frozen=True, eq=False, kw_only=True)
class Measurement(Result):
    """A value of one run.

    Attributes:
        value: The value.
        error: Its standard error.
        n_effective: Independent samples behind the error.
    """

    value: float
    error: float
    n_effective: float


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferTest(Result):
    """One run's value against the first run's.

    Attributes:
        deviation: Difference over the first run's value; for g(r) the difference itself.
        p_value: Chance of a difference as large between equal runs, corrected for the number of tests.
        resolution: Smallest deviation that would have been noticed.
        verdict: "same", "below tolerance", or "differs".
    """

    deviation: float
    p_value: float
    resolution: float
    verdict: str


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferQuantity(Result):
    """One quantity of all runs.

    Attributes:
        group: What it belongs to: "temperature", "bond length", "g(r)", ...
        label: Name with the point of a curve that it is.
        unit: Unit, empty for pure numbers.
        values: One per run; None where the run does not give it with an error.
        tests: One per run after the first; None where it is not compared.
    """

    group: str
    label: str
    unit: str
    values: tuple[Measurement | None, ...]
    tests: tuple[TransferTest | None, ...]

    @property
    def differs(self) -> bool:
        """Whether any run differs from the first."""
        return any(test is not None and test.verdict == "differs" for test in self.tests)


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferRun(Result):
    """What was compared.

    Attributes:
        name: Name of the run.
        n_chains: Chains, of all lengths.
        chain_beads: Beads of the chains whose internal distances are compared, the longest of the run.
        n_beads: Beads in the box.
        density: Mass density [g/cm^3].
    """

    name: str
    n_chains: int
    chain_beads: int
    n_beads: int
    density: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Transfer(Result):
    """Runs of one model at several chain lengths or box sizes, compared.

    Attributes:
        runs: The runs; the first is the one that the others are compared with.
        quantities: What was compared.
        limits: When two runs count as different.
        notes: What a reader should know.
    """

    runs: tuple[TransferRun, ...]
    quantities: tuple[TransferQuantity, ...]
    limits: TransferLimits
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no compared quantity differs."""
        return not any(quantity.differs for quantity in self.quantities)

    def groups(self) -> dict[str, list[TransferQuantity]]:
        """The quantities by group."""
        found: dict[str, list[TransferQuantity]] = {}
        for quantity in self.quantities:
            found.setdefault(quantity.group, []).append(quantity)
        return found

    def table(self) -> str:
        """All quantities of all runs as a text table, and the verdict of each group."""
        rows = [("", *(run.name for run in self.runs), "deviation", "would show", "p", "")]
        rows += [describe_quantity(quantity) for quantity in self.quantities]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.insert(1, "-" * max(map(len, lines)))
        return "\n".join([*lines, *self.notes, self.statement])

    @property
    def statement(self) -> str:
        """The verdict in words, with the test."""
        different = [name for name, members in self.groups().items() if any(each.differs for each in members)]
        test = (
            f"Welch's t, Holm's correction, significance {self.limits.significance:g}; differences up to "
            f"{self.limits.tolerance:g} do not count"
        )
        if different:
            return f"the runs differ in {', '.join(different)} ({test})"
        return f"the same statistics per segment within error ({test})"


def compare_transfer(runs: Sequence[tuple[str, TrajectorySummary]], limits: TransferLimits | None = None) -> Transfer:
    """Compare runs of one model at different chain lengths or box sizes with the first of them.

    Args:
        runs: Names and summaries.
        limits: When two runs count as different.

    Raises:
        InputError: If there are fewer than two runs, one has no chains or was not summarized in full, or
            they share no type of bond.
    """
    limits = limits or TransferLimits()
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run; transfer compares at least two, of one model and different chain lengths")
    for name, summary in runs:
        if not summary.chain_lengths:
            raise InputError(f"{name}: no linear chains of four beads or more; transfer compares runs of polymers")
    summaries = [summary for _, summary in runs]
    bonds = [_part(summary, BONDS).by_types for summary in summaries]
    common = [name for name in bonds[0] if all(name in each for each in bonds)]
    if not common:
        known = "; ".join(", ".join(each) for each in bonds)
        raise InputError(f"the runs share no type of bond ({known}); transfer compares runs of one model")
    rows = [
        *_temperature_rows(summaries),
        *_bond_rows(bonds, common),
        *_gr_rows(summaries),
        *_displacement_rows(summaries),
        *_distance_rows(summaries),
    ]
    return Transfer(
        runs=tuple(_describe_run(name, summary) for name, summary in runs),
        quantities=tuple(_test_all(rows, limits)),
        limits=limits,
        notes=tuple(_collect_notes(runs)),
    )


def describe_quantity(quantity: TransferQuantity) -> tuple[str, ...]:
    """A row of the table: label, values, largest deviation, resolution, p-value and verdict."""
    title = f"{quantity.label} [{quantity.unit}]" if quantity.unit else quantity.label
    values = ["–" if each is None else format_value(each.value, each.error) for each in quantity.values]
    tests = [test for test in quantity.tests if test is not None]
    if not tests:
        return (title, *values, "", "", "", "not compared")
    worst = min(tests, key=lambda test: test.p_value)
    verdict = "differs" if quantity.differs else worst.verdict
    return (title, *values, f"{worst.deviation:+.2g}", f"{worst.resolution:.2g}", f"{worst.p_value:.2g}", verdict)


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A quantity before it is tested; `absolute` compares differences, `tested` is False for what is only shown."""

    group: str
    label: str
    unit: str = ""
    values: tuple[Measurement | None, ...]
    absolute: bool = False
    tested: bool = True


def _part(summary: TrajectorySummary, quantity: Quantity[R]) -> R:
    found = summary.get(quantity)
    if found is None:
        raise InputError(f"a run was summarized without {quantity.key}, which transfer compares; summarize all")
    return found


def _temperature_rows(summaries: Sequence[TrajectorySummary]) -> list[_Row]:
    values = tuple(
        None if (t := summary.get(TEMPERATURE)) is None
        else Measurement(value=t.mean, error=t.standard_error, n_effective=t.n_effective)
        for summary in summaries
    )  # fmt: skip
    return [_Row(group="temperature", label="temperature", unit="K", values=values)]


def _bond_rows(bonds: Sequence[Mapping[str, Distribution]], names: Sequence[str]) -> list[_Row]:
    rows = []
    for name in names:
        found = [each[name] for each in bonds]
        means = tuple(_measure(each.mean, each.standard_error, each.std) for each in found)
        widths = tuple(_measure(each.std, each.std_error, each.std) for each in found)
        rows.append(_Row(group="bond length", label=f"bond {name}: mean", unit="nm", values=means))
        rows.append(_Row(group="bond length", label=f"bond {name}: standard deviation", unit="nm", values=widths))
    return rows


def _measure(value: float, error: float | None, std: float) -> Measurement | None:
    """A moment of a distribution, with the number of samples that its error stands for."""
    if error is None or error <= 0:
        return None
    return Measurement(value=value, error=error, n_effective=max(2.0, (std / error) ** 2))


def _gr_rows(summaries: Sequence[TrajectorySummary]) -> list[_Row]:
    structures = [_part(summary, STRUCTURE) for summary in summaries]
    inter = [structure.inter_all for structure in structures]
    whole = [rdf for structure in structures if (rdf := structure.all_far) is not None]
    rows = _window_rows("g(r), all pairs", whole, tested=True)
    if all(rdf is not None for rdf in inter):
        rows += _window_rows("g(r) between chains", [rdf for rdf in inter if rdf is not None], tested=False)
    return rows


def _window_rows(label: str, rdfs: Sequence[RadialDistribution], *, tested: bool) -> list[_Row]:
    end = min(float(rdf.bin_edges[-1]) for rdf in rdfs)
    start = min(rdf.first_occupied_bin * float(rdf.bin_edges[1]) for rdf in rdfs)
    edges = np.arange(np.floor(start / _WINDOW + 1e-6), np.floor(end / _WINDOW + 1e-6) + 1) * _WINDOW
    rows = []
    for low, high in pairwise(edges.tolist()):
        values = tuple(_average_window(rdf, low, high) for rdf in rdfs)
        name = f"{label}, {low:.1f} to {high:.1f} nm"
        rows.append(_Row(group=label, label=name, values=values, absolute=True, tested=tested))
    return rows


def _average_window(rdf: RadialDistribution, low: float, high: float) -> Measurement | None:
    inside = (rdf.r > low) & (rdf.r < high)
    blocks = rdf.block_g[:, inside].mean(axis=1)
    error = float(blocks.std(ddof=1) / np.sqrt(len(blocks))) if len(blocks) > 1 else 0.0
    if error <= 0:
        return None
    return Measurement(value=float(rdf.g[inside].mean()), error=error, n_effective=float(len(blocks)))


def _displacement_rows(summaries: Sequence[TrajectorySummary]) -> list[_Row]:
    """Displacements of inner beads at equal times, up to a fifth of the lags: beyond, time origins are few."""
    found = [summary.get(MOBILITY) for summary in summaries]
    known = [each.inner_msd for each in found if each is not None and each.inner_msd is not None]
    if len(known) < len(found):
        return []
    first = max(float(msd.times[1]) for msd in known)
    last = min(float(msd.times[-1]) for msd in known) / 5
    if last < first:
        return []
    rows = []
    for time in np.unique(np.geomspace(first, last, _N_TIMES)):
        values = []
        for msd in known:
            groups = np.array([np.interp(time, msd.times, group) for group in msd.group_msd])
            error = float(groups.std(ddof=1) / np.sqrt(len(groups))) if len(groups) > 1 else 0.0
            mean = float(np.interp(time, msd.times, msd.msd))
            values.append(Measurement(value=mean, error=error, n_effective=float(len(groups))) if error > 0 else None)
        label = f"displacement² of inner beads in {time:.3g} ps"
        rows.append(_Row(group="displacement of beads", label=label, unit="nm²", values=tuple(values)))
    return rows


def _distance_rows(summaries: Sequence[TrajectorySummary]) -> list[_Row]:
    chains = [_part(summary, CHAINS).longest for summary in summaries]
    longest = min(found.n_beads for found in chains) // 2
    return [
        _Row(
            group="internal distances",
            label=f"⟨R²(s)⟩/s, s = {s}",
            unit="nm²",
            values=tuple(_measure_distance(found, s) for found in chains),
        )
        for s in _SEPARATIONS
        if s <= longest
    ]


def _measure_distance(chains: ChainStatistics, s: int) -> Measurement | None:
    nearest = int(np.argmin(np.abs(chains.internal.separations - s)))  # above 20 not all are there, but the same ones
    s, n = int(chains.internal.separations[nearest]), int(chains.internal.n_sections[nearest])
    error = float(chains.internal.standard_error[nearest]) / s
    if n < _MIN_SECTIONS or error <= 0:
        return None
    return Measurement(value=float(chains.internal.mean[nearest]) / s, error=error, n_effective=float(n))


def _test_all(rows: Sequence[_Row], limits: TransferLimits) -> list[TransferQuantity]:
    """Every run against the first, p-values corrected together."""
    places = [
        (index, run)
        for index, row in enumerate(rows)
        for run in range(1, len(row.values))
        if row.tested and row.values[0] is not None and row.values[run] is not None
    ]
    found = [_welch(rows[index], run) for index, run in places]
    corrected = _correct_holm(np.array([p for _, p, _, _ in found]))
    tests: dict[tuple[int, int], TransferTest] = {}
    for place, (deviation, _, error, freedom), p in zip(places, found, corrected.tolist(), strict=True):
        resolution = error * float(student_t.isf(limits.significance / 2 / len(places), freedom))
        same = "same" if p >= limits.significance else None
        small = "below tolerance" if abs(deviation) <= limits.tolerance else "differs"
        tests[place] = TransferTest(deviation=deviation, p_value=p, resolution=resolution, verdict=same or small)
    return [
        TransferQuantity(
            group=row.group,
            label=row.label,
            unit=row.unit,
            values=row.values,
            tests=tuple(tests.get((index, run)) for run in range(1, len(row.values))),
        )
        for index, row in enumerate(rows)
    ]


def _welch(row: _Row, run: int) -> tuple[float, float, float, float]:
    """Deviation, p-value, error of the deviation, and degrees of freedom of one run against the first."""
    first, other = row.values[0], row.values[run]
    assert first is not None and other is not None
    scale = 1.0 if row.absolute else abs(first.value)
    variances = np.array([first.error**2, other.error**2])
    freedoms = np.maximum(1.0, np.array([first.n_effective, other.n_effective]) - 1)
    freedom = float(variances.sum() ** 2 / (variances**2 / freedoms).sum())
    error = float(np.sqrt(variances.sum()))
    difference = other.value - first.value
    return difference / scale, float(2 * student_t.sf(abs(difference) / error, freedom)), error / scale, freedom


def _correct_holm(p_values: np.ndarray) -> np.ndarray:
    """P-values that may each be compared with the level for all tests together, shape (n_tests,)."""
    order = np.argsort(p_values)
    factors = len(p_values) - np.arange(len(p_values))
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return corrected


def _describe_run(name: str, summary: TrajectorySummary) -> TransferRun:
    chains = _part(summary, CHAINS)
    return TransferRun(
        name=name,
        n_chains=sum(found.n_chains for found in chains.by_length.values()),
        chain_beads=chains.longest.n_beads,
        n_beads=summary.n_beads,
        density=_part(summary, DENSITY).mean,
    )


def _collect_notes(runs: Sequence[tuple[str, TrajectorySummary]]) -> list[str]:
    notes = []
    densities = {name: _part(summary, DENSITY).mean for name, summary in runs}
    if max(densities.values()) > 1.005 * min(densities.values()):
        listed = ", ".join(f"{name} {density:.4f}" for name, density in densities.items())
        notes.append(f"densities differ ({listed} g/cm³): g(r) and displacements depend on it")
    for name, summary in runs:
        for length, chains in _part(summary, CHAINS).by_length.items():
            if chains.relaxation is not None and not chains.relaxation.is_relaxed:
                notes.append(f"{name}, chains of {length} beads: {chains.relaxation.statement}")
    notes.append(
        "g(r) between chains alone is shown, not compared: longer chains fill more of their own surroundings, so that "
        "it is lower for them although the packing of all beads is the same"
    )
    return notes
