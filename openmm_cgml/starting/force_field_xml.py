"""An OpenMM ForceField XML of molecules, with one atom type per atom, so that every parameter is the molecule's own.

Types by atom leave nothing to matching: each bond, angle and torsion of tleap's topology is one entry. Impropers keep
tleap's order of atoms, which OpenMM's ordering "amber" respects where no class is a wildcard.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.errors import InputError
from openmm_cgml.starting.ambertools import Parameters
from openmm_cgml.starting.molecules import SmallMolecule

__all__ = [
    "ParametrizedMolecule",
    "Sections",
    "add_terms",
    "compare_energies",
    "compare_systems",
    "force_field_xml",
    "residue_lines",
    "type_lines",
    "water_parameters",
]

MADE_HERE = "<!-- Written by openmm-cgml init."
"""Beginning of a force field file that `init` wrote."""
LARGEST_DEVIATION = 1e-5
_SCALE_14 = {"coulomb14scale": "0.8333333333333334", "lj14scale": "0.5"}  # Amber's 1/1.2 and 1/2
_TIP3P_LENGTH, _TIP3P_ANGLE = 0.09572, 1.82421813418


@dataclass(frozen=True, eq=False, kw_only=True)
class ParametrizedMolecule:
    """A molecule with its parameters."""

    molecule: SmallMolecule
    parameters: Parameters


def force_field_xml(molecules: Sequence[ParametrizedMolecule]) -> str:
    """One OpenMM ForceField XML with a template for each molecule.

    Raises:
        InputError: A molecule has another force than those of Amber's force fields.
    """
    sections = Sections()
    for each in molecules:
        _add(sections, each)
    sources = "; ".join(f"{each.molecule.residue_name}: {each.parameters.source}" for each in molecules)
    return (
        f"{MADE_HERE} {sources}.\n     Each atom has a type of its own; comments have its GAFF-2 type. -->\n"
        + sections.text()
    )


def compare_energies(xml: str, each: ParametrizedMolecule, *, n_samples: int = 5, seed: int = 0) -> float:
    """Largest relative difference of energy and forces between an XML and what it was written from.

    Args:
        xml: The force field.
        each: The molecule and the System that it should have.
        n_samples: Distorted copies.
        seed: Seed of the distortions.
    """
    return compare_systems(xml, _topology(each.molecule), each, n_samples=n_samples, seed=seed)


def compare_systems(
    xml: str, topology: app.Topology, each: ParametrizedMolecule, *, n_samples: int = 5, seed: int = 0
) -> float:
    """Largest relative difference of energy and forces between an XML for a topology and a System of its atoms.

    Compared are distorted copies of the molecule, so that no term is at rest.

    Args:
        xml: The force field.
        topology: The molecule in residues that the force field knows.
        each: The molecule and the System that it should have.
        n_samples: Distorted copies.
        seed: Seed of the distortions.
    """
    molecule, generator = each.molecule, np.random.default_rng(seed)
    templates = {residue: residue.name for residue in topology.residues()}  # isomers in one file have one graph
    ours = app.ForceField(io.StringIO(xml)).createSystem(
        topology, nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False, residueTemplates=templates
    )
    largest = 0.0
    for _ in range(n_samples):
        positions = molecule.positions + generator.normal(scale=0.01, size=molecule.positions.shape)
        (energy, forces), (wanted, wanted_forces) = (_evaluate(s, positions) for s in (ours, each.parameters.system))
        spread = np.abs(wanted_forces - forces).max() / max(np.abs(wanted_forces).max(), 1.0)
        largest = max(largest, spread, abs(energy - wanted) / max(abs(wanted), 1.0))
    return float(largest)


def check_energies(xml: str, molecules: Sequence[ParametrizedMolecule]) -> None:
    """Refuse a force field that does not give the energies and forces it was written from.

    Raises:
        InputError: It does not.
    """
    for each in molecules:
        deviation = compare_energies(xml, each)
        if deviation > LARGEST_DEVIATION:
            raise InputError(
                f"the OpenMM force field of {each.molecule.smiles!r} differs from tleap's by {deviation:.2g}; please "
                "report this molecule"
            )


def water_parameters() -> Parameters:
    """TIP3P: GAFF has no water. Rigid in liquids, with bonds and an angle for programs that want them."""
    system = openmm.System()
    for mass in (15.99943, 1.007947, 1.007947):
        system.addParticle(mass)
    bonds, angles, nonbonded = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.NonbondedForce()
    for hydrogen in (1, 2):
        bonds.addBond(0, hydrogen, _TIP3P_LENGTH, 462750.4)
    angles.addAngle(1, 0, 2, _TIP3P_ANGLE, 836.8)
    nonbonded.addParticle(-0.834, 0.31507524065751241, 0.635968)
    for _ in range(2):
        nonbonded.addParticle(0.417, 1.0, 0.0)
    nonbonded.createExceptionsFromBonds([(0, 1), (0, 2)], 1.0, 1.0)
    for force in (bonds, angles, nonbonded):
        system.addForce(force)
    source = "TIP3P, W. L. Jorgensen et al., J. Chem. Phys. 79, 926 (1983); values as in OpenMM's tip3p.xml"
    note = "water is TIP3P, rigid: GAFF has no water"
    return Parameters(system=system, types=("tip3p-O", "tip3p-H", "tip3p-H"), source=source, notes=(note,))


def water_positions() -> NDArray[np.float64]:
    """Geometry of TIP3P water [nm], oxygen first, centered on the origin, shape (3, 3)."""
    half = 0.5 * _TIP3P_ANGLE
    arms = _TIP3P_LENGTH * np.array([[0, 0, 0], [np.sin(half), np.cos(half), 0], [-np.sin(half), np.cos(half), 0]])
    return np.asarray(arms - arms.mean(axis=0))


@dataclass
class Sections:
    """Lines of the file, by section."""

    types: list[str] = field(default_factory=list)
    residues: list[str] = field(default_factory=list)
    bonds: list[str] = field(default_factory=list)
    angles: list[str] = field(default_factory=list)
    torsions: list[str] = field(default_factory=list)
    nonbonded: list[str] = field(default_factory=list)

    def text(self) -> str:
        """The whole file."""
        parts = [
            _section("AtomTypes", self.types),
            _section("Residues", self.residues),
            _section("HarmonicBondForce", self.bonds),
            _section("HarmonicAngleForce", self.angles),
            _section("PeriodicTorsionForce", self.torsions, ordering="amber"),
            _section("NonbondedForce", self.nonbonded, **_SCALE_14),
        ]
        return "<ForceField>\n" + "".join(parts) + "</ForceField>\n"


def _section(name: str, lines: Sequence[str], **attributes: str) -> str:
    head = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return "".join([f"  <{name}{head}>\n", *(f"    {line}\n" for line in lines), f"  </{name}>\n"]) if lines else ""


def _add(sections: Sections, each: ParametrizedMolecule) -> None:
    molecule, types = each.molecule, [f"{each.molecule.residue_name}-{name}" for name in each.molecule.atom_names]
    sections.types += type_lines(types, molecule.elements, molecule.masses.tolist(), each.parameters.types)
    sections.residues += residue_lines(molecule.residue_name, molecule.atom_names, types, molecule.bonds)
    add_terms(sections, each.parameters.system, types, molecule)


def type_lines(
    types: Sequence[str], elements: Sequence[str], masses: Sequence[float], known: Sequence[str]
) -> list[str]:
    """Atom types, each its own class, with their GAFF-2 type in a comment.

    Args:
        types: Their names.
        elements: Element symbols.
        masses: Masses [Da].
        known: Their GAFF-2 types.
    """
    return [
        f"{_tag('Type', name=name, **{'class': name}, element=element, mass=mass)} <!-- {gaff} -->"
        for name, element, mass, gaff in zip(types, elements, masses, known, strict=True)
    ]


def residue_lines(
    name: str,
    atom_names: Sequence[str],
    types: Sequence[str],
    bonds: Sequence[tuple[int, int]],
    external: Sequence[str] = (),
) -> list[str]:
    """The template of a residue.

    Args:
        name: Its name.
        atom_names: Names of its atoms.
        types: Their types.
        bonds: Pairs of numbers of bonded atoms.
        external: Names of the atoms bonded to other residues.
    """
    lines = ["  " + _tag("Atom", name=own, type=kind) for own, kind in zip(atom_names, types, strict=True)]
    lines += ["  " + _tag("Bond", atomName1=atom_names[i], atomName2=atom_names[j]) for i, j in bonds]
    lines += ["  " + _tag("ExternalBond", atomName=own) for own in external]
    return [f'<Residue name="{name}">', *lines, "</Residue>"]


def add_terms(sections: Sections, system: openmm.System, types: Sequence[str], molecule: SmallMolecule) -> None:
    """Add the forces of a System of one molecule, between its atoms' types.

    Raises:
        InputError: It has another force than those of Amber's force fields.
    """
    writers: Mapping[type, Any] = {
        openmm.HarmonicBondForce: (sections.bonds, _bonds),
        openmm.HarmonicAngleForce: (sections.angles, _angles),
        openmm.PeriodicTorsionForce: (sections.torsions, _torsions),
        openmm.NonbondedForce: (sections.nonbonded, _nonbonded),
    }
    for force in system.getForces():
        if isinstance(force, openmm.CMMotionRemover):
            continue
        if type(force) not in writers:
            raise InputError(f"{molecule.smiles!r} has a {force.getName()}, which is no part of Amber's force fields")
        lines, write = writers[type(force)]
        lines += write(force, types, molecule)


def _bonds(force: openmm.HarmonicBondForce, types: Sequence[str], molecule: SmallMolecule) -> Iterator[str]:
    for index in range(force.getNumBonds()):
        i, j, length, k = force.getBondParameters(index)
        yield _tag("Bond", **_classes(types, i, j), length=_plain(length), k=_plain(k))


def _angles(force: openmm.HarmonicAngleForce, types: Sequence[str], molecule: SmallMolecule) -> Iterator[str]:
    for index in range(force.getNumAngles()):
        i, j, k, angle, stiffness = force.getAngleParameters(index)
        yield _tag("Angle", **_classes(types, i, j, k), angle=_plain(angle), k=_plain(stiffness))


def _torsions(force: openmm.PeriodicTorsionForce, types: Sequence[str], molecule: SmallMolecule) -> Iterator[str]:
    """One entry for each four atoms, with all of its terms; the center of an improper, third in Amber, comes first.

    tleap writes an improper backwards where its center is the first atom, whose number 0 cannot carry a sign.
    """
    bonded = {frozenset(pair) for pair in molecule.bonds}
    terms: dict[tuple[bool, tuple[int, ...]], list[tuple[int, float, float]]] = {}
    for index in range(force.getNumTorsions()):
        *atoms, periodicity, phase, k = force.getTorsionParameters(index)
        is_chain = all(frozenset(pair) in bonded for pair in pairwise(atoms))
        is_backwards = not is_chain and all(frozenset((atoms[1], other)) in bonded for other in (atoms[0], *atoms[2:]))
        if is_backwards or (is_chain and atoms[0] > atoms[-1]):
            atoms = atoms[::-1]
        terms.setdefault((is_chain, tuple(atoms)), []).append((periodicity, _plain(phase), _plain(k)))
    for (is_chain, (i, j, k, m)), values in terms.items():
        order = (i, j, k, m) if is_chain else (k, i, j, m)
        numbered = {
            f"{name}{number}": value
            for number, entries in enumerate(values, 1)
            for name, value in zip(("periodicity", "phase", "k"), entries, strict=True)
        }
        yield _tag("Proper" if is_chain else "Improper", **_classes(types, *order), **numbered)


def _nonbonded(force: openmm.NonbondedForce, types: Sequence[str], molecule: SmallMolecule) -> Iterator[str]:
    values = [[_plain(value) for value in force.getParticleParameters(i)] for i in range(force.getNumParticles())]
    for name, (charge, sigma, epsilon) in zip(types, values, strict=True):
        yield _tag("Atom", type=name, charge=charge, sigma=sigma, epsilon=epsilon)


def _classes(types: Sequence[str], *atoms: int) -> dict[str, str]:
    return {f"class{number}": types[atom] for number, atom in enumerate(atoms, 1)}


def _tag(tag: str, /, **attributes: object) -> str:
    """An element without content; numbers with all of their digits."""
    written = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<{tag}{written}/>"


def _plain(quantity: Any) -> float:
    if unit.is_quantity(quantity):
        quantity = quantity.value_in_unit_system(unit.md_unit_system)
    return float(quantity)


def _topology(molecule: SmallMolecule) -> app.Topology:
    topology = app.Topology()
    residue = topology.addResidue(molecule.residue_name, topology.addChain())
    atoms = [
        topology.addAtom(name, app.Element.getBySymbol(symbol), residue)
        for name, symbol in zip(molecule.atom_names, molecule.elements, strict=True)
    ]
    for i, j in molecule.bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


def _evaluate(system: openmm.System, positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)), np.asarray(forces)
