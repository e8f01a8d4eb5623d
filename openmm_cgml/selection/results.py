"""The results files: the tables of all models, one object each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from openmm_cgml.selection.long_runs import renew
from openmm_cgml.selection.workplace import Workplace
from openmm_cgml.storage import read_json, write_json

FIDELITY, TIME_STEPS = "fidelity.json", "multiple-time-steps.json"


def collect_results(workplace: Workplace, folder: Path) -> dict[str, Any]:
    """Put what a recipe has measured into the results files, and return the table of its model.

    The values of long runs take the place of those of the first, shorter ones.

    Args:
        workplace: The recipe and its folder.
        folder: Folder of the results files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name, tables = workplace.recipe.name, read_results(folder / FIDELITY)
    table = read_json(workplace.table) if workplace.table.is_file() else tables.get(name, {})
    if workplace.long_runs.table.is_file():
        table = renew(table, read_json(workplace.long_runs.table))
    if table:
        write_json(folder / FIDELITY, {**tables, name: table})
    if workplace.time_steps.is_file():
        rows = read_json(workplace.time_steps)
        write_json(folder / TIME_STEPS, {**read_results(folder / TIME_STEPS), name: rows})
    return dict(table)


def read_results(path: Path) -> dict[str, Any]:
    """The tables in a results file by the name of the model; empty if there is none yet."""
    return dict(read_json(path)) if path.is_file() else {}
