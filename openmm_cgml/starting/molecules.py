"""SmallMolecule: atoms, bonds and a geometry from SMILES, with names that files keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.specification import element_mass

__all__ = ["SmallMolecule", "chemistry", "read_smiles"]

_ELEMENTS = ("H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I")
"""Those that GAFF-2 has parameters for."""
_MOST_ATOMS = 250  # antechamber's own limit is 256
_CONFORMERS = 10
_FEW_STEPS = 50
"""Of a conformation that is to keep its torsions."""
_GRID = 0.2  # angstrom, of the volume


@dataclass(frozen=True, eq=False, kw_only=True)
class SmallMolecule:
    """One molecule.

    Attributes:
        smiles: The SMILES it was made from.
        residue_name: Name of its residue.
        atom_names: Element and number, in the order of the SMILES, hydrogens last.
        elements: Element symbols.
        bonds: Bonded pairs of atoms i < j, in order.
        positions: A conformation [nm], shape (n_atoms, 3), centered on the origin.
        symmetry: Class of each atom; atoms of one class are equivalent by the symmetry of the graph, shape (n_atoms,).
        volume: Van der Waals volume [nm^3].
        mol_block: The same molecule as an MDL molfile, with bond orders.
        notes: What the SMILES leaves open and was decided.
    """

    smiles: str
    residue_name: str
    atom_names: tuple[str, ...]
    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    positions: NDArray[np.float64]
    symmetry: NDArray[np.int64]
    volume: float
    mol_block: str
    notes: tuple[str, ...] = ()

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.elements)

    @property
    def masses(self) -> NDArray[np.float64]:
        """Atomic masses [Da], shape (n_atoms,)."""
        return np.array([element_mass(symbol) for symbol in self.elements])

    @property
    def is_water(self) -> bool:
        """Whether it is water, which has a model of its own."""
        return Counter(self.elements) == {"H": 2, "O": 1}

    @property
    def formula(self) -> str:
        """Molecular formula, like C2H6O."""
        return formula_of(self.elements)


def chemistry() -> Any:
    """RDKit's module `Chem`, with `AllChem` loaded.

    Raises:
        MissingDependencyError: RDKit is missing.
    """
    try:
        from rdkit import Chem
        from rdkit.Chem import AllChem, rdCIPLabeler  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"SMILES are read with RDKit, which does not import ({error}); pip install 'openmm-cgml[molecules]'"
        ) from error
    return Chem


def read_smiles(smiles: str, residue_name: str, *, seed: int = 1) -> SmallMolecule:
    """The molecule of a SMILES, with all hydrogens and the most stable of ten conformations (MMFF94).

    Args:
        smiles: The SMILES.
        residue_name: Name of its residue.
        seed: Seed of the conformations.

    Raises:
        InputError: The SMILES is none, or describes something else than one neutral closed-shell molecule of elements
            that GAFF-2 knows.
        MissingDependencyError: RDKit is missing.
    """
    graph = parse_smiles(smiles)
    _check_closed(graph, smiles)
    check_molecule(graph, smiles, "it")
    whole = chemistry().AddHs(graph)
    _embed(whole, smiles, seed)
    names = atom_names([atom.GetSymbol() for atom in whole.GetAtoms()])
    return molecule_of_graph(whole, smiles, residue_name, names, notes=tuple(_open_stereo(graph, whole, names)))


def molecule_of_graph(
    whole: Any, smiles: str, residue_name: str, names: tuple[str, ...], *, notes: tuple[str, ...] = ()
) -> SmallMolecule:
    """The molecule of RDKit's graph of it, with all hydrogens and a conformation.

    Args:
        whole: The graph.
        smiles: The SMILES that it was made from.
        residue_name: Name of its residue.
        names: Name of each atom.
        notes: What the SMILES leaves open and was decided.
    """
    chem = chemistry()
    elements = tuple(atom.GetSymbol() for atom in whole.GetAtoms())
    positions = 0.1 * np.asarray(whole.GetConformer().GetPositions(), dtype=np.float64)
    positions -= positions.mean(axis=0)
    positions.setflags(write=False)
    symmetry = np.array(list(chem.CanonicalRankAtoms(whole, breakTies=False, includeChirality=False)), dtype=np.int64)
    return SmallMolecule(
        smiles=smiles,
        residue_name=residue_name,
        atom_names=names,
        elements=elements,
        bonds=_sorted_bonds(whole),
        positions=positions,
        symmetry=symmetry,
        volume=1e-3 * chem.AllChem.ComputeMolVolume(whole, gridSpacing=_GRID),
        mol_block=chem.MolToMolBlock(whole),
        notes=notes,
    )


def _sorted_bonds(graph: Any) -> tuple[tuple[int, int], ...]:
    """Bonded pairs in order.

    OpenMM matches molecules to templates by elements and bonds, not by names. With the bonds of both in order it finds
    the identity first; otherwise it may take a symmetry, which brings impropers to another order of their atoms.
    """
    ends = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in graph.GetBonds())
    return tuple(sorted((min(pair), max(pair)) for pair in ends))


def parse_smiles(smiles: str) -> Any:
    """RDKit's graph of a SMILES, without hydrogens.

    Raises:
        InputError: It is none.
        MissingDependencyError: RDKit is missing.
    """
    chem = chemistry()
    from rdkit import rdBase

    with rdBase.BlockLogs():  # RDKit writes what it dislikes to stderr
        graph = chem.MolFromSmiles(smiles) if smiles else None
    if graph is None or not graph.GetNumAtoms():
        raise InputError(
            f"SMILES {smiles!r} cannot be read: check its brackets, ring numbers and valences; methanol is CO, benzene "
            "c1ccccc1. Put quotes around it in a shell"
        )
    return graph


def is_smiles(smiles: str) -> bool:
    """Whether RDKit can read a SMILES."""
    try:
        parse_smiles(smiles)
    except InputError:
        return False
    return True


def atom_names(elements: Sequence[str]) -> tuple[str, ...]:
    """Names of atoms, element and number: C1, C2, CL1, H1. Water has the names O, H1, H2 that programs know it by."""
    if Counter(elements) == {"H": 2, "O": 1}:
        return tuple("O" if symbol == "O" else f"H{elements[:i].count('H') + 1}" for i, symbol in enumerate(elements))
    return tuple(f"{symbol.upper()}{list(elements[:i]).count(symbol) + 1}" for i, symbol in enumerate(elements))


def formula_of(elements: Sequence[str]) -> str:
    """Formula of some atoms: C, H, and the others by name; without carbon hydrogen comes last, as in OH."""
    counts = Counter(elements)
    others = sorted(set(counts) - {"C", "H"})
    order = ["C", "H", *others] if "C" in counts else [*others, "H"]
    if counts == {"H": 2, "O": 1}:
        order = ["H", "O"]
    return "".join(f"{symbol}{counts[symbol] if counts[symbol] > 1 else ''}" for symbol in order if symbol in counts)


def _check_closed(graph: Any, smiles: str) -> None:
    """Refuse open ends and several molecules."""
    if any(atom.GetAtomicNum() == 0 for atom in graph.GetAtoms()):
        raise InputError(
            f"SMILES {smiles!r} has open ends (*); give a complete molecule, or --repeat for a polymer's repeat unit"
        )
    if (n_parts := len(chemistry().GetMolFrags(graph))) > 1:
        raise InputError(
            f"SMILES {smiles!r} holds {n_parts} molecules; give each its own: "
            + " ".join(f"--smiles '{part}=100'" for part in smiles.split("."))
        )


def check_molecule(graph: Any, smiles: str, what: str) -> None:
    """Refuse what is no neutral closed-shell molecule of known elements.

    Args:
        graph: RDKit's graph of it.
        smiles: The SMILES that it was made from.
        what: What the graph is of the SMILES, for the message: "it", or "a chain of it".

    Raises:
        InputError: It is none.
    """
    chem = chemistry()
    atoms = list(graph.GetAtoms())
    unknown = sorted({atom.GetSymbol() for atom in atoms} - set(_ELEMENTS))
    if unknown:
        raise InputError(
            f"SMILES {smiles!r} has {', '.join(unknown)}; GAFF-2 knows {', '.join(_ELEMENTS)}. Record a simulation "
            "with a force field of your own instead (docs/recording.md)"
        )
    charge = chem.GetFormalCharge(graph)
    if charge:
        raise InputError(
            f"SMILES {smiles!r}: {what} has charge {charge:+d}; ions are not set up here, since charges of fixed ions "
            "need scaling that depends on the liquid. Record a simulation of your own instead (docs/recording.md)"
        )
    if any(atom.GetNumRadicalElectrons() for atom in atoms):
        raise InputError(f"SMILES {smiles!r} is a radical; AM1-BCC and GAFF-2 describe closed shells: add hydrogens")
    if any(atom.GetIsotope() for atom in atoms):
        raise InputError(f"SMILES {smiles!r} names isotopes; masses here are those of the elements: leave them out")
    n_atoms = graph.GetNumAtoms() + sum(atom.GetTotalNumHs() for atom in atoms)
    if n_atoms > _MOST_ATOMS or not any(atom.GetSymbol() != "H" for atom in atoms):
        raise InputError(
            f"SMILES {smiles!r}: {what} has {n_atoms} atoms; molecules with a heavy atom and at most {_MOST_ATOMS} "
            "atoms can be set up"
        )


def embed_conformations(whole: Any, smiles: str, number: int, seed: int) -> NDArray[np.float64]:
    """Conformations of a molecule [nm], shape (n, n_atoms, 3), relaxed a little; the first becomes that of the graph.

    They are those of RDKit's ETKDG, which draws torsions from crystal structures, without selection by energy.

    Args:
        whole: RDKit's graph with all hydrogens.
        smiles: The SMILES that it was made from, for the message.
        number: How many.
        seed: Seed.

    Raises:
        InputError: RDKit finds no geometry.
    """
    chem = chemistry()
    numbers = _embedded(whole, smiles, number, seed)
    known = chem.AllChem.MMFFHasAllMoleculeParams(whole)
    optimize = chem.AllChem.MMFFOptimizeMoleculeConfs if known else chem.AllChem.UFFOptimizeMoleculeConfs
    optimize(whole, maxIters=_FEW_STEPS)
    found = np.stack([whole.GetConformer(n).GetPositions() for n in numbers])
    _keep_conformation(whole, found[0])
    return np.asarray(0.1 * found, dtype=np.float64)


def _embed(whole: Any, smiles: str, seed: int) -> None:
    """Give a molecule its conformation of least MMFF94 energy, or of UFF where MMFF94 lacks parameters."""
    chem = chemistry()
    numbers = _embedded(whole, smiles, _CONFORMERS, seed)
    known = chem.AllChem.MMFFHasAllMoleculeParams(whole)
    optimize = chem.AllChem.MMFFOptimizeMoleculeConfs if known else chem.AllChem.UFFOptimizeMoleculeConfs
    energies = [energy for _, energy in optimize(whole, maxIters=2000)]
    _keep_conformation(whole, whole.GetConformer(numbers[int(np.argmin(energies))]).GetPositions())


def _embedded(whole: Any, smiles: str, number: int, seed: int) -> list[int]:
    """Numbers of the conformations that RDKit finds."""
    chem = chemistry()
    settings = chem.AllChem.ETKDGv3()
    settings.randomSeed = seed
    numbers = list(chem.AllChem.EmbedMultipleConfs(whole, number, settings))
    if not numbers:
        settings.useRandomCoords = True
        numbers = list(chem.AllChem.EmbedMultipleConfs(whole, number, settings))
    if not numbers:
        raise InputError(f"SMILES {smiles!r}: RDKit finds no geometry; check ring sizes and stereo centers")
    return numbers


def _keep_conformation(whole: Any, positions: NDArray[np.float64]) -> None:
    """Give a molecule one conformation [angstrom]."""
    whole.RemoveAllConformers()
    conformer = chemistry().Conformer(whole.GetNumAtoms())
    conformer.SetPositions(np.ascontiguousarray(positions, dtype=np.float64))
    whole.AddConformer(conformer)


def _open_stereo(graph: Any, whole: Any, names: Sequence[str]) -> Iterator[str]:
    """What of the stereochemistry the SMILES does not say, and what the geometry has."""
    chem = chemistry()
    found = [each for each in chem.FindPotentialStereo(graph) if str(each.specified) == "Unspecified"]
    if not found:
        return
    placed = chem.Mol(whole)
    chem.AssignStereochemistryFrom3D(placed)
    chem.rdCIPLabeler.AssignCIPLabels(placed)
    for each in found:
        if str(each.type) == "Bond_Double":
            bond = placed.GetBondWithIdx(each.centeredOn)
            ends = "=".join(names[i] for i in (bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            yield (
                f"the SMILES leaves the double bond {ends} open; all molecules are {_label(bond)}: write / and \\ in "
                "it to choose"
            )
        else:
            center = names[each.centeredOn]
            label = _label(placed.GetAtomWithIdx(each.centeredOn))
            yield (
                f"the SMILES leaves the stereo center {center} open; all molecules are {label}: write [C@H] or [C@@H] "
                "in it to choose"
            )


def _label(item: Any) -> str:
    return str(item.GetProp("_CIPCode")) if item.HasProp("_CIPCode") else "of one kind"
