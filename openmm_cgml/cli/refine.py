"""`openmm-cgml refine`: a part of a force field adjusted until its simulation is like the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from openmm_cgml.cli.arguments import Model
from openmm_cgml.cli.options import with_options_of
from openmm_cgml.refinement.config import RefinementConfig, config_of, read_refinement_config


@with_options_of(RefinementConfig, panel="Settings, by default those of the target", without=["target"])
def refine(
    model: Model,
    data: Annotated[
        list[Path],
        typer.Option("--data", "-d", help="Mapped reference dataset; repeat it for several boxes of the same beads."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with the settings; options go before it.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="What is adjusted: bonded, pair, priors, pressure or network; by default as the YAML file says."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished round.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    **given: Any,
) -> None:
    """Adjust a fitted force field in simulations until these have the structure of the reference.

    The target is the network (by relative entropy), the bonded priors (bonds, angles and torsions become those of the
    reference), the pair priors, both ("priors"), or the pair priors for the pressure alone. Writes force_field/,
    refine.json, refinement.csv and, for bonded priors, refinement.png into OUTPUT.

    Example: openmm-cgml refine runs/fit --data runs/data --target bonded -o runs/refined
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.force_field.artifact import find_force_field
    from openmm_cgml.storage import refuse_to_lose

    folder = find_force_field(model)  # a wrong name or setting is told before anything heavy is imported
    settings = config_of(target or "", **given) if config is None else read_refinement_config(config, target, given)
    from openmm_cgml.dataset import ForceMatchingDataset
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.refinement import refine as refine_force_field

    if overwrite:
        refuse_to_lose(output, [folder, *data])
    force_field = ForceField.load(folder)
    datasets = [ForceMatchingDataset.open(path) for path in data]
    arguments = {"model": model, "data": data, "output": output, "config": config, "target": settings.target}
    arguments |= given
    with recorded(output, "refine", arguments) as result:
        refined = refine_force_field(
            force_field, datasets, output, settings, resume=resume, overwrite=overwrite, progress=_show
        )
        result.update({"changes": refined.history[-1]["round"], "converged": refined.converged})
        for row in refined.last_rows:
            typer.echo("  " + ", ".join(f"{name} {_short(value)}" for name, value in row.items() if name != "round"))
    typer.echo(f"\nforce field: {refined.path}   (next: openmm-cgml simulate)")


def _show(done: int, rounds: int, measure: float) -> None:
    typer.echo(f"after {done} of at most {rounds} changes: {measure:.4f}")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
