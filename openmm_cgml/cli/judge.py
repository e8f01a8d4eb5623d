"""`openmm-cgml judge`: one table of what mappings of a recording keep, cut and cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from openmm_cgml.errors import InputError


def judge(
    recording: Annotated[
        Path, typer.Argument(help="Output folder of `openmm-cgml reference`, or a recording with forces.")
    ],
    mappings: Annotated[
        list[str],
        typer.Argument(
            metavar="MAPPING...",
            help="Shipped systems' names, folders with a system.yaml, or files of `suggest`.",
        ),
    ],
    frames: Annotated[int, typer.Option(min=2, help="Frames that are looked at, evenly spread.")] = 40,
    pairs: Annotated[bool, typer.Option(help="Fit pair splines, which takes the most time.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge mappings before anything is trained: one column each, one row for each thing to know.

    Connected beads, constraints, equivalent molecules and atoms, the variance of positions that is kept, the mean
    square force and what optimal force weights take off it, maxima of bonded distributions, the shape of beads, the
    time step of the stiffest bond, and how much of the forces between molecules pair splines between the beads tell in
    frames that they were not fitted to. The page "Choosing a mapping" says what each row means.
    """
    from openmm_cgml.dataset import open_recording, spread_frames
    from openmm_cgml.judging import judge_mapping, table_of
    from openmm_cgml.mapping import center_of_mass_mapping
    from openmm_cgml.specification import read_specification
    from openmm_cgml.topology import AtomTopology

    store = open_recording(recording)
    atoms = AtomTopology.from_dict(store.metadata["atoms"])
    specifications = {_name(mapping): read_specification(mapping) for mapping in mappings}
    if len(specifications) < len(mappings):
        raise InputError(f"two of the mappings have one name: {', '.join(map(_name, mappings))}; rename a file")
    prepared = {name: center_of_mass_mapping(each, atoms) for name, each in specifications.items()}
    chosen = spread_frames(store, frames)
    judgements = [
        judge_mapping(mapping, atoms, chosen, temperature=store.metadata["temperature"], name=name, fit_pairs=pairs)
        for name, mapping in prepared.items()
    ]
    if as_json:
        typer.echo(json.dumps([judgement.to_dict() for judgement in judgements], indent=2))
        return
    typer.echo(table_of(judgements))
    typer.echo(f"\n{len(chosen)} of {store.n_frames} frames of {store.path}")


def _name(mapping: str) -> str:
    path = Path(mapping)
    if path.name == "system.yaml" and path.parent.name:
        return path.parent.name
    return path.stem if path.suffix else path.name
