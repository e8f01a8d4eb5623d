"""validate_transfer(): one model at several chain lengths and box sizes, as JSON and as a page with pictures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.storage import write_atomically
from openmm_cgml.validation.report.page import render_document
from openmm_cgml.validation.report.plate import Plate
from openmm_cgml.validation.report.transfer_pictures import draw_transfer
from openmm_cgml.validation.run_validation import PICTURES, name_apart
from openmm_cgml.validation.simulation_run import SimulationRun, read_run
from openmm_cgml.validation.transfer import Transfer, TransferLimits, compare_transfer, describe_quantity

TRANSFER_PAGE, TRANSFER_METRICS = "transfer.html", "transfer.json"


def validate_transfer(
    runs: Sequence[str | os.PathLike[str]],
    *,
    output: str | os.PathLike[str],
    discard: float | None = None,
    limits: TransferLimits | None = None,
    overwrite: bool = False,
) -> Transfer:
    """Compare runs of one model with one another; write `transfer.html`, `transfer.json` and `pictures/transfer.png`.

    Args:
        runs: Folders of simulations of one model at different chain lengths or box sizes; the first is the one that the
            others are compared with.
        output: Folder for the page; other files in it stay.
        discard: Time to leave out at the start of each run [ps]; by default what its energies need to settle.
        limits: When two runs count as different.
        overwrite: Replace a page that is there.

    Raises:
        InputError: If there are fewer than two runs, they cannot be compared, or one has too few frames.
        ArtifactError: If a run is damaged.
        OutputExistsError: If `output` holds a page already.
    """
    if len(runs) < 2:
        raise InputError(f"{len(runs)} run; transfer compares at least two, of one model and different chain lengths")
    folder, paths = Path(output), [Path(path) for path in runs]
    if (folder / TRANSFER_PAGE).exists() and not overwrite:
        raise OutputExistsError(f"{folder / TRANSFER_PAGE} exists; use --overwrite (overwrite=True) or another folder")
    simulations = name_apart([read_run(path, discard=discard) for path in paths], paths)
    summaries = []
    for run in simulations:
        if run.summary is None:
            raise InputError(
                f"{run.name} is {run.status} with {len(run.times)} frames, too few for any metric; run longer"
            )
        summaries.append((run.name, run.summary))
    transfer = compare_transfer(summaries, limits)
    plate = Plate(name="transfer", png=draw_transfer(summaries), caption="Curves of all runs on one another", wide=True)
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    write_atomically(folder / PICTURES / f"{plate.name}.png", plate.png)
    write_atomically(folder / TRANSFER_METRICS, transfer.to_json())
    write_atomically(folder / TRANSFER_PAGE, _render(transfer, simulations, plate))
    return transfer


def _render(transfer: Transfer, runs: Sequence[SimulationRun], plate: Plate) -> str:
    notes = [f"{run.name}: {note}" for run in runs for note in _list_notes(run)]
    models = {run.settings.get("force field", "") for run in runs}
    if len(models) > 1:
        notes.append(f"the runs name different force fields: {', '.join(sorted(models))}")
    return render_document(
        "Transfer over chain lengths and box sizes",
        subtitle=transfer.statement,
        stamp=("same", "pass") if transfer.passed else ("different", "fail"),
        table=_render_table(transfer),
        notes=[*transfer.notes, *notes],
        plates=[plate],
        provenance={run.name: run.settings for run in runs},
        footer="Bands are two standard errors. Deviation is relative to the first run, for g(r) absolute; one as large "
        "as the next column would have been noticed. Coarse-grained times are CG time.",
    )


def _list_notes(run: SimulationRun) -> list[str]:
    notes = list(run.notes)
    if run.status != "complete":
        notes.append(f"the run is {run.status}: its metrics cover the part that was recorded")
    if run.discarded > 0:
        notes.append(f"the first {run.discarded:g} ps are left out as equilibration")
    return notes


def _render_table(transfer: Transfer) -> str:
    names = "".join(
        f"<th>{escape(run.name)}<br>{run.n_chains} chains, {run.n_beads} beads</th>" for run in transfer.runs
    )
    head = f"<thead><tr><th></th>{names}<th>deviation</th><th>would show</th><th>p</th><th></th></tr></thead>"
    rows = ""
    for quantity in transfer.quantities:
        title, *cells, verdict = describe_quantity(quantity)
        kind = {"differs": "fail", "not compared": ""}.get(verdict, "pass")
        body = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows += f"<tr><td>{escape(title)}</td>{body}<td class='{kind}'>{escape(verdict)}</td></tr>"
    return f"<div class='scroll'><table class='figures'>{head}<tbody>{rows}</tbody></table></div>"
