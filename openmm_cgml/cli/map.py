"""`openmm-cgml map`: from an atomistic recording to a force-matching dataset."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from openmm_cgml.cli.arguments import System


class ForceMap(StrEnum):
    """How the forces on atoms add up to the force on a bead."""

    UNIFORM = "uniform"
    OPTIMAL = "optimal"


def map(
    recording: Annotated[
        Path,
        typer.Argument(
            help="Output folder of `openmm-cgml reference`, or the `recording` in it; it may still be running."
        ),
    ],
    system: System,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the dataset.")],
    force_map: Annotated[
        ForceMap | None,
        typer.Option(
            help="Plain sums, or the weights with the least noise; default optimal where the frames are enough to tell "
            "these, and with --resume what is there."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what is there, also with new frames.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Map a recording to beads: a force-matching dataset, and a summary of what is in it.

    Takes an atomistic recording (positions and forces of all atoms, as `openmm-cgml reference` or
    `openmm_cgml.ForceRecorder` wrote it) and the system whose system.yaml says which atoms make which bead; atoms of
    the two must agree.
    Writes the frames, mapping.json, summary.json and run.json into OUTPUT. Interrupted work is finished with --resume.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.dataset import map_recording, read_force_map_reports, summarize
    from openmm_cgml.specification import read_specification
    from openmm_cgml.storage import write_json

    weights = None if force_map is None else force_map.value
    arguments = {"recording": recording, "system": system, "output": output, "force_map": weights}
    with recorded(output, "map", arguments) as result:
        specification = read_specification(system)
        with Progress("frames", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()) as bar:
            task = bar.add_task("frames", total=None)
            dataset = map_recording(
                recording,
                specification,
                output,
                force_map=weights,
                resume=resume,
                overwrite=overwrite,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        summary = summarize(dataset)
        write_json(output / "summary.json", summary.to_dict())
        result.update(n_frames=summary.n_frames, fingerprint=dataset.fingerprint)
    typer.echo(summary.to_text())
    for report in read_force_map_reports(output):
        typer.echo("\n" + report.to_text())
    typer.echo(f"\ndataset: {output}   (read it with ForceMatchingDataset.open)")
