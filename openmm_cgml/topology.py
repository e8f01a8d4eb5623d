"""Coarse-grained and atomistic topologies: what particles there are and how they are connected, without positions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues import (
    ChainTemplate,
    LinkRules,
    MoleculeTemplate,
    ResidueTemplate,
    check_bonds,
    check_residue_bonds,
)

__all__ = [
    "MAX_TYPES",
    "AtomTopology",
    "CGTopology",
    "ChainTemplate",
    "MoleculeTemplate",
    "ResidueTemplate",
    "chain_id",
    "connected_components",
    "register_elements",
]

MAX_TYPES = 32


@dataclass(frozen=True, eq=False, kw_only=True)
class CGTopology:
    """Beads, their types, masses, molecules, residues and bonds.

    Attributes:
        type_names: Names of the bead types.
        bead_types: Index into `type_names`, shape (n_beads,).
        bead_names: Name of each bead, as in its residue's template.
        masses: Bead masses [Da], shape (n_beads,).
        molecules: Molecule number of each bead, from 0, shape (n_beads,).
        residues: Residue number of each bead, from 0 and without gaps, shape (n_beads,).
        residue_names: Name of each residue.
        bonds: Bonded pairs i < j in increasing order, shape (n_bonds, 2).
    """

    type_names: tuple[str, ...]
    bead_types: NDArray[np.int64]
    bead_names: tuple[str, ...]
    masses: NDArray[np.float64]
    molecules: NDArray[np.int64]
    residues: NDArray[np.int64]
    residue_names: tuple[str, ...]
    bonds: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.bead_names)
        if n == 0:
            raise InputError("a topology needs at least one bead")
        for field in ("bead_types", "molecules", "residues"):
            object.__setattr__(self, field, _frozen(getattr(self, field), np.int64, (n,), field))
        object.__setattr__(self, "masses", _frozen(self.masses, np.float64, (n,), "masses"))
        bonds = np.sort(np.asarray(self.bonds, dtype=np.int64).reshape(-1, 2), axis=1)
        bonds = bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]
        object.__setattr__(self, "bonds", _frozen(bonds, np.int64, bonds.shape, "bonds"))
        _check_type_names(self.type_names)
        if self.bead_types.min() < 0 or self.bead_types.max() >= len(self.type_names):
            raise InputError(
                f"bead types run from {self.bead_types.min()} to {self.bead_types.max()};"
                f" there are {len(self.type_names)}"
            )
        bad = np.flatnonzero(~(np.isfinite(self.masses) & (self.masses > 0)))
        if len(bad):
            raise InputError(
                f"bead {bad[0]} ({self.bead_names[bad[0]]!r}) has mass {self.masses[bad[0]]} Da; masses are positive"
            )
        if self.residues.min() != 0 or self.residues.max() + 1 != len(self.residue_names):
            raise InputError(
                f"residue numbers run to {self.residues.max()}, but there are {len(self.residue_names)} residue names"
            )
        check_bonds(self.bonds, n, "topology")
        across = np.flatnonzero(self.molecules[self.bonds[:, 0]] != self.molecules[self.bonds[:, 1]])
        if len(across):
            i, j = self.bonds[across[0]]
            raise InputError(
                f"bond {i}-{j} joins molecules {self.molecules[i]} and {self.molecules[j]}; they are one molecule then"
            )

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.bead_names)

    @property
    def n_molecules(self) -> int:
        """Number of molecules."""
        return int(self.molecules.max()) + 1

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of everything the topology holds."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    @cached_property
    def angles(self) -> NDArray[np.int64]:
        """Bead triples i-j-k bonded i-j and j-k, i < k, shape (n_angles, 3); closed triangles included."""
        triples = self._paths[0]
        return _frozen(_in_order(triples[triples[:, 0] < triples[:, 2]]), np.int64, None, "angles")

    @cached_property
    def dihedrals(self) -> NDArray[np.int64]:
        """Bead quadruples i-j-k-l bonded i-j, j-k and k-l, i < l, shape (n_dihedrals, 4); closed triangles left out."""
        quadruples = _continued(*self._paths)
        return _frozen(_in_order(quadruples[quadruples[:, 0] < quadruples[:, 3]]), np.int64, None, "dihedrals")

    def exclusions(self, max_bonds: int) -> NDArray[np.int64]:
        """Pairs i < j that are at most `max_bonds` bonds apart, in increasing order, shape (n_pairs, 2)."""
        from scipy.sparse import eye_array, triu

        adjacent = self._adjacency
        reached = eye_array(self.n_beads, dtype=np.int32, format="csr")
        for _ in range(max_bonds):
            before = reached.nnz
            reached = reached + reached @ adjacent
            reached.data[:] = 1  # whether, not in how many ways
            if reached.nnz == before:
                break
        pairs = triu(reached, k=1, format="coo")
        return _in_order(np.stack([pairs.row, pairs.col], axis=1).astype(np.int64))

    @cached_property
    def _adjacency(self) -> Any:
        """1 for bonded beads, a sparse array of shape (n_beads, n_beads)."""
        from scipy.sparse import csr_array

        i, j = self.bonds.T
        entries = (np.ones(2 * len(i), np.int32), (np.concatenate([i, j]), np.concatenate([j, i])))
        return csr_array(entries, shape=(self.n_beads, self.n_beads))

    @cached_property
    def _paths(self) -> tuple[NDArray[np.int64], Any]:
        """Bead triples i-j-k in both directions, shape (n, 3), and the adjacency that they follow."""
        directed = np.concatenate([self.bonds, self.bonds[:, ::-1]])
        return _continued(directed, self._adjacency), self._adjacency

    def repeated(self, copies: int) -> CGTopology:
        """The same beads `copies` times, one copy after the other, molecule and residue numbers going on.

        Args:
            copies: Number of copies.

        Raises:
            InputError: If it is not a positive integer.
        """
        if isinstance(copies, bool) or int(copies) != copies or copies < 1:
            raise InputError(f"{copies!r} copies of a topology; it must be a positive integer")
        if copies == 1:
            return self
        copy = np.arange(copies)

        def continued(numbers: NDArray[np.int64], by: int) -> NDArray[np.int64]:
            return (numbers + by * copy.reshape(-1, *[1] * numbers.ndim)).reshape(-1, *numbers.shape[1:])

        return CGTopology(
            type_names=self.type_names,
            bead_types=np.tile(self.bead_types, copies),
            bead_names=self.bead_names * copies,
            masses=np.tile(self.masses, copies),
            molecules=continued(self.molecules, self.n_molecules),
            residues=continued(self.residues, len(self.residue_names)),
            residue_names=self.residue_names * copies,
            bonds=continued(self.bonds, self.n_beads),
        )

    @classmethod
    def from_residues(
        cls, residues: Sequence[tuple[ResidueTemplate, int]], type_names: Sequence[str] | None = None
    ) -> CGTopology:
        """Topology of molecules of one residue each.

        Args:
            residues: Templates, each with the number of its copies, in order.
            type_names: Bead types in the order wanted; by default in the order met.

        Raises:
            InputError: If there is nothing to build, or a bead type is not among `type_names`.
        """
        return cls.from_molecules(
            [(MoleculeTemplate(residues=(template,)), count) for template, count in residues], type_names
        )

    @classmethod
    def from_molecules(
        cls, molecules: Sequence[tuple[MoleculeTemplate, int]], type_names: Sequence[str] | None = None
    ) -> CGTopology:
        """Topology of molecules of any number of residues.

        Args:
            molecules: Molecules, each with the number of its copies, in order.
            type_names: Bead types in the order wanted; by default in the order met.

        Raises:
            InputError: If there is nothing to build, or a bead type is not among `type_names`.
        """
        types = tuple(
            type_names
            or dict.fromkeys(t for molecule, _ in molecules for r in molecule.residues for t in r.bead_type_names)
        )
        parts = [_one_molecule(molecule, types).repeated(count) for molecule, count in molecules if count]
        if not parts:
            raise InputError("no residues; give at least one copy of one template")
        return _joined(parts)

    @classmethod
    def from_openmm(
        cls,
        topology: Any,
        templates: Sequence[ResidueTemplate],
        type_names: Sequence[str],
        chains: Sequence[ChainTemplate] = (),
    ) -> CGTopology:
        """The coarse-grained meaning of an `openmm.app.Topology`.

        Residues are recognized by name and beads by name, each residue holding all beads of its template in the
        template's order; molecules are the sets of bonded beads, in which residues follow each other as in the chains.

        Raises:
            InputError: If a residue or bead is unknown, beads are missing or out of order, or the bonds inside a
                residue or between residues differ from those of the templates; the message names them and what is
                known.
        """
        residues = list(topology.residues())
        bead_names = [tuple(atom.name for atom in residue.atoms()) for residue in residues]
        bonds = np.array(
            sorted({tuple(sorted((b[0].index, b[1].index))) for b in topology.bonds()}), dtype=np.int64
        ).reshape(-1, 2)
        return _recognized([residue.name for residue in residues], bead_names, bonds, templates, type_names, chains)

    def recognized(
        self,
        templates: Sequence[ResidueTemplate],
        type_names: Sequence[str],
        chains: Sequence[ChainTemplate] = (),
    ) -> CGTopology:
        """The same beads with the types and masses of the templates, recognized by residue and bead names.

        Raises:
            InputError: As `from_openmm`, and if the residues do not come one after the other.
        """
        if (np.diff(self.residues) < 0).any():
            raise InputError("the beads of this topology are not in the order of their residues; sort them")
        ends = np.cumsum(np.bincount(self.residues, minlength=len(self.residue_names))).tolist()
        bead_names = [self.bead_names[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        return _recognized(self.residue_names, bead_names, self.bonds, templates, type_names, chains)

    def to_openmm(self, box: ArrayLike | None = None) -> Any:
        """`openmm.app.Topology`: a chain with an id of its own per molecule, a custom `Element` per bead type.

        Args:
            box: Periodic box vectors [nm], shape (3, 3), or None.

        The elements carry the bead masses, so topologies pass through ParmEd, Modeller and (after
        `register_elements`) mdtraj; their symbols have two characters, as PDB files need.
        """
        from openmm import Vec3, app, unit

        elements = register_elements(self.masses_by_type())
        topology = app.Topology()
        atoms, chain, residue, last = [], None, None, (-1, -1)
        for bead in range(self.n_beads):
            here = (int(self.molecules[bead]), int(self.residues[bead]))
            if here[0] != last[0]:
                chain = topology.addChain(id=chain_id(here[0]))
            if here != last:
                residue = topology.addResidue(self.residue_names[here[1]], chain)
            atoms.append(
                topology.addAtom(self.bead_names[bead], elements[self.type_names[self.bead_types[bead]]], residue)
            )
            last = here
        for i, j in self.bonds.tolist():
            topology.addBond(atoms[i], atoms[j])
        if box is not None:
            topology.setPeriodicBoxVectors([Vec3(*map(float, row)) for row in np.asarray(box)] * unit.nanometer)
        return topology

    def masses_by_type(self) -> dict[str, float]:
        """Mean bead mass of each type that occurs [Da]."""
        return {
            name: float(self.masses[self.bead_types == t].mean())
            for t, name in enumerate(self.type_names)
            if np.any(self.bead_types == t)
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "type_names": list(self.type_names),
            "bead_types": self.bead_types.tolist(),
            "bead_names": list(self.bead_names),
            "masses": self.masses.tolist(),
            "molecules": self.molecules.tolist(),
            "residues": self.residues.tolist(),
            "residue_names": list(self.residue_names),
            "bonds": self.bonds.tolist(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CGTopology:
        """The topology that `to_dict` wrote."""
        try:
            return cls(
                type_names=tuple(map(str, content["type_names"])),
                bead_types=np.array(content["bead_types"]),
                bead_names=tuple(map(str, content["bead_names"])),
                masses=np.array(content["masses"], dtype=np.float64),
                molecules=np.array(content["molecules"]),
                residues=np.array(content["residues"]),
                residue_names=tuple(map(str, content["residue_names"])),
                bonds=np.array(content["bonds"], dtype=np.int64).reshape(-1, 2),
            )
        except InputError:
            raise
        except KeyError as error:
            raise InputError(f"topology content lacks {error}") from error
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise InputError(f"topology content holds what does not belong there: {error}") from error


@dataclass(frozen=True, eq=False, kw_only=True)
class AtomTopology:
    """Atoms of an atomistic system, as a mapping needs them.

    Attributes:
        names: Atom names.
        elements: Element symbols.
        masses: Real masses, before any repartitioning [Da], shape (n_atoms,).
        residues: Residue number of each atom, shape (n_atoms,).
        residue_names: Name of each residue.
        molecules: Molecule number of each atom, shape (n_atoms,).
        bonds: Bonded pairs i < j, shape (n_bonds, 2).
        constraints: Pairs i < j whose distance was constrained in the run, shape (n_constraints, 2).
    """

    names: tuple[str, ...]
    elements: tuple[str, ...]
    masses: NDArray[np.float64]
    residues: NDArray[np.int64]
    residue_names: tuple[str, ...]
    molecules: NDArray[np.int64]
    bonds: NDArray[np.int64]
    constraints: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.names)
        if len(self.elements) != n:
            raise InputError(f"{n} atom names, but {len(self.elements)} elements")
        object.__setattr__(self, "masses", _frozen(self.masses, np.float64, (n,), "masses"))
        for field in ("residues", "molecules"):
            object.__setattr__(self, field, _frozen(getattr(self, field), np.int64, (n,), field))
        for field in ("bonds", "constraints"):
            pairs = np.sort(np.asarray(getattr(self, field), dtype=np.int64).reshape(-1, 2), axis=1)
            object.__setattr__(self, field, _frozen(pairs, np.int64, None, field))
        bad = np.flatnonzero(~(np.isfinite(self.masses) & (self.masses > 0)))
        if len(bad):
            raise InputError(
                f"atom {bad[0]} ({self.names[bad[0]]!r}) has mass {self.masses[bad[0]]} Da; masses are positive"
            )
        check_bonds(self.bonds, n, "atomistic topology")

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.names)

    @classmethod
    def from_openmm(cls, topology: Any, constraints: ArrayLike = ()) -> AtomTopology:
        """Atoms of an `openmm.app.Topology`, with the masses of their elements.

        Args:
            topology: Its atoms all have elements.
            constraints: Constrained pairs, shape (n_constraints, 2), for example from `System.getConstraintParameters`.

        Raises:
            InputError: If an atom has no element.
        """
        from openmm import unit

        atoms = list(topology.atoms())
        nameless = [atom for atom in atoms if atom.element is None]
        if nameless:
            raise InputError(
                f"atom {nameless[0].index} ({nameless[0].name!r}) has no element; set it, so that its mass is known"
            )
        bonds = np.array([[b[0].index, b[1].index] for b in topology.bonds()], dtype=np.int64).reshape(-1, 2)
        return cls(
            names=tuple(atom.name for atom in atoms),
            elements=tuple(atom.element.symbol for atom in atoms),
            masses=np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in atoms]),
            residues=np.array([atom.residue.index for atom in atoms]),
            residue_names=tuple(residue.name for residue in topology.residues()),
            molecules=connected_components(len(atoms), bonds),
            bonds=bonds,
            constraints=np.asarray(constraints, dtype=np.int64).reshape(-1, 2),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "names": list(self.names),
            "elements": list(self.elements),
            "residue_names": list(self.residue_names),
            **{f: getattr(self, f).tolist() for f in ("masses", "residues", "molecules", "bonds", "constraints")},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> AtomTopology:
        """The topology that `to_dict` wrote."""
        try:
            return cls(
                names=tuple(content["names"]),
                elements=tuple(content["elements"]),
                residue_names=tuple(content["residue_names"]),
                masses=np.array(content["masses"], dtype=np.float64),
                residues=np.array(content["residues"]),
                molecules=np.array(content["molecules"]),
                bonds=np.array(content["bonds"], dtype=np.int64).reshape(-1, 2),
                constraints=np.array(content["constraints"], dtype=np.int64).reshape(-1, 2),
            )
        except InputError:
            raise
        except KeyError as error:
            raise InputError(f"atomistic topology content lacks {error}") from error
        except (TypeError, ValueError, OverflowError, IndexError) as error:
            raise InputError(f"atomistic topology content holds what does not belong there: {error}") from error


def connected_components(n: int, bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Molecule number of each of `n` particles joined by `bonds` (n_bonds, 2), numbered by first particle."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components as components

    graph = coo_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    labels = components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]


def _one_molecule(molecule: MoleculeTemplate, type_names: tuple[str, ...]) -> CGTopology:
    residues = molecule.residues
    sizes = np.array([len(template.bead_names) for template in residues])
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    inside = [(s + i, s + j) for s, template in zip(starts, residues, strict=False) for i, j in template.bonds]
    links = [(starts[r] + i, starts[r + 1] + j) for r, pairs in enumerate(molecule.links) for i, j in pairs]
    return CGTopology(
        type_names=type_names,
        bead_types=np.array(
            [_type_index(t, type_names, template) for template in residues for t in template.bead_type_names]
        ),
        bead_names=tuple(name for template in residues for name in template.bead_names),
        masses=np.array([m for template in residues for m in template.masses]),
        molecules=np.zeros(starts[-1], dtype=np.int64),
        residues=np.repeat(np.arange(len(residues)), sizes),
        residue_names=tuple(template.name for template in residues),
        bonds=np.array(inside + links, dtype=np.int64).reshape(-1, 2),
    )


def _joined(parts: Sequence[CGTopology]) -> CGTopology:
    """The beads of all parts, one after the other, molecule and residue numbers going on."""
    if len(parts) == 1:
        return parts[0]

    def continued(arrays: list[NDArray[np.int64]], counts: list[int]) -> NDArray[np.int64]:
        return np.concatenate([a + s for a, s in zip(arrays, np.cumsum([0, *counts[:-1]]), strict=True)])

    return CGTopology(
        type_names=parts[0].type_names,
        bead_types=np.concatenate([part.bead_types for part in parts]),
        bead_names=tuple(name for part in parts for name in part.bead_names),
        masses=np.concatenate([part.masses for part in parts]),
        molecules=continued([part.molecules for part in parts], [part.n_molecules for part in parts]),
        residues=continued([part.residues for part in parts], [len(part.residue_names) for part in parts]),
        residue_names=tuple(name for part in parts for name in part.residue_names),
        bonds=continued([part.bonds for part in parts], [part.n_beads for part in parts]),
    )


def _recognized(
    residue_names: Sequence[str],
    bead_names: Sequence[tuple[str, ...]],
    bonds: NDArray[np.int64],
    templates: Sequence[ResidueTemplate],
    type_names: Sequence[str],
    chains: Sequence[ChainTemplate],
) -> CGTopology:
    """The topology of residues of known names with beads of these names, in order, after all checks."""
    known = {template.name: template for template in templates}
    for number, (name, beads) in enumerate(zip(residue_names, bead_names, strict=True)):
        if name not in known:
            raise InputError(
                f"residue {number} is {name!r}, which this model does not know; known are {', '.join(known)}"
            )
        if beads != known[name].bead_names:
            raise InputError(
                f"residue {number} ({name!r}) has beads {list(beads)}; the model's have {list(known[name].bead_names)}"
            )
    if not residue_names:
        raise InputError("the topology has no residues")
    types = {t.name: [_type_index(name, tuple(type_names), t) for name in t.bead_type_names] for t in templates}
    residues = np.repeat(np.arange(len(residue_names)), [len(beads) for beads in bead_names])
    check_residue_bonds(bonds, residues, list(residue_names), known)
    LinkRules(templates, chains).check_bonds(bonds, residues, residue_names)
    return CGTopology(
        type_names=tuple(type_names),
        bead_types=np.array([t for name in residue_names for t in types[name]]),
        bead_names=tuple(name for beads in bead_names for name in beads),
        masses=np.array([mass for name in residue_names for mass in known[name].masses]),
        molecules=connected_components(len(residues), bonds),
        residues=residues,
        residue_names=tuple(residue_names),
        bonds=bonds,
    )


def _continued(paths: NDArray[np.int64], adjacency: Any) -> NDArray[np.int64]:
    """Every path of bonded beads, shape (n, length), made longer by each neighbor of its end that it does not hold."""
    starts, ends = adjacency.indptr[paths[:, -1]], adjacency.indptr[paths[:, -1] + 1]
    counts = ends - starts
    longer = np.repeat(paths, counts, axis=0)
    rank = np.arange(len(longer)) - np.repeat(np.cumsum(counts) - counts, counts)
    following = adjacency.indices[np.repeat(starts, counts) + rank].astype(np.int64)
    new = (longer != following[:, None]).all(axis=1)
    return np.column_stack([longer[new], following[new]])


def _in_order(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.ascontiguousarray(rows[np.lexsort(rows.T[::-1])])


def chain_id(number: int) -> str:
    """A chain id of letters, different for every number: A, B, ..., Z, AA, AB, ..."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def register_elements(masses: Mapping[str, float]) -> dict[str, Any]:
    """OpenMM `Element` of each bead type, made on first use and known to mdtraj too where that is imported.

    Args:
        masses: Mass of each bead type [Da].

    The symbol is a letter and a digit derived from the type's name and mass, so a file written by one process
    reads back in another that registered the same types.
    """
    from openmm import app, unit

    elements = {}
    for name, mass in masses.items():
        label = f"{name}:{mass:.4f}"
        known = _REGISTERED.get(label)
        if known is None:
            taken = app.Element._elements_by_symbol
            symbol = next(s for s in _symbols(label) if s.upper() not in {t.upper() for t in taken})
            number = 1000 + _SYMBOLS.index(symbol)
            known = app.Element(number, f"bead {label}", symbol, mass * unit.dalton)
            _REGISTERED[label] = known
        _register_with_mdtraj(known, mass)
        elements[name] = known
    return elements


_REGISTERED: dict[str, Any] = {}
_SYMBOLS = [f"{letter}{digit}" for letter in "QXZJGLMRTDEW" for digit in "123456789"]


def _symbols(label: str) -> list[str]:
    start = int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big") % len(_SYMBOLS)
    return _SYMBOLS[start:] + _SYMBOLS[:start]


def _register_with_mdtraj(element: Any, mass: float) -> None:
    import sys

    module = sys.modules.get("mdtraj.core.element")
    if module is not None and element.symbol.upper() not in module.Element._elements_by_symbol:
        module.Element(element.atomic_number, element.name, element.symbol, mass, 0.2)


def _type_index(name: str, types: tuple[str, ...], template: ResidueTemplate) -> int:
    if name not in types:
        raise InputError(f"residue {template.name!r} has bead type {name!r}; known types are {', '.join(types)}")
    return types.index(name)


def _check_type_names(names: tuple[str, ...]) -> None:
    if len(names) > MAX_TYPES:
        raise InputError(f"{len(names)} bead types; at most {MAX_TYPES}")
    folded: dict[str, str] = {}
    for name in names:
        key = "".join(name.split()).casefold()
        if not key or key in folded:
            raise InputError(
                f"bead types {folded.get(key, '')!r} and {name!r} are too alike; choose names that differ in letters"
            )
        folded[key] = name


def _frozen(array: ArrayLike, dtype: Any, shape: tuple[int, ...] | None, name: str) -> NDArray[Any]:
    given = np.asarray(array)
    if np.issubdtype(dtype, np.integer) and given.size and not np.array_equal(given, given.astype(dtype)):
        raise InputError(f"{name}: holds values that are not whole numbers")
    result = np.array(given, dtype=dtype, order="C")
    if shape is not None and result.shape != shape:
        raise InputError(f"{name}: shape {result.shape}; expected {shape}")
    result.setflags(write=False)
    return result
