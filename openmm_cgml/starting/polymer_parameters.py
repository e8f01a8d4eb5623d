"""An OpenMM ForceField XML of a polymer's residues, from short chains that AmberTools knows.

GAFF-2's parameters follow from its atom types, and those are the same in all inner residues (checked); so the terms of
a long chain are those of chains just long enough to hold each kind of neighbors. Charges are those of the residues of
one short chain, with the inner one made neutral.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.starting.ambertools import Charges, Parameters, parametrize
from openmm_cgml.starting.force_field_xml import (
    LARGEST_DEVIATION,
    MADE_HERE,
    ParametrizedMolecule,
    Sections,
    add_terms,
    compare_systems,
    residue_lines,
    type_lines,
)
from openmm_cgml.starting.oligomers import Oligomer, RepeatUnit, make_oligomer

__all__ = ["PolymerParameters", "parametrize_polymer"]

_LONGEST = {1: 6, 2: 5}
"""Units of the longest chain that holds all kinds of neighbors, by atoms of a unit along the chain; 4 for more."""
_CLASS = re.compile(r' class\d="([^"]*)"')


@dataclass(frozen=True, eq=False, kw_only=True)
class PolymerParameters:
    """The force field of a polymer.

    Attributes:
        xml: OpenMM ForceField XML with a template for each kind of residue.
        chain: The short chain whose charges were made, with its parameters.
        source: Programs, versions and methods, for the record.
        notes: Parameters that were taken from far relatives.
    """

    xml: str
    chain: ParametrizedMolecule
    source: str
    notes: tuple[str, ...]


def parametrize_polymer(
    unit: RepeatUnit, charged: Oligomer, charges: Charges = "bcc", *, seed: int = 1
) -> PolymerParameters:
    """GAFF-2 parameters of the residues of a polymer.

    The energies and forces that the XML gives for the short chains are compared with those of tleap's topologies.

    Args:
        unit: The repeat unit.
        charged: A chain of three units, whose residues' charges are taken.
        charges: See `parametrize`.
        seed: Seed of the other chains' conformations.

    Raises:
        InputError: A program gives up, a parameter has no analogy in GAFF-2, or the atom types of inner residues
            differ.
        MissingDependencyError: RDKit or AmberTools is missing.
    """
    made = parametrize(charged.molecule, charges)
    own = residue_charges(charged, _charges(made.system))
    chains = [make_oligomer(unit, n, charged.residue_names, seed=seed) for n in _lengths(unit)]
    known = [(chain, parametrize(chain.molecule, _spread_charges(chain, own))) for chain in chains]
    _check_types(unit, known)
    xml = _write(known, made.source)
    for chain, parameters in known:
        each = ParametrizedMolecule(molecule=chain.molecule, parameters=parameters)
        deviation = compare_systems(xml, chain.topology(), each)
        if deviation > LARGEST_DEVIATION:
            raise InputError(
                f"the OpenMM force field of a chain of {unit.smiles!r} differs from tleap's by {deviation:.2g}; please "
                "report this repeat unit"
            )
    return PolymerParameters(
        xml=xml,
        chain=ParametrizedMolecule(molecule=charged.molecule, parameters=made),
        source=f"{made.source}; charges of the residues of a chain of {len(charged.residues)}",
        notes=made.notes,
    )


def residue_charges(
    chain: Oligomer, charges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Charges [e] of the first, an inner and the last residue, from those of a chain of three.

    The inner residue is made neutral by a shift of all of its atoms, and the first and the last together.

    Args:
        chain: The chain.
        charges: Charge of each atom [e], shape (n_atoms,).
    """
    head, body, tail = (charges[list(residue)] for residue in chain.residues)
    body = body - body.mean()
    excess = (head.sum() + tail.sum()) / (len(head) + len(tail))
    return head - excess, body, tail - excess


def _lengths(unit: RepeatUnit) -> list[int]:
    return list(range(2, _LONGEST.get(unit.backbone_length, 4) + 1))


def _charges(system: openmm.System) -> NDArray[np.float64]:
    (force,) = (force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    e = unit.elementary_charge
    return np.array([force.getParticleParameters(i)[0].value_in_unit(e) for i in range(force.getNumParticles())])


def _spread_charges(chain: Oligomer, own: Sequence[NDArray[np.float64]]) -> list[float]:
    head, body, tail = own
    return np.concatenate([head, *[body] * (len(chain.residues) - 2), tail]).tolist()


def _check_types(unit: RepeatUnit, known: Sequence[tuple[Oligomer, Parameters]]) -> None:
    """Refuse a chain whose residues differ by type, as conjugated ones may."""
    first: dict[str, tuple[str, ...]] = {}
    for chain, parameters in known:
        for name, members in zip(chain.residue_names, chain.residues, strict=True):
            types = tuple(parameters.types[atom] for atom in members)
            if first.setdefault(name, types) != types:
                raise InputError(
                    f"GAFF-2 has other atom types in one unit of {unit.smiles!r} than in the next, as in conjugated "
                    "chains; take two units as the repeat unit, or record a simulation with a force field of your own "
                    "(docs/recording.md)"
                )


def _write(known: Sequence[tuple[Oligomer, Parameters]], source: str) -> str:
    merged = Sections()
    last = len(known) - 1
    for number, (chain, parameters) in enumerate(known):
        types = [
            f"{name}-{chain.atom_names[atom]}"
            for name, members in zip(chain.residue_names, chain.residues, strict=True)
            for atom in members
        ]
        sections = Sections()
        add_terms(sections, parameters.system, types, chain.molecule)
        for name in ("bonds", "angles", "torsions", "nonbonded"):
            _merge(getattr(merged, name), getattr(sections, name))
        if number == last:
            _add_residues(merged, chain, parameters, types)
    return (
        f"{MADE_HERE} {source}.\n     Each atom of a residue has a type of its own; comments have its GAFF-2 type. "
        f"-->\n{merged.text()}"
    )


def _merge(lines: list[str], more: Sequence[str]) -> None:
    """Add what is not there yet, by the atoms that it is of, in either direction."""
    seen = {_atoms_of(line) for line in lines}
    for line in more:
        atoms = _atoms_of(line)
        if atoms not in seen:
            lines.append(line)
            seen.add(atoms)


def _atoms_of(line: str) -> tuple[str, ...]:
    """The tag and the classes of an entry; proper terms are the same backwards."""
    tag, classes = line.split()[0], tuple(_CLASS.findall(line))
    if not classes:
        return (line.split('type="')[1].split('"')[0],)
    if tag == "<Improper":
        return (tag, *classes)
    return (tag, *min(classes, classes[::-1]))


def _add_residues(sections: Sections, chain: Oligomer, parameters: Parameters, types: Sequence[str]) -> None:
    external = [[chain.exit], [chain.entry, chain.exit], [chain.entry]]
    masses = chain.molecule.masses
    for number, ends in zip((0, 1, len(chain.residues) - 1), external, strict=True):
        members = list(chain.residues[number])
        place = {atom: i for i, atom in enumerate(members)}
        sections.types += type_lines(
            [types[atom] for atom in members],
            [chain.molecule.elements[atom] for atom in members],
            [float(masses[atom]) for atom in members],
            [parameters.types[atom] for atom in members],
        )
        bonds = [(place[i], place[j]) for i, j in chain.molecule.bonds if i in place and j in place]
        names = [chain.atom_names[atom] for atom in members]
        sections.residues += residue_lines(
            chain.residue_names[number], names, [types[atom] for atom in members], bonds, ends
        )
