"""`openmm-cgml refine`: the structure-aware step after a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def refine(
    model: Annotated[str, typer.Argument(help="Force field: a folder, the output of a fit, or a shipped name.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Mapped reference dataset.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with the settings of RefineConfig.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished round.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Adjust a fitted network by relative entropy until its simulation has the structure of the reference.

    Writes force_field/, refine.json and refinement.csv into OUTPUT.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.config import read_config
    from openmm_cgml.dataset import ForceMatchingDataset
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.training import RefineConfig
    from openmm_cgml.training import refine as refine_force_field

    settings = RefineConfig() if config is None else read_config(config, RefineConfig)
    nested = Path(model) / "force_field"
    force_field = ForceField.load(nested if nested.is_dir() else model)
    dataset = ForceMatchingDataset.open(data)

    def show(done: int, rounds: int, rmse: float) -> None:
        typer.echo(f"round {done} of {rounds}: g(r) of centers of mass, RMSE {rmse:.4f}")

    with recorded(output, "refine", {"model": model, "data": data, "output": output, "config": config}) as result:
        refined = refine_force_field(
            force_field, dataset, output, settings, resume=resume, overwrite=overwrite, progress=show
        )
        result.update(rounds=len(refined.history), gr_com_rmse=refined.history[-1]["gr_com_rmse"])
    typer.echo(f"\nforce field: {refined.path}   (next: openmm-cgml simulate)")
