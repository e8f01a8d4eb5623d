"""`openmm-cgml suggest`: candidate mappings of a recording, each with a system.yaml and a picture."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmm_cgml.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openmm_cgml.judging import Candidate
    from openmm_cgml.topology import AtomTopology

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


class Method(StrEnum):
    """Ways to divide residues into beads."""

    PARTITION = "partition"
    VARIANCE = "variance"
    SPECTRAL = "spectral"
    METIS = "metis"


def suggest(
    recording: Annotated[
        Path, typer.Argument(help="Output folder of `openmm-cgml reference`, or a recording; a few frames are enough.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the candidates.")],
    beads: Annotated[str, typer.Option(help="Beads per residue: numbers and ranges, such as 1-4 or 1,3.")] = "1-3",
    method: Annotated[
        list[Method] | None,
        typer.Option(
            help="How residues are divided: evenly by mass, by the variance of positions that the beads keep, by the "
            "spectrum of the bonds, by METIS (needs pymetis); may be given again. Default partition and variance."
        ),
    ] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames that the variance is taken from, evenly spread.")] = 20,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Suggest mappings: ways to divide the residues of a recording into beads.

    Writes NAME.yaml and NAME.png into OUTPUT for each candidate; the YAML file is a system.yaml that `map` and `judge`
    take. Beads are connected, hydrogens stay with their heavy atoms, and residues of a kind are divided alike.
    Candidates that come out the same are written once. Which to take is for you to decide: `openmm-cgml judge` says
    what speaks for each.
    """
    from openmm_cgml.dataset import open_recording, spread_frames
    from openmm_cgml.judging import suggest_mappings
    from openmm_cgml.topology import AtomTopology

    numbers = numbers_of(beads)
    store = open_recording(recording)
    atoms = AtomTopology.from_dict(store.metadata["atoms"])
    candidates = suggest_mappings(
        atoms,
        numbers,
        temperature=store.metadata["temperature"],
        methods=[each.value for each in method or (Method.PARTITION, Method.VARIANCE)],
        frames=spread_frames(store, frames),
    )
    _write(output, recording, atoms, candidates, overwrite=overwrite)
    entries = [_entry(candidate, output) for candidate in candidates]
    typer.echo(json.dumps(entries, indent=2) if as_json else _text(entries, recording, output))


def numbers_of(text: str) -> list[int]:
    """The numbers in a text such as "1-4,6".

    Raises:
        InputError: It holds something else.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= 1000:
            raise InputError(f"--beads {text!r}: give numbers and ranges of at least 1, such as 1-4 or 1,3")
        numbers += range(first, last + 1)
    return sorted(set(numbers))


def _write(
    output: Path, recording: Path, atoms: AtomTopology, candidates: Sequence[Candidate], *, overwrite: bool
) -> None:
    from openmm_cgml.judging import draw_mapping
    from openmm_cgml.mapping.descriptions import to_yaml
    from openmm_cgml.storage import OutputKind, prepare_output, write_sealed_json

    kind = OutputKind(verb="suggest", marker="candidates.json", members=("candidates.json", "*.yaml", "*.png"))
    folder = prepare_output(output, kind, overwrite=overwrite, inputs=[recording])
    write_sealed_json(folder / "candidates.json", {"candidates": [_entry(each, output) for each in candidates]})
    for each in candidates:
        comment = f"Suggested for the recording {recording} by: {', '.join(each.methods)}.\nBead types are formulas."
        (folder / f"{each.name}.yaml").write_text(to_yaml(each.specification, comment=comment), encoding="utf8")
        draw_mapping(atoms, each.labels, title=each.name).savefig(folder / f"{each.name}.png", dpi=110)


def _entry(candidate: Candidate, output: Path) -> dict[str, object]:
    residues = {residue.name: [bead.type for bead in residue.beads] for residue in candidate.specification.residues}
    return {
        "name": candidate.name,
        "methods": list(candidate.methods),
        "residues": residues,
        "system": str(output / f"{candidate.name}.yaml"),
        "picture": str(output / f"{candidate.name}.png"),
    }


def _text(entries: Sequence[dict[str, object]], recording: Path, output: Path) -> str:
    lines = []
    for entry in entries:
        residues = entry["residues"]
        assert isinstance(residues, dict) and isinstance(entry["methods"], list)
        beads = "; ".join(f"{name}: {' '.join(types)}" for name, types in residues.items())
        lines += [f"{entry['name']}  ({', '.join(entry['methods'])})", f"    {beads}", f"    {entry['picture']}"]
    lines += ["", f"compare them: openmm-cgml judge {recording} {output}/*.yaml"]
    return "\n".join(lines)
