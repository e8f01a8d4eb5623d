"""`openmm-cgml validate`: simulations against their atomistic reference."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from openmm_cgml.analysis import ValidationLimits


def validate(
    reference: Annotated[
        str, typer.Option("--reference", help="A shipped system, a reference.json, or a mapped dataset.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the report, or the file to --write-reference.")
    ],
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders of simulations of one system: seeds, sizes, replicas.")
    ] = None,
    discard: Annotated[
        str | None,
        typer.Option(help='Time to leave out at the start, like "20 ps"; by default what the energies need to settle.'),
    ] = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="Another limit, like gr_com_rmse=0.045; may be given several times.")
    ] = None,
    write_reference: Annotated[
        bool, typer.Option("--write-reference", help="Summarize the dataset given as --reference into the file OUTPUT.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that is there.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Leave with exit code 4 if a figure misses its limit.")
    ] = False,
) -> None:
    """Compare coarse-grained runs with the atomistic reference: g(r), bonds, temperature, energy, mobility.

    Prints a table and writes report.html, validation.json and pictures/ into OUTPUT.
    """
    from openmm_cgml.analysis import ValidationLimits, write_reference_summary
    from openmm_cgml.analysis.report import load_reference
    from openmm_cgml.analysis.report import validate as validate_runs
    from openmm_cgml.errors import InputError, OutputExistsError
    from openmm_cgml.units import parse_quantity

    limits = _replace_limits(ValidationLimits(), limit or [])
    if write_reference:
        if output.exists() and not overwrite:
            raise OutputExistsError(f"{output} exists; use --overwrite or another name")
        write_reference_summary(output, load_reference(reference, limits=limits))
        typer.echo(f"reference: {output}")
        return
    if not runs:
        raise InputError("no runs to validate; give the folder of at least one simulation")
    summary = load_reference(reference, limits=limits)
    validation = validate_runs(
        runs,
        reference=summary,
        output=output,
        discard=None if discard is None else parse_quantity(discard, "time"),
        limits=_replace_limits(summary.limits, limit or []),
        overwrite=overwrite,
    )
    typer.echo(validation.table())
    typer.echo(f"\nreport: {output / 'report.html'}")
    if strict and not validation.passed:
        raise typer.Exit(4)


def _replace_limits(limits: ValidationLimits, changes: list[str]) -> ValidationLimits:
    from openmm_cgml.errors import InputError

    known = {field.name for field in dataclasses.fields(limits)}
    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        try:
            values[name] = float(text)
        except ValueError as error:
            raise InputError(f"--limit {change!r}: write it like gr_com_rmse=0.045") from error
        if name not in known:
            raise InputError(f"--limit {change!r}: no limit {name!r}; known are {', '.join(sorted(known))}")
    return dataclasses.replace(limits, **values)
