"""Tables of the pages in `docs`, written from the results between markers that name the models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openmm_cgml.errors import InputError
from openmm_cgml.selection.comparison import format_value
from openmm_cgml.storage import write_atomically

_MARKER = re.compile(r"<!-- ((?:models|candidates)(?: [\w.-]+)+): begin -->")
_SPLINE = "the same for the pair spline"
_HALVES = "the same between halves of the reference"
CANDIDATES: tuple[tuple[str, str], ...] = (
    ("g(r), RMSE", "gr_judged"),
    ("R² of forces between molecules", "inter_force_r2"),
    ("R² of mean forces", "mean_force_r2"),
)
"""Columns of a table of candidates whose keys stand in the table itself, with the candidate's suffix."""
CANDIDATES_RUNS: tuple[tuple[str, str], ...] = (
    ("stable", "stable_seeds"),
    ("length [ps]", "simulated_ps_per_seed"),
    ("temperature [K]", "temperature_mean"),
    ("pressure [bar]", "pressure_bar"),
    ("bonds, JS [bit]", "bond_js"),
    ("angles, JS", "angle_js"),
    ("torsions, JS", "torsion_js"),
)
"""Columns of what was measured in the candidate's simulations."""
_REFERENCE = (("reference [ns]", ("reference_ns",)), ("its frames", ("frames",)))
_RUNS = (
    ("simulations", ("seeds",)),
    ("of them stable to the end", ("stable_seeds",)),
    ("length of the shortest [ps]", ("simulated_ps_per_seed",)),
    ("time step [fs]", ("time_step_fs",)),
    ("network every so many steps", ("network_interval",)),
    ("mean temperature, set to 300 K [K]", ("temperature_mean",)),
    ("pressure at the density of the reference [bar]", ("pressure_bar",)),
    ("the same of the reference", ("pressure_reference_bar",)),
    ("density at 1 bar [g/cm³]", ("density_1bar",)),
    ("the same of the reference", ("density_reference",)),
)
_JUDGED = (
    ("g(r), RMSE on frames that no refinement saw", ("gr_judged",)),
    (_SPLINE, ("gr_judged_pair_spline",)),
    ("the same for windows of the reference as long as the simulations", ("gr_floor",)),
    ("the same between the two halves of the reference", ("gr_halves",)),
    ("R² of the forces between molecules, held-out frames", ("inter_force_r2",)),
    (_SPLINE, ("inter_force_r2_pair_spline",)),
)
ROWS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *_RUNS,
    *_JUDGED,
    ("g(r) of centers of mass, RMSE", ("gr_com_rmse",)),
    (_SPLINE, ("gr_com_rmse_pair_spline",)),
    (_HALVES, ("gr_com_rmse_reference_error",)),
    ("the same force matched, lambda 0", ("lambda_variants", "0", "gr_com_rmse")),
    ("the same force matched, lambda 0.1", ("lambda_variants", "0.1", "gr_com_rmse")),
    ("g(r) of beads of different molecules, RMSE", ("gr_inter_rmse",)),
    ("g(r) below the reference's first occupied bin", ("gr_below_first_bin",)),
    ("mean bond length, relative error", ("bond_mean_error",)),
    ("bond length fluctuation, ratio", ("bond_std_ratio",)),
    ("R² against held-out mean forces", ("mean_force_r2",)),
    (_SPLINE, ("mean_force_r2_pair_spline",)),
    ("the same force matched, lambda 0", ("lambda_variants", "0", "mean_force_r2")),
    ("the same force matched, lambda 0.1", ("lambda_variants", "0.1", "mean_force_r2")),
    ("intermolecular force RMSE on held-out frames [kJ/mol/nm]", ("force_rmse",)),
    (_SPLINE, ("force_rmse_pair_spline",)),
    ("rms of these forces", ("force_std",)),
    ("energy per bead by number of molecules [kJ/mol]", ("energy_per_bead",)),
    ("relative spread of these", ("energy_per_bead_spread",)),
    *_REFERENCE,
)
"""Rows for molecules, and where their values are in the table of a model."""
ROWS_OF_CHAINS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *_RUNS,
    *_JUDGED,
    ("g(r) between chains, all beads, RMSE", ("gr_inter_rmse",)),
    (_SPLINE, ("variants", "pair-spline", "gr_inter_rmse")),
    ("g(r) within chains, RMSE over peak height", ("gr_intra_rmse",)),
    ("the same without bonded beads and next neighbors, RMSE", ("gr_intra_far_rmse",)),
    ("g(r) below the reference's first occupied bin", ("gr_below_first_bin",)),
    ("mean bond length, relative error, worst type", ("bond_mean_error",)),
    ("bond length fluctuation, ratio, worst type", ("bond_std_ratio",)),
    ("angles, Jensen-Shannon divergence [bit]", ("angle_js",)),
    ("torsions, the same", ("torsion_js",)),
    ("radius of gyration over the reference's", ("rg_ratio",)),
    ("intermolecular force RMSE on held-out frames [kJ/mol/nm]", ("force_rmse",)),
    (_SPLINE, ("force_rmse_pair_spline",)),
    ("rms of these forces", ("force_std",)),
    *_REFERENCE,
)
"""The same for chains."""


def write_pages(folder: Path, results: Mapping[str, Any]) -> list[Path]:
    """Put the tables of models into the pages that have markers for them, and return these pages.

    Args:
        folder: Folder of the pages.
        results: Tables by the name of the model.

    Raises:
        InputError: If a page names a model that has no table.
    """
    written = []
    for page in sorted(folder.glob("*.md")):
        text = page.read_text(encoding="utf8")
        changed = fill_page(text, results, name=str(page))
        if changed != text:
            write_atomically(page, changed)
            written.append(page)
    return written


def fill_page(text: str, results: Mapping[str, Any], *, name: str) -> str:
    """The text of a page with its tables, such as after `<!-- models pim-1: begin -->` or `candidates`.

    Args:
        text: The page.
        results: Tables by the name of the model.
        name: What to call the page in an error.

    Raises:
        InputError: If it names a model that has no table.
    """
    for marker in _MARKER.findall(text):
        what, *models = marker.split()
        if unknown := [model for model in models if model not in results]:
            raise InputError(f"{name}: no results of {unknown[0]!r}; there are those of {', '.join(results)}")
        tables = {model: results[model] for model in models}
        text = replace_between(text, marker, _FORMATS[what](tables))
    return text


def format_models(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """The tables of models side by side; rows that none of them has are left out.

    Args:
        tables: Tables by the name of the model, all of molecules or all of chains.
    """
    chains = all("rg_ratio" in table for table in tables.values())
    rows = [
        (label, *(_format(table, path) for table in tables.values()))
        for label, path in (ROWS_OF_CHAINS if chains else ROWS)
    ]
    return format_markdown(("", *tables), [row for row in rows if any(row[1:])])


def format_candidates(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for every force field that was compared for a model, the shipped one first, and the floor of g(r).

    Args:
        tables: Tables by the name of the model.
    """
    rows = []
    for model, table in tables.items():
        as_long = {**table, **table.get("shorter_runs", {})}  # as those of the others
        rows.append((f"**{model}**", *_candidate(table, as_long, "")))
        for name, variant in table.get("variants", {}).items():
            rows.append((name, *_candidate(table, variant, f"_{name.replace('-', '_')}")))
        floor = _format(table, ("gr_floor",))
        rows.append((f"windows of the reference, {table.get('gr_floor_window_ps', 0):.0f} ps", floor))
        rows.append(("the two halves of the reference", _format(table, ("gr_halves",))))
    head = ("", *(label for label, _ in (*CANDIDATES, *CANDIDATES_RUNS)))
    full = [(*row, *[""] * (len(head) - len(row))) for row in rows]
    kept = [0, *(k for k in range(1, len(head)) if any(row[k] for row in full))]
    return format_markdown([head[k] for k in kept], [[row[k] for k in kept] for row in full])


def _candidate(table: Mapping[str, Any], runs: Mapping[str, Any], suffix: str) -> tuple[str, ...]:
    """Cells of a candidate."""
    own = [_format(table, (f"{key}{suffix}",)) for _, key in CANDIDATES]
    return (*own, *(_format(runs, (key,)) for _, key in CANDIDATES_RUNS))


def format_markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def replace_between(text: str, name: str, content: str) -> str:
    """The text with `content` between its markers of that name.

    Raises:
        InputError: If the markers are not there once.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise InputError(f"the page needs the lines {begin} and {end} once each, for what is put between them")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


def _format(table: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """A value with its error where it has one; empty where there is none."""
    for key in path[:-1]:
        table = table.get(key, {})
    value, error = table.get(path[-1]), table.get(f"{path[-1]}_error")
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return ", ".join(f"{size}: {value[size]:.4g}" for size in sorted(value, key=int))
    return format_value(value, error)


_FORMATS = {"models": format_models, "candidates": format_candidates}
"""What stands between markers, by their first word."""
