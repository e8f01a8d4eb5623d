"""Texts of the files that start a system: those of `templates/` filled in, and one molecule as PDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from openmm_cgml.starting.beads import Bead, bead_bonds
from openmm_cgml.starting.molecules import SmallMolecule
from openmm_cgml.starting.pdb import pdb_text
from openmm_cgml.starting.protocol import HYDROGEN_MASS, Protocol
from openmm_cgml.starting.texts import (
    Described,
    commands_from_data,
    counted,
    filled,
    pressure_text,
    reason_of_step,
    reference_command,
)

__all__ = [
    "FORCE_FIELD",
    "PICTURE",
    "Start",
    "bonded_priors",
    "commands",
    "fit_text",
    "fit_yaml",
    "molecule_pdb",
    "pair_priors",
    "readme",
    "refine_text",
    "refine_yaml",
    "residue_entry",
    "system_yaml",
]

FORCE_FIELD = "atomistic.xml"
PICTURE = "mapping.png"
_HOT = 1.5
"""Temperature that the packed box is mixed at, over its own."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Start:
    """What a system starts with.

    Attributes:
        folder: Its folder, as commands name it.
        command: The command line that made it.
        molecules: Kinds of molecules.
        counts: Number of each.
        beads: Beads of each kind.
        sources: Force field of each kind.
        protocol: How the atomistic liquid is simulated.
        temperature: [K]
        pressure: [bar]
        notes: What was decided, and should be known.
    """

    folder: Path
    command: str
    molecules: tuple[SmallMolecule, ...]
    counts: tuple[int, ...]
    beads: tuple[tuple[Bead, ...], ...]
    sources: tuple[str, ...]
    protocol: Protocol
    temperature: float
    pressure: float
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the system."""
        return self.folder.name

    @property
    def n_molecules(self) -> int:
        """Number of molecules."""
        return sum(self.counts)

    @property
    def has_bonds(self) -> bool:
        """Whether a molecule has several beads."""
        return any(len(own) > 1 for own in self.beads)

    @property
    def longest_path(self) -> int:
        """Beads in a row along bonds, 4 at most, whose ends are not bonded otherwise."""
        bonds = [bead_bonds(m, tuple(b.atoms for b in own)) for m, own in zip(self.molecules, self.beads, strict=True)]
        return max(map(_longest_path, bonds))

    @property
    def description(self) -> str:
        """One line."""
        kinds = " and ".join(
            f"{each.formula} ({each.smiles}, {counted(len(own), 'bead')} a molecule)"
            for each, own in zip(self.molecules, self.beads, strict=True)
        )
        return f"Liquid {kinds} at {self.temperature:g} K and {pressure_text(self.pressure)}"


def _longest_path(bonds: Sequence[tuple[int, int]]) -> int:
    """Most bonds apart that two beads of a molecule are, and one more; 4 at most."""
    n_beads = 1 + max((bead for pair in bonds for bead in pair), default=0)
    distances = shortest_path(
        csr_array((np.ones(len(bonds)), np.array(bonds).reshape(-1, 2).T), (n_beads,) * 2), directed=False
    )
    return min(4, 1 + int(distances.max()))


def molecule_pdb(molecule: SmallMolecule) -> str:
    """One molecule as a PDB file with its bonds (CONECT)."""
    return pdb_text(
        molecule.smiles,
        molecule.atom_names,
        molecule.elements,
        [(molecule.residue_name, 1)] * molecule.n_atoms,
        molecule.bonds,
        molecule.positions[None],
    )


def system_yaml(start: Start) -> str:
    """The system.yaml, with comments."""
    protocol = start.protocol
    return filled(
        "system.yaml",
        start,
        command=start.command,
        residues="\n".join(line for number in range(len(start.molecules)) for line in _residue(start, number)),
        molecule=_molecule_files(start),
        density=f"{protocol.density:g} g/cm^3",
        hot=f"{_HOT * start.temperature:g} kelvin",
        reason=reason_of_step(protocol),
        time_step=f"{1000 * protocol.time_step:g} fs",
        edge=f"{protocol.edge:.2f} nm",
        cutoff=f"{protocol.cutoff:g} nm",
        switch_distance=f"{protocol.switch_distance:g} nm",
        hydrogen_mass=f"{HYDROGEN_MASS:g} dalton",
    )


def fit_yaml(start: Start) -> str:
    """The fit.yaml, with comments."""
    cutoff = start.protocol.model_cutoff
    if start.has_bonds:
        priors = bonded_priors(start, start.longest_path) + pair_priors(start, cutoff)
    else:
        priors = pair_priors(start, cutoff) + filled("three_body.yaml", start)
    return fit_text(start, priors, cutoff, what="liquid")


def fit_text(start: Described, priors: str, cutoff: float, *, what: str) -> str:
    """A fit.yaml with the given priors.

    Args:
        start: The system.
        priors: Their part of the file.
        cutoff: Cutoff of pairs and of a network [nm].
        what: "liquid" or "polymer".
    """
    data = str(start.folder / "runs/data").replace("'", "''")
    return filled("fit.yaml", start, priors=priors.rstrip(), data=data, model_cutoff=f"{cutoff:g} nm", what=what)


def pair_priors(start: Described, cutoff: float) -> str:
    """The section of pairs of a fit.yaml, with its cutoff [nm]."""
    return filled("pairs.yaml", start, model_cutoff=f"{cutoff:g} nm")


def bonded_priors(start: Described, longest_path: int) -> str:
    """The sections of bonds, and of angles and torsions where so many beads are in a row beyond small rings."""
    found = ["bonds: {form: spline}"]
    if longest_path >= 3:
        found.append("angles: {form: spline}")
    if longest_path >= 4:
        found.append("torsions: {form: fading}    # fade out where three beads come into line: forces stay finite")
    exclude = min(max(longest_path - 1, 2), 3)
    return filled("bonded.yaml", start, terms="\n".join(f"  {line}" for line in found), exclude=str(exclude))


def refine_yaml(start: Start) -> str:
    """The refine.yaml, with comments."""
    return refine_text(start, has_bonds=start.has_bonds)


def refine_text(start: Described, *, has_bonds: bool) -> str:
    """A refine.yaml that adjusts pairs, or bonded terms too."""
    target, meaning = ("pair", "the energies of pairs")
    if has_bonds:
        target, meaning = "priors", "bonds, angles, torsions and the energies of pairs"
    return filled("refine.yaml", start, target=target, meaning=meaning)


def readme(start: Start) -> str:
    """The README.md, with the commands from installation to report."""
    kinds = [
        f"| {molecule.residue_name} | `{molecule.smiles}` | {molecule.formula} | {count} | {_beads(molecule, own)} | "
        f"{source} |"
        for molecule, count, own, source in zip(start.molecules, start.counts, start.beads, start.sources, strict=True)
    ]
    notes = ["", "## To know", "", *(f"- {note}" for note in start.notes)] if start.notes else []
    return filled(
        "README.md", start, kinds="\n".join(kinds), commands="\n".join(commands(start)), notes="\n".join(notes)
    )


def commands(start: Start) -> list[str]:
    """The command lines from installation to report."""
    counts = [
        f"--molecules {molecule.residue_name}={count}"
        for molecule, count in zip(start.molecules, start.counts, strict=True)
    ]
    numbers = " ".join(counts) if len(counts) > 1 else f"--molecules {start.n_molecules}"
    return [
        'pip install "openmm-cgml[molecules]"',
        start.command,
        reference_command(start.folder),
        *commands_from_data(start.folder, numbers, "200 ps"),
    ]


def residue_entry(
    name: str,
    comment: str,
    atoms: Sequence[tuple[str, str]],
    beads: Sequence[Bead],
    bonds: Sequence[tuple[int, int]],
    count: int | None = None,
) -> Iterator[str]:
    """The lines of a residue in a system.yaml.

    Args:
        name: Its name.
        comment: What to say of it.
        atoms: Name and element of each atom.
        beads: Its beads; their atoms are numbers in `atoms`.
        bonds: Pairs of numbers of bonded beads.
        count: Number of molecules; None for a residue of a chain.
    """
    yield f"  - name: {name}    # {comment}"
    if count is not None:
        yield f"    count: {count}"
    yield "    atoms:"
    for own, element in atoms:
        yield f"      - {{name: {own}, element: {element}}}"
    yield "    beads:"
    for bead in beads:
        members = ", ".join(atoms[atom][0] for atom in bead.atoms)
        yield f"      - {{name: {bead.name}, type: {bead.type}, atoms: [{members}]}}"
    if bonds:
        yield f"    bonds: [{', '.join(f'[{beads[i].name}, {beads[j].name}]' for i, j in bonds)}]"


def _residue(start: Start, number: int) -> Iterator[str]:
    """What system.yaml says of one kind of molecule."""
    molecule, beads = start.molecules[number], start.beads[number]
    return residue_entry(
        molecule.residue_name,
        f"{molecule.smiles}, {molecule.formula}",
        list(zip(molecule.atom_names, molecule.elements, strict=True)),
        beads,
        bead_bonds(molecule, tuple(bead.atoms for bead in beads)),
        start.counts[number],
    )


def _molecule_files(start: Start) -> str:
    names = [molecule.residue_name for molecule in start.molecules]
    return f"{names[0]}.pdb" if len(names) == 1 else f"{{{', '.join(f'{name}: {name}.pdb' for name in names)}}}"


def _beads(molecule: SmallMolecule, beads: Sequence[Bead]) -> str:
    return "; ".join(
        f"{bead.name} ({bead.type}): {' '.join(molecule.atom_names[atom] for atom in bead.atoms)}" for bead in beads
    )
