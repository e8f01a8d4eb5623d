"""Atomistic molecules that ship with the package: geometry, bonds and an OpenMM force field in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.specification import ResidueSpecification

__all__ = [
    "ATOMISTIC_MODELS",
    "AtomisticModel",
    "check_atoms",
    "find_atomistic_model",
    "identify_force_field",
    "read_atomistic_model",
    "read_force_field_text",
    "read_pdb",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class AtomisticModel:
    """One molecule with its force field.

    Attributes:
        name: Name used in `system.yaml`, e.g. "amber-cornell-benzene".
        description: One line for reports.
        source: Where the parameters come from.
        residue_name: Residue name in topologies.
        atom_names: Atom names in order.
        elements: Element symbols in order.
        positions: Starting geometry [nm], shape (n_atoms, 3), centered on the origin.
        bonds: Pairs of atom positions in the tuple of names.
        force_field_xml: OpenMM ForceField XML with a template for the residue.
        expected: What this force field itself gives, by observable, as (value, unit); the honest target of a test.
    """

    name: str
    description: str
    source: str
    residue_name: str
    atom_names: tuple[str, ...]
    elements: tuple[str, ...]
    positions: np.ndarray
    bonds: tuple[tuple[int, int], ...]
    force_field_xml: str
    expected: dict[str, tuple[float, str]] = field(default_factory=dict)

    @property
    def n_atoms(self) -> int:
        """Number of atoms in the molecule."""
        return len(self.atom_names)

    @property
    def masses(self) -> np.ndarray:
        """Real atomic masses [Da], shape (n_atoms,)."""
        return np.array([app.Element.getBySymbol(symbol).mass._value for symbol in self.elements])

    @property
    def radius(self) -> float:
        """Largest distance of an atom from the center of the starting geometry [nm]."""
        return float(np.linalg.norm(self.positions, axis=1).max())

    def force_field(self) -> app.ForceField:
        """The OpenMM force field, read from memory."""
        return app.ForceField(io.StringIO(self.force_field_xml))

    def topology(self, n_molecules: int) -> app.Topology:
        """An OpenMM topology of `n_molecules` separate molecules, one residue each."""
        topology = app.Topology()
        self.add_molecules(topology, topology.addChain(), n_molecules)
        return topology

    def add_molecules(self, topology: app.Topology, chain: app.topology.Chain, n_molecules: int) -> None:
        """Add separate molecules to a chain of a topology, one residue each."""
        elements = [app.Element.getBySymbol(symbol) for symbol in self.elements]
        for _ in range(n_molecules):
            residue = topology.addResidue(self.residue_name, chain)
            atoms = [topology.addAtom(n, e, residue) for n, e in zip(self.atom_names, elements, strict=True)]
            for i, j in self.bonds:
                topology.addBond(atoms[i], atoms[j])

    def check_atoms(self, residue: ResidueSpecification) -> None:
        """Refuse a residue of a `system.yaml` that does not list the atoms of this molecule in its order.

        Raises:
            InputError: It does not.
        """
        check_atoms(residue, self.name, self.residue_name, self.atom_names, self.elements)


def find_atomistic_model(name: str) -> AtomisticModel:
    """The shipped atomistic model called `name`.

    Raises:
        InputError: No model has that name.
    """
    if name not in ATOMISTIC_MODELS:
        raise InputError(
            f"unknown atomistic force field {name!r}; known: {', '.join(sorted(ATOMISTIC_MODELS))}. "
            "For another molecule, attach openmm_cgml.reference.ForceRecorder to your own simulation."
        )
    return ATOMISTIC_MODELS[name]


def check_atoms(
    residue: ResidueSpecification, model: str, name: str, atom_names: Sequence[str], elements: Sequence[str]
) -> None:
    """Refuse a residue of a `system.yaml` that does not list the atoms of an atomistic model in its order.

    Args:
        residue: The residue.
        model: Name of the model.
        name: Name of the residue in the model.
        atom_names: Names of its atoms.
        elements: Their element symbols.

    Raises:
        InputError: It does not.
    """
    atoms = [(atom.name, atom.element) for atom in residue.atoms]
    if residue.name != name or atoms != list(zip(atom_names, elements, strict=True)):
        raise InputError(
            f"residue {residue.name!r} of system.yaml does not list the atoms of {model!r}: residue {name!r} with "
            f"{' '.join(atom_names)} in this order"
        )


def read_atomistic_model(force_field: Path, molecule: Path) -> AtomisticModel:
    """One molecule with its force field, from files.

    Args:
        force_field: OpenMM ForceField XML with a template for the molecule; without scripts.
        molecule: PDB file of one molecule of one residue, with CONECT records.

    Raises:
        InputError: If a file is missing or damaged, the XML holds code, or the PDB more or less than one residue.
    """
    text = read_force_field_text(force_field)
    structure = read_pdb(molecule)
    atoms, residues = list(structure.topology.atoms()), list(structure.topology.residues())
    positions = np.array(structure.getPositions(asNumpy=True)._value, dtype=np.float64)
    missing = [atom.name for atom in atoms if atom.element is None]
    if len(residues) != 1 or missing or not np.isfinite(positions).all():
        raise InputError(
            f"{molecule}: holds {len(residues)} residues and {len(missing)} atoms without an element; one molecule of "
            "one residue with elements (columns 77-78) and finite coordinates is needed"
        )
    positions -= positions.mean(axis=0)
    positions.setflags(write=False)
    name, source = identify_force_field(force_field, text)
    return AtomisticModel(
        name=name,
        description=f"{residues[0].name} of {molecule.name} with {force_field.name}",
        source=source,
        residue_name=residues[0].name,
        atom_names=tuple(atom.name for atom in atoms),
        elements=tuple(atom.element.symbol for atom in atoms),
        positions=positions,
        bonds=tuple(sorted(_pair(bond) for bond in structure.topology.bonds())),
        force_field_xml=text,
    )


def read_pdb(path: Path) -> app.PDBFile:
    """A PDB file as OpenMM reads it.

    Raises:
        InputError: There is no such file, or OpenMM cannot read it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; `reference` in system.yaml names it")
    try:
        with path.open(encoding="utf8") as file:
            return app.PDBFile(file)
    except (ValueError, LookupError, AttributeError, TypeError, AssertionError) as error:
        raise InputError(f"{path}: OpenMM cannot read this file ({error})") from error


def read_force_field_text(path: Path) -> str:
    """The text of an OpenMM ForceField XML that holds nothing but parameters.

    Raises:
        InputError: There is no such file, it cannot be read, or it holds code.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; `reference` in system.yaml names it")
    try:
        text = path.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not readable as text ({error})") from error
    _refuse_scripts(path, text)
    return text


def identify_force_field(path: Path, text: str) -> tuple[str, str]:
    """A name for a force field file and where it comes from, both with a digest of its text."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{path.stem}-{digest[:8]}", f"{path.name}, sha256 {digest}"


def _pair(bond: app.topology.Bond) -> tuple[int, int]:
    """Numbers of bonded atoms in order, which OpenMM's matching of molecules to templates follows."""
    return min(bond[0].index, bond[1].index), max(bond[0].index, bond[1].index)


def _refuse_scripts(path: Path, text: str) -> None:
    """Refuse a force field that OpenMM would run code from."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: not readable as XML ({error})") from error
    held = sorted({element.tag for element in root.iter()} & {"Script", "InitializationScript", "Include"})
    if root.tag != "ForceField" or held:
        what = f"holds {', '.join(held)}, which runs code or reads other files" if held else f"is a <{root.tag}>"
        raise InputError(f"{path}: {what}; give an OpenMM <ForceField> of plain parameters in one file")


def _benzene() -> AtomisticModel:
    angles = np.arange(6) * np.pi / 3.0
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    positions = np.concatenate([0.140 * ring, 0.248 * ring])
    positions.setflags(write=False)
    atoms = [(f"C{i}", "CA") for i in range(1, 7)] + [(f"H{i}", "HA") for i in range(1, 7)]
    bonds = tuple((i, (i + 1) % 6) for i in range(6)) + tuple((i, i + 6) for i in range(6))
    atom_xml = "\n".join(f'      <Atom name="{name}" type="{kind}"/>' for name, kind in atoms)
    bond_xml = "\n".join(f'      <Bond atomName1="{atoms[i][0]}" atomName2="{atoms[j][0]}"/>' for i, j in bonds)
    return AtomisticModel(
        name="amber-cornell-benzene",
        description="benzene with the Cornell et al. types CA and HA and charges of -0.115 and +0.115",
        source="W. D. Cornell et al., J. Am. Chem. Soc. 117, 5179 (1995); values as in OpenMM's amber96.xml",
        residue_name="BNZ",
        atom_names=tuple(name for name, _ in atoms),
        elements=("C",) * 6 + ("H",) * 6,
        positions=positions,
        bonds=bonds,
        force_field_xml=_CORNELL_XML.format(atoms=atom_xml, bonds=bond_xml),
        expected={
            "density": (0.840, "g/cm^3"),
            "vaporization_enthalpy": (30.0, "kJ/mol"),
            "first_peak_position": (0.562, "nm"),
            "first_peak_height": (1.83, ""),
        },
    )


# ordering="amber" makes OpenMM put the improper's atoms in Amber's order.
_CORNELL_XML = """<ForceField>
  <AtomTypes>
    <Type name="CA" class="CA" element="C" mass="12.01078"/>
    <Type name="HA" class="HA" element="H" mass="1.007947"/>
  </AtomTypes>
  <Residues>
    <Residue name="BNZ">
{atoms}
{bonds}
    </Residue>
  </Residues>
  <HarmonicBondForce>
    <Bond class1="CA" class2="CA" length="0.14" k="392459.2"/>
    <Bond class1="CA" class2="HA" length="0.108" k="307105.6"/>
  </HarmonicBondForce>
  <HarmonicAngleForce>
    <Angle class1="CA" class2="CA" class3="CA" angle="2.09439510239" k="527.184"/>
    <Angle class1="CA" class2="CA" class3="HA" angle="2.09439510239" k="292.88"/>
  </HarmonicAngleForce>
  <PeriodicTorsionForce ordering="amber">
    <Proper class1="" class2="CA" class3="CA" class4="" periodicity1="2" phase1="3.14159265359" k1="15.167"/>
    <Improper class1="CA" class2="" class3="" class4="HA" periodicity1="2" phase1="3.14159265359" k1="4.6024"/>
  </PeriodicTorsionForce>
  <NonbondedForce coulomb14scale="0.833333" lj14scale="0.5">
    <Atom type="CA" charge="-0.115" sigma="0.339966950842" epsilon="0.359824"/>
    <Atom type="HA" charge="0.115" sigma="0.259964245953" epsilon="0.06276"/>
  </NonbondedForce>
</ForceField>
"""

ATOMISTIC_MODELS = {model.name: model for model in (_benzene(),)}
