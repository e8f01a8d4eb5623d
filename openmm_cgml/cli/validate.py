"""`openmm-cgml validate`: simulations against their atomistic reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from openmm_cgml.validation import Transfer, Validation


_Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder of the report, or the file to --write-reference.")
]
_Runs = Annotated[
    list[Path] | None, typer.Argument(help="Folders of simulations of one system: seeds, sizes, replicas.")
]
_Reference = Annotated[
    str | None,
    typer.Option(help="A shipped system, a reference.json, a mapped dataset, or a model with card/reference.json."),
]
_Transfer = Annotated[
    list[Path] | None,
    typer.Option(
        help="A run of one model at a chain length or box size of its own; give it once for each run. They are "
        "compared with one another, the first with all others.",
    ),
]
_Discard = Annotated[
    str | None,
    typer.Option(help='Time to leave out at the start, like "20 ps"; by default what the energies need to settle.'),
]
_Limits = Annotated[
    list[str] | None, typer.Option(help="Another limit, like gr_com_rmse=0.045; may be given several times.")
]
_WriteReference = Annotated[
    bool, typer.Option("--write-reference", help="Summarize the dataset given as --reference into the file OUTPUT.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print the comparison as JSON, what validation.json holds.")]
_Strict = Annotated[bool, typer.Option("--strict", help="Leave with exit code 4 if a metric misses its limit.")]


def validate(
    output: _Output,
    runs: _Runs = None,
    reference: _Reference = None,
    transfer: _Transfer = None,
    discard: _Discard = None,
    limit: _Limits = None,
    write_reference: _WriteReference = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that is there.")] = False,
    as_json: _Json = False,
    strict: _Strict = False,
) -> None:
    """Compare coarse-grained runs with the atomistic reference: g(r), bonds, temperature, energy, mobility.

    Prints a table and writes report.html, validation.json and pictures/ into OUTPUT; with --transfer, transfer.html and
    transfer.json.
    """
    from openmm_cgml.errors import InputError
    from openmm_cgml.units import parse_quantity
    from openmm_cgml.validation import QUANTITIES, collect_limits, load_reference
    from openmm_cgml.validation import validate as validate_runs

    settle = None if discard is None else parse_quantity(discard, "time")
    if transfer:
        if runs or reference or write_reference:
            raise InputError("--transfer compares runs with one another; give it no other runs and no --reference")
        _validate_transfer(transfer, output, settle, limit or [], overwrite=overwrite, strict=strict, as_json=as_json)
        return
    if reference is None:
        raise InputError("no reference; give --reference, or --transfer for runs to compare with one another")
    changes = _parse_limits(limit or [], collect_limits(QUANTITIES))
    if write_reference:
        _write_reference(reference, output, changes, overwrite=overwrite)
        return
    if not runs:
        raise InputError("no runs to validate; give the folder of at least one simulation")
    summary = load_reference(reference, limits=changes)
    validation = validate_runs(
        runs, reference=summary, output=output, discard=settle, limits=changes, overwrite=overwrite
    )
    _show(validation, output / "report.html", as_json=as_json)
    if strict and not validation.passed:
        raise typer.Exit(4)


def _write_reference(reference: str, output: Path, limits: dict[str, float], *, overwrite: bool) -> None:
    """Summarize a dataset into a file."""
    from openmm_cgml.errors import OutputExistsError
    from openmm_cgml.validation import load_reference, write_reference_summary

    if output.exists():
        if not overwrite:
            raise OutputExistsError(f"{output} exists; use --overwrite or another name")
        _refuse_other_files(output)
    write_reference_summary(output, load_reference(reference, limits=limits))
    typer.echo(f"reference: {output}")


def _refuse_other_files(output: Path) -> None:
    """Refuse to replace anything but a summary of a reference."""
    from openmm_cgml.errors import OpenMMCGMLError, OutputExistsError
    from openmm_cgml.validation import read_reference_summary

    try:
        read_reference_summary(output)
    except OpenMMCGMLError as error:
        raise OutputExistsError(f"{output} is no summary of a reference, so it is not replaced ({error})") from error


def _validate_transfer(
    runs: list[Path],
    output: Path,
    discard: float | None,
    changes: list[str],
    *,
    overwrite: bool,
    strict: bool,
    as_json: bool,
) -> None:
    from openmm_cgml.validation import TransferLimits, validate_transfer

    known = {field.name for field in dataclasses.fields(TransferLimits)}
    limits = TransferLimits(**_parse_limits(changes, known))
    found = validate_transfer(runs, output=output, discard=discard, limits=limits, overwrite=overwrite)
    _show(found, output / "transfer.html", as_json=as_json)
    if strict and not found.passed:
        raise typer.Exit(4)


def _show(found: Validation | Transfer, page: Path, *, as_json: bool) -> None:
    typer.echo(found.to_json() if as_json else f"{found.table()}\n\nreport: {page}")


def _parse_limits(changes: list[str], known: Iterable[str]) -> dict[str, float]:
    """Limits by name from texts like "gr_com_rmse=0.045"."""
    from openmm_cgml.errors import InputError

    values = {}
    for change in changes:
        name, _, text = change.partition("=")
        try:
            values[name] = float(text)
        except ValueError as error:
            raise InputError(f"--limit {change!r}: write it like gr_com_rmse=0.045") from error
        if name not in known:
            raise InputError(f"--limit {change!r}: no limit {name!r}; known are {', '.join(sorted(known))}")
    return values
