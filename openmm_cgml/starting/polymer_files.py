"""Texts of the files that start a polymer: those of `templates/` filled in, and the short chain as PDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from openmm_cgml.starting.beads import Bead
from openmm_cgml.starting.config import StartPolymerConfig
from openmm_cgml.starting.files import bonded_priors, fit_text, pair_priors, refine_text, residue_entry
from openmm_cgml.starting.oligomers import Oligomer, RepeatUnit
from openmm_cgml.starting.pdb import pdb_text
from openmm_cgml.starting.protocol import HYDROGEN_MASS, Protocol
from openmm_cgml.starting.texts import (
    commands_from_data,
    counted,
    filled,
    pressure_text,
    reason_of_step,
    reference_command,
)

__all__ = [
    "CHAIN",
    "PolymerStart",
    "chain_pdb",
    "polymer_commands",
    "polymer_fit_yaml",
    "polymer_readme",
    "polymer_refine_yaml",
    "polymer_system_yaml",
]

CHAIN = "chain.pdb"
_HOT = 2.0
"""Temperature that chains are annealed at, over their own."""
_DILUTE = 0.4
"""Density that chains are grown at, over the guess of that of the melt."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PolymerStart:
    """What a polymer starts with.

    Attributes:
        folder: Its folder, as commands name it.
        command: The command line that made it.
        config: What was asked for.
        unit: The repeat unit.
        chain: A short chain in several conformations.
        beads: Beads of the first, an inner and the last residue.
        bonds: Pairs of numbers of bonded beads within a residue.
        tacticity: How stereocenters follow each other; None where there is none to choose.
        source: The atomistic force field.
        protocol: How the atomistic polymer is simulated.
        notes: What was decided, and should be known.
    """

    folder: Path
    command: str
    config: StartPolymerConfig
    unit: RepeatUnit
    chain: Oligomer
    beads: tuple[tuple[Bead, ...], tuple[Bead, ...], tuple[Bead, ...]]
    bonds: tuple[tuple[int, int], ...]
    tacticity: str | None
    source: str
    protocol: Protocol
    notes: tuple[str, ...]

    @property
    def temperature(self) -> float:
        """Temperature [K]."""
        return self.config.temperature

    @property
    def pressure(self) -> float:
        """Pressure [bar]."""
        return self.config.pressure

    @property
    def residue_names(self) -> tuple[str, str, str]:
        """Names of the first, the inner and the last residue."""
        names = self.chain.residue_names
        return names[0], names[1], names[-1]

    @property
    def description(self) -> str:
        """One line."""
        kind, beads = f"{self.tacticity} " if self.tacticity else "", counted(len(self.beads[1]), "bead")
        where = f"{self.temperature:g} K and {pressure_text(self.pressure)}"
        return f"Chains of {self.config.monomers} {kind}units {self.unit.smiles} ({beads} a unit) at {where}"

    @property
    def ends(self) -> str:
        """What the chains end with."""
        start, end = (text if text != "[H]*" else "hydrogen" for text in self.unit.ends)
        return f"they end with {start}" if start == end else f"they start with {start} and end with {end}"


def polymer_system_yaml(start: PolymerStart) -> str:
    """The system.yaml, with comments."""
    protocol, (head, body, tail) = start.protocol, start.residue_names
    return filled(
        "system-polymer.yaml",
        start,
        command=start.command,
        residues="\n".join(line for number in range(3) for line in _residue(start, number)),
        ends=_types_of_ends(start),
        head=head,
        body=body,
        tail=tail,
        entry=start.chain.entry,
        exit=start.chain.exit,
        monomers=str(start.config.monomers),
        n_chains=str(start.config.n_chains),
        n_conformations=str(len(start.chain.conformations)),
        tacticity=_tacticity(start),
        guess=f"{protocol.density:g} g/cm^3",
        density=f"{_DILUTE * protocol.density:.2g} g/cm^3",
        hot=f"{_HOT * start.temperature:g} kelvin",
        reason=reason_of_step(protocol),
        time_step=f"{1000 * protocol.time_step:g} fs",
        edge=f"{protocol.edge:.2f} nm",
        cutoff=f"{protocol.cutoff:g} nm",
        switch_distance=f"{protocol.switch_distance:g} nm",
        hydrogen_mass=f"{HYDROGEN_MASS:g} dalton",
    )


def polymer_fit_yaml(start: PolymerStart) -> str:
    """The fit.yaml, with comments."""
    longest = min(4, start.config.monomers * len(start.beads[1]))
    cutoff = start.protocol.model_cutoff
    return fit_text(start, bonded_priors(start, longest) + pair_priors(start, cutoff), cutoff, what="polymer")


def polymer_refine_yaml(start: PolymerStart) -> str:
    """The refine.yaml, with comments."""
    return refine_text(start, has_bonds=True)


def polymer_readme(start: PolymerStart) -> str:
    """The README.md, with the commands from installation to report."""
    places = ("first of a chain", "between", "last of a chain")
    rows = [
        f"| {name} | {place} | {_bead_list(start, number)} |"
        for number, (name, place) in enumerate(zip(start.residue_names, places, strict=True))
    ]
    notes = ["", "## To know", "", *(f"- {note}" for note in start.notes)] if start.notes else []
    return filled(
        "README-polymer.md",
        start,
        residues="\n".join(rows),
        repeat=start.unit.smiles,
        monomers=str(start.config.monomers),
        n_chains=str(start.config.n_chains),
        ends=start.ends,
        source=start.source,
        commands="\n".join(polymer_commands(start)),
        notes="\n".join(notes),
    )


def polymer_commands(start: PolymerStart) -> list[str]:
    """The command lines from installation to report."""
    return [
        'pip install "openmm-cgml[molecules]"',
        start.command,
        reference_command(start.folder),
        *commands_from_data(start.folder, f"--chains {start.config.chains}", "500 ps"),
    ]


def chain_pdb(chain: Oligomer) -> str:
    """A short chain as a PDB file: a model for each conformation, and its bonds (CONECT)."""
    molecule = chain.molecule
    residues = [(chain.residue_names[n], n + 1) for n, members in enumerate(chain.residues) for _ in members]
    return pdb_text(molecule.smiles, chain.atom_names, molecule.elements, residues, molecule.bonds, chain.conformations)


def _residue(start: PolymerStart, number: int) -> Iterator[str]:
    chain, members = start.chain, start.chain.residues[(0, 1, -1)[number]]
    atoms = [(chain.atom_names[atom], chain.molecule.elements[atom]) for atom in members]
    comment = ("the first unit of a chain", "units between", "the last unit of a chain")[number]
    return residue_entry(start.residue_names[number], comment, atoms, start.beads[number], start.bonds)


def _types_of_ends(start: PolymerStart) -> str:
    own = {bead.type for bead in (*start.beads[0], *start.beads[2])} - {bead.type for bead in start.beads[1]}
    if own:
        return f"those at the ends of a chain have types of their own: {', '.join(sorted(own))}."
    return "those at the ends of a chain, heavier by a hydrogen, are taken as alike to the others."


def _tacticity(start: PolymerStart) -> str:
    if start.tacticity is None:
        return "  # tacticity and stereocenter are not set: the repeat unit leaves no stereocenter open."
    return (
        f"  tacticity: {start.tacticity}    # isotactic, syndiotactic or atactic: how the hands of neighboring units "
        f"follow each other\n  stereocenter: {start.chain.stereocenter}"
    )


def _bead_list(start: PolymerStart, number: int) -> str:
    chain, members = start.chain, start.chain.residues[(0, 1, -1)[number]]
    return "; ".join(
        f"{bead.name} ({bead.type}): {' '.join(chain.atom_names[members[atom]] for atom in bead.atoms)}"
        for bead in start.beads[number]
    )
