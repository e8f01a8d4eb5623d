"""Texts of the files that start a system: those of `templates/` filled in, and one molecule as PDB."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from openmm_cgml.starting.beads import Bead, bead_bonds
from openmm_cgml.starting.molecules import SmallMolecule
from openmm_cgml.starting.protocol import HYDROGEN_MASS, Protocol

__all__ = [
    "FORCE_FIELD",
    "PICTURE",
    "Start",
    "commands",
    "fit_yaml",
    "molecule_pdb",
    "readme",
    "refine_yaml",
    "system_yaml",
]

ATMOSPHERE = 1.01325  # bar
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
            f"{each.formula} ({each.smiles}, {_count(len(own), 'bead')} a molecule)"
            for each, own in zip(self.molecules, self.beads, strict=True)
        )
        return f"Liquid {kinds} at {self.temperature:g} K and {_pressure(self.pressure)}"


def _longest_path(bonds: Sequence[tuple[int, int]]) -> int:
    """Most bonds apart that two beads of a molecule are, and one more; 4 at most."""
    n_beads = 1 + max((bead for pair in bonds for bead in pair), default=0)
    distances = shortest_path(
        csr_array((np.ones(len(bonds)), np.array(bonds).reshape(-1, 2).T), (n_beads,) * 2), directed=False
    )
    return min(4, 1 + int(distances.max()))


def molecule_pdb(molecule: SmallMolecule) -> str:
    """One molecule as a PDB file with its bonds (CONECT)."""
    lines = [f"REMARK   1 {molecule.smiles}"[:80]]
    for number, (name, symbol, place) in enumerate(
        zip(molecule.atom_names, molecule.elements, 10 * molecule.positions, strict=True), 1
    ):
        shown = name if len(name) == 4 else f" {name}"
        x, y, z = place.tolist()
        lines.append(
            f"HETATM{number:5d} {shown:<4} {molecule.residue_name:>3} A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00"
            f"          {symbol.upper():>2}"
        )
    both_ways = sorted([*molecule.bonds, *((j, i) for i, j in molecule.bonds)])
    lines += [f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in both_ways]
    return "\n".join([*lines, "END", ""])


def system_yaml(start: Start) -> str:
    """The system.yaml, with comments."""
    protocol = start.protocol
    return _filled(
        "system.yaml",
        start,
        command=start.command,
        residues="\n".join(line for number in range(len(start.molecules)) for line in _residue(start, number)),
        molecule=_molecule_files(start),
        density=f"{protocol.density:g} g/cm^3",
        hot=f"{_HOT * start.temperature:g} kelvin",
        reason=_reason(protocol),
        time_step=f"{1000 * protocol.time_step:g} fs",
        edge=f"{protocol.edge:.2f} nm",
        cutoff=f"{protocol.cutoff:g} nm",
        switch_distance=f"{protocol.switch_distance:g} nm",
        hydrogen_mass=f"{HYDROGEN_MASS:g} dalton",
    )


def fit_yaml(start: Start) -> str:
    """The fit.yaml, with comments."""
    cutoff = f"{start.protocol.model_cutoff:g} nm"
    pairs = _filled("pairs.yaml", start, model_cutoff=cutoff)
    priors = _bonded(start) + pairs if start.has_bonds else pairs + _filled("three_body.yaml", start)
    data = str(start.folder / "runs/data").replace("'", "''")
    return _filled("fit.yaml", start, priors=priors.rstrip(), data=data, model_cutoff=cutoff)


def refine_yaml(start: Start) -> str:
    """The refine.yaml, with comments."""
    target, meaning = ("pair", "the energies of pairs")
    if start.has_bonds:
        target, meaning = "priors", "bonds, angles, torsions and the energies of pairs"
    return _filled("refine.yaml", start, target=target, meaning=meaning)


def readme(start: Start) -> str:
    """The README.md, with the commands from installation to report."""
    kinds = [
        f"| {molecule.residue_name} | `{molecule.smiles}` | {molecule.formula} | {count} | {_beads(molecule, own)} | "
        f"{source} |"
        for molecule, count, own, source in zip(start.molecules, start.counts, start.beads, start.sources, strict=True)
    ]
    notes = ["", "## To know", "", *(f"- {note}" for note in start.notes)] if start.notes else []
    return _filled(
        "README.md", start, kinds="\n".join(kinds), commands="\n".join(commands(start)), notes="\n".join(notes)
    )


def commands(start: Start) -> list[str]:
    """The command lines from installation to report."""
    folder = shlex.quote(str(start.folder))
    counts = [
        f"--molecules {molecule.residue_name}={count}"
        for molecule, count in zip(start.molecules, start.counts, strict=True)
    ]
    numbers = " ".join(counts) if len(counts) > 1 else f"--molecules {start.n_molecules}"
    runs = f"{folder}/runs"
    return [
        'pip install "openmm-cgml[molecules]"',
        start.command,
        f"openmm-cgml reference {folder} -o {runs}/reference --map {runs}/data",
        f"openmm-cgml fit {folder}/fit.yaml -o {runs}/fit",
        f"openmm-cgml refine {runs}/fit --data {runs}/data --config {folder}/refine.yaml -o {runs}/refined",
        f'openmm-cgml simulate {runs}/refined {numbers} --duration "200 ps" -o {runs}/nvt',
        f"openmm-cgml validate {runs}/nvt --reference {runs}/data -o {runs}/report",
    ]


def _filled(template: str, start: Start, **values: str) -> str:
    """A template of this package with what is to stand in it."""
    text = (resources.files(__package__) / "templates" / template).read_text(encoding="utf8")
    return Template(text).substitute(
        name=start.name,
        folder=shlex.quote(str(start.folder)),
        description=start.description,
        temperature=f"{start.temperature:g} kelvin",
        pressure=_pressure(start.pressure),
        **values,
    )


def _bonded(start: Start) -> str:
    """The sections of bonds, and of angles and torsions where beads have them beyond rings of three and four."""
    found = {2: "bonds: {form: spline}"}
    if start.longest_path >= 3:
        found[3] = "angles: {form: spline}"
    if start.longest_path >= 4:
        found[4] = "torsions: {form: fading}    # fade out where three beads come into line: forces stay finite"
    exclude = min(max(start.longest_path - 1, 2), 3)
    return _filled("bonded.yaml", start, terms="\n".join(f"  {line}" for line in found.values()), exclude=str(exclude))


def _residue(start: Start, number: int) -> Iterator[str]:
    """What system.yaml says of one kind of molecule."""
    molecule, beads = start.molecules[number], start.beads[number]
    names = molecule.atom_names
    yield f"  - name: {molecule.residue_name}    # {molecule.smiles}, {molecule.formula}"
    yield f"    count: {start.counts[number]}"
    yield "    atoms:"
    for name, element in zip(names, molecule.elements, strict=True):
        yield f"      - {{name: {name}, element: {element}}}"
    yield "    beads:"
    for bead in beads:
        atoms = ", ".join(names[atom] for atom in bead.atoms)
        yield f"      - {{name: {bead.name}, type: {bead.type}, atoms: [{atoms}]}}"
    if bonds := bead_bonds(molecule, tuple(bead.atoms for bead in beads)):
        yield f"    bonds: [{', '.join(f'[{beads[i].name}, {beads[j].name}]' for i, j in bonds)}]"


def _molecule_files(start: Start) -> str:
    names = [molecule.residue_name for molecule in start.molecules]
    return f"{names[0]}.pdb" if len(names) == 1 else f"{{{', '.join(f'{name}: {name}.pdb' for name in names)}}}"


def _reason(protocol: Protocol) -> str:
    """Why the time step is what it is."""
    if protocol.shortest_period is None:
        return "none is, and 4 fs are safe."
    period = f"a bond of {1000 * protocol.shortest_period:.1f} fs period"
    if protocol.time_step >= 0.004:
        return f"{period}, more than five steps of 4 fs. If a run becomes unstable, take 2 fs."
    return f"{period}, less than five steps of 4 fs, so it is 2 fs."


def _beads(molecule: SmallMolecule, beads: Sequence[Bead]) -> str:
    return "; ".join(
        f"{bead.name} ({bead.type}): {' '.join(molecule.atom_names[atom] for atom in bead.atoms)}" for bead in beads
    )


def _pressure(pressure: float) -> str:
    return "1 atm" if pressure == ATMOSPHERE else f"{pressure:g} bar"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
