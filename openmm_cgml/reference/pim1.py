"""PIM-1: residues, charges, and chains grown from one rigid residue in random configurations.

A residue is the half of a spirobisindane unit without the spiro carbon (atoms O1 to C10), the half with it (C11 to C21,
O3 and O4), and a phthalonitrile ring (C22 to N2) whose carbons C26 and C27 are bonded to O1 and O2 of the next residue.
Chains start with two hydroxyls and end with two fluorines.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import MissingDependencyError, SimulationError
from openmm_cgml.reference.gaff_types import gaff_types
from openmm_cgml.reference.polymers import AtomisticPolymer, MonomerUnit, is_crossed
from openmm_cgml.reference.rigid_chains import RigidResidue, grow_rigid_chains

__all__ = ["chain_smiles", "pim1"]

# Ring bonds of SMILES reach across dots, so residues are written one after the other and linked by number.
_SPIROBISINDANE = "O{a}c1cc2c(cc1O{b})C(C)(C)CC23CC(C)(C)c4cc(O{c})c(O{d})cc43"
_PHTHALONITRILE = "c{c}1c{d}c(C#N)c{e}c{f}c1C#N"

_LINKS = (("C26", "O1"), ("C27", "O2"))
_CROSSED_LINKS = (("C26", "O2"), ("C27", "O1"))
# The ring with its nitriles, and the same turned over about the axis of the chain.
_RING = ("C22", "C23", "C24", "C25", "N1", "C26", "C27", "C28", "C29", "N2")
_TURNED_RING = ("C23", "C22", "C28", "C29", "N2", "C27", "C26", "C24", "C25", "N1")

_EMBEDDING_SEED = 7
_OH_BOND = 0.097  # nm


@cache
def pim1() -> AtomisticPolymer:
    """PIM-1 with the types of GAFF-2.11 and Gasteiger charges.

    Raises:
        MissingDependencyError: RDKit is missing.
    """
    head, body, tail = _units()
    return AtomisticPolymer(
        name="pim-1",
        source="PIM-1 of P. M. Budd et al., Chem. Commun. 2004, 230; Gasteiger-Marsili charges by RDKit",
        head=head,
        body=body,
        tail=tail,
        links=_LINKS,
        crossed_links=_CROSSED_LINKS,
        grow=grow_pim1,
    )


def chain_smiles(monomers: int) -> str:
    """SMILES of a chain, its heavy atoms in the order of the residues."""
    return ".".join(_residue_smiles(number, monomers) for number in range(monomers))


def grow_pim1(n_chains: int, monomers: int, edge: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Atoms of PIM-1 chains in a periodic cube [nm], shape (n_atoms, 3). See `Grow` and `grow_rigid_chains`.

    The spiro centers have a random hand each. Which sides of neighboring residues face the same way is part of the
    topology (`AtomisticPolymer.joint_links`).
    """
    head, body, tail = _rigid_residues()
    residues = [head, *[body] * (monomers - 2), tail]
    crossed = [is_crossed(joint) for joint in range(monomers - 1)]
    return grow_rigid_chains(residues, crossed, n_chains, edge, generator)


def _residue_smiles(number: int, monomers: int) -> str:
    """A residue of a chain; the bonds to the residues around it are open ring bonds."""
    links = [("%10", "%11"), ("%30", "%31")]
    before, after = links if number % 2 else links[::-1]
    if number == 0:
        before = ("", "")
    if number == monomers - 1:
        after = ("(F)", "(F)")
    elif is_crossed(number):
        after = after[::-1]
    labels = dict(zip("abcdef", (*before, "%12", "%13", *after), strict=True))
    return f"{_SPIROBISINDANE}.{_PHTHALONITRILE}".format(**labels)


def chemistry() -> Any:
    """RDKit's `AllChem`.

    Raises:
        MissingDependencyError: RDKit is missing.
    """
    try:
        from rdkit.Chem import AllChem
    except ImportError as error:
        raise MissingDependencyError(
            f"PIM-1 is built with RDKit, which does not import ({error}); pip install 'openmm-cgml[polymers]'"
        ) from error
    return AllChem


def _units() -> tuple[MonomerUnit, MonomerUnit, MonomerUnit]:
    """Head, body and tail, as in a chain of three."""
    chem = chemistry()
    molecule = chem.AddHs(chem.MolFromSmiles(chain_smiles(3)))
    chem.ComputeGasteigerCharges(molecule)
    elements = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    types = gaff_types(elements, bonds)
    charges = [atom.GetDoubleProp("_GasteigerCharge") for atom in molecule.GetAtoms()]
    residues = _residue_atoms(molecule, [_n_heavy(number, 3) for number in range(3)])
    rounded = _round_charges([[charges[atom] for atom in atoms] for atoms in residues])
    units = []
    for name, atoms, own_charges in zip(("PIH", "PIM", "PIT"), residues, rounded, strict=True):
        index = {atom: place for place, atom in enumerate(atoms)}
        units.append(
            MonomerUnit(
                residue_name=name,
                atom_names=_atom_names(molecule, atoms),
                elements=tuple(elements[atom] for atom in atoms),
                bonds=tuple(sorted((index[i], index[j]) for i, j in bonds if i in index and j in index)),
                types=tuple(types[atom] for atom in atoms),
                charges=own_charges,
            )
        )
    return units[0], units[1], units[2]


def _n_heavy(number: int, monomers: int) -> int:
    return 37 if number == monomers - 1 else 35


def _residue_atoms(molecule: Any, n_heavy: list[int]) -> list[list[int]]:
    """Atoms of each residue: heavy ones in the order of the SMILES, then their hydrogens in the same order."""
    ends = np.cumsum(n_heavy).tolist()
    residues = [list(range(end - count, end)) for end, count in zip(ends, n_heavy, strict=True)]
    return [[*atoms, *(h for atom in atoms for h in _hydrogens(molecule, atom))] for atoms in residues]


def _hydrogens(molecule: Any, atom: int) -> list[int]:
    around = molecule.GetAtomWithIdx(atom).GetNeighbors()
    return sorted(neighbor.GetIdx() for neighbor in around if neighbor.GetSymbol() == "H")


def _atom_names(molecule: Any, atoms: list[int]) -> tuple[str, ...]:
    """Heavy atoms numbered by element; hydrogens named after their carbon (H2, H8A) or oxygen (HO1)."""
    counts: Counter[str] = Counter()
    names: dict[int, str] = {}
    for atom in atoms:
        symbol = molecule.GetAtomWithIdx(atom).GetSymbol()
        if symbol == "H":
            continue
        counts[symbol] += 1
        names[atom] = f"{symbol}{counts[symbol]}"
        hydrogens = _hydrogens(molecule, atom)
        for hydrogen, letter in zip(hydrogens, "ABC", strict=False):
            names[hydrogen] = f"H{names[atom].removeprefix('C')}{letter if len(hydrogens) > 1 else ''}"
    return tuple(names[atom] for atom in atoms)


def _round_charges(charges: list[list[float]]) -> list[tuple[float, ...]]:
    """Charges [e] to six digits; the body is neutral, and so are head and tail together."""
    head, body, tail = (np.round(own, 6) for own in charges)
    body[np.argmax(np.abs(body))] -= body.sum()
    tail[np.argmax(np.abs(tail))] -= head.sum() + tail.sum()
    return [tuple(np.round(own, 6).tolist()) for own in (head, body, tail)]


@cache
def _rigid_residues() -> tuple[RigidResidue, RigidResidue, RigidResidue]:
    """Head, body and tail, from one residue between two rings as RDKit embeds it."""
    ring, residue = _embed_residue()
    polymer = pim1()
    head = {**residue, **{f"HO{n}": _along(residue[f"O{n}"], ring[f"C{25 + n}"], _OH_BOND) for n in (1, 2)}}
    entry = np.stack([ring[name] for name in _RING])
    bodies = []
    for unit, positions in ((polymer.head, head), (polymer.body, residue), (polymer.tail, residue)):
        index = {name: number for number, name in enumerate(unit.atom_names)}
        bodies.append(
            RigidResidue(
                positions=np.stack([positions[name] for name in unit.atom_names]),
                entry=entry,
                exit=np.array([index[name] for name in _RING]),
                crossed_exit=np.array([index[name] for name in _TURNED_RING]),
            )
        )
    return bodies[0], bodies[1], bodies[2]


def _embed_residue() -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Positions [nm] by name of the ring before a residue, and of the residue with the fluorines of the tail."""
    chem = chemistry()
    ring = _PHTHALONITRILE.format(c="(F)", d="(F)", e="%30", f="%31")
    molecule = chem.AddHs(chem.MolFromSmiles(f"{ring}.{_residue_smiles(2, 3)}"))
    if chem.EmbedMolecule(molecule, randomSeed=_EMBEDDING_SEED) != 0 or chem.MMFFOptimizeMolecule(
        molecule, maxIters=5000
    ):
        raise SimulationError("RDKit found no geometry of a PIM-1 residue; install another version of rdkit")
    positions = 0.1 * molecule.GetConformer().GetPositions()
    first, second = _residue_atoms(molecule, [12, 37])
    before = dict(zip(("C22", "F1", "C23", "F2", *_RING[2:]), positions[first], strict=True))
    return before, dict(zip(_atom_names(molecule, second), positions[second], strict=True))


def _along(start: NDArray[np.float64], end: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    return np.asarray(start + length * (end - start) / np.linalg.norm(end - start))
