"""`python -m openmm_cgml.selection`: make models by their recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from openmm_cgml.errors import OpenMMCGMLError
from openmm_cgml.selection import (
    FIDELITY,
    STAGES,
    STUDIES,
    collect_results,
    make_model,
    publish,
    read_results,
    write_pages,
)

_STAGES = ", ".join(stage.name for stage in STAGES)
_STUDIES = ", ".join(stage.name for stage in STUDIES)


def main(
    recipes: Annotated[list[str], typer.Argument(help="Systems with a recipe, by name or folder, or recipe files.")],
    runs: Annotated[Path, typer.Option(help="Folder of everything that is computed.")] = Path("runs/models"),
    stages: Annotated[
        list[str] | None,
        typer.Option("--stage", help=f"Stage; by default all of {_STAGES}. Studies of a shipped model: {_STUDIES}."),
    ] = None,
    recording: Annotated[Path | None, typer.Option(help="Folder of an atomistic run that is there already.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    platform: Annotated[str, typer.Option(help="OpenMM platform of the simulations of beads, or auto.")] = "CPU",
    results: Annotated[
        Path | None,
        typer.Option(help="Folder of the results files; by default RUNS/results, or that of the checkout."),
    ] = None,
    ship: Annotated[
        Path | None, typer.Option("--publish", help="Ship the model into this checkout: models, systems, docs.")
    ] = None,
) -> None:
    """Make models by their recipes, from the atomistic run to the table of what came out.

    Everything that is there is kept: stop at any time and start again. From nothing it takes hours.

    Example: python -m openmm_cgml.selection benzene-1bead benzene-3bead --publish .
    """
    folder = results or (runs / "results" if ship is None else ship / "benchmarks" / "results")
    try:
        for recipe in recipes:
            workplace = make_model(
                recipe,
                runs,
                stages=stages,
                recording=recording,
                threads=threads,
                platform=platform,
                progress=typer.echo,
            )
            table = collect_results(workplace, folder)
            if ship is not None:
                typer.echo(f"{workplace.recipe.name}: published in {publish(workplace, table, ship)}")
        for page in write_pages(ship / "docs", read_results(folder / FIDELITY)) if ship is not None else ():
            typer.echo(f"{page} has new tables")
    except OpenMMCGMLError as error:
        typer.echo(f"openmm_cgml.selection: {error}", err=True)
        raise typer.Exit(2) from error


if __name__ == "__main__":
    typer.run(main)
