"""`openmm-cgml refine`: the structure-aware step after a fit, of the bonded priors or of the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from openmm_cgml.dataset import ForceMatchingDataset
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.storage import refuse_to_lose
    from openmm_cgml.training import PriorRefineConfig, RefineConfig


def refine(
    model: Annotated[str, typer.Argument(help="Force field: a folder, the output of a fit, or a shipped name.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="Mapped reference dataset.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write into.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML file with the settings of RefineConfig or PriorRefineConfig.")
    ] = None,
    priors: Annotated[bool, typer.Option("--priors", help="Correct the bonded priors, not the network.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last finished round.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Adjust a fitted network by relative entropy until its simulation has the structure of the reference.

    With --priors, the bonded priors are corrected instead, until bonds, angles and torsions are those of the reference.
    Writes force_field/, refine.json and refinement.csv (with --priors also refinement.png) into OUTPUT.
    """
    from openmm_cgml.cli.run_record import recorded
    from openmm_cgml.config import read_config
    from openmm_cgml.dataset import ForceMatchingDataset
    from openmm_cgml.force_field import ForceField
    from openmm_cgml.training import PriorRefineConfig, RefineConfig

    settings: PriorRefineConfig | RefineConfig
    if priors:
        settings = PriorRefineConfig() if config is None else read_config(config, PriorRefineConfig)
    else:
        settings = RefineConfig() if config is None else read_config(config, RefineConfig)
    if overwrite:
        refuse_to_lose(output, [model, data])
    nested = Path(model) / "force_field"
    force_field = ForceField.load(nested if nested.is_dir() else model)
    dataset = ForceMatchingDataset.open(data)
    arguments = {"model": model, "data": data, "output": output, "config": config, "priors": priors}
    with recorded(output, "refine", arguments) as result:
        flags = {"resume": resume, "overwrite": overwrite}
        if isinstance(settings, PriorRefineConfig):
            path, figures = _refine_priors(force_field, dataset, output, settings, **flags)
        else:
            path, figures = _refine_network(force_field, dataset, output, settings, **flags)
        result.update(figures)
    typer.echo(f"\nforce field: {path}   (next: openmm-cgml simulate)")


def _refine_network(
    force_field: ForceField,
    dataset: ForceMatchingDataset,
    output: Path,
    settings: RefineConfig,
    *,
    resume: bool,
    overwrite: bool,
) -> tuple[Path, dict[str, Any]]:
    from openmm_cgml.training import refine as refine_force_field

    def show(done: int, rounds: int, rmse: float) -> None:
        typer.echo(f"round {done} of {rounds}: g(r) of centers of mass, RMSE {rmse:.4f}")

    refined = refine_force_field(
        force_field, dataset, output, settings, resume=resume, overwrite=overwrite, progress=show
    )
    return refined.path, {"rounds": len(refined.history), "gr_com_rmse": refined.history[-1]["gr_com_rmse"]}


def _refine_priors(
    force_field: ForceField,
    dataset: ForceMatchingDataset,
    output: Path,
    settings: PriorRefineConfig,
    *,
    resume: bool,
    overwrite: bool,
) -> tuple[Path, dict[str, Any]]:
    from openmm_cgml.training import refine_priors

    def show(done: int, rounds: int, deviation: float) -> None:
        typer.echo(
            f"after {done} of at most {rounds} corrections: largest deviation {deviation:.3f} standard deviations"
        )

    refined = refine_priors(force_field, dataset, output, settings, resume=resume, overwrite=overwrite, progress=show)
    last = [row for row in refined.history if row.round == refined.history[-1].round]
    for row in last:
        typer.echo(
            f"  {row.term}: mean {100 * row.mean_error:+.2f} %, width ratio {row.std_ratio:.3f}, JS "
            f"{row.js_divergence:.2g} bit{'' if row.converged else ', not converged'}"
        )
    return refined.path, {"corrections": last[0].round, "converged": refined.converged}
