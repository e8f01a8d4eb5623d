"""Coarse-grained and atomistic topologies: what particles there are and how they are connected, without positions."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError

MAX_TYPES = 32


@dataclass(frozen=True, kw_only=True)
class ResidueTemplate:
    """The beads of one kind of residue.

    Attributes:
        name: Residue name, as in `openmm.app.Topology`.
        bead_names: Names of the beads, each once in the residue.
        bead_type_names: Bead type of each bead.
        masses: Mass of each bead [Da].
        bonds: Pairs of bead numbers bonded within the residue.
    """

    name: str
    bead_names: tuple[str, ...]
    bead_type_names: tuple[str, ...]
    masses: tuple[float, ...]
    bonds: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.bead_names)
        if n == 0 or len(self.bead_type_names) != n or len(self.masses) != n:
            raise InputError(
                f"residue {self.name!r}: {n} bead names, {len(self.bead_type_names)} types, {len(self.masses)} masses;"
                " give one of each per bead, and at least one bead"
            )
        twice = [name for name, count in Counter(self.bead_names).items() if count > 1]
        if twice:
            raise InputError(
                f"residue {self.name!r}: bead name {twice[0]!r} appears twice; names are unique in a residue"
            )
        for bead, mass in zip(self.bead_names, self.masses, strict=True):
            if not (math.isfinite(mass) and mass > 0):
                raise InputError(f"residue {self.name!r}, bead {bead!r}: mass {mass} Da; it must be positive")
        bonds = tuple(sorted((min(i, j), max(i, j)) for i, j in self.bonds))
        _check_bonds(np.array(bonds, dtype=np.int64).reshape(-1, 2), n, f"residue {self.name!r}")
        object.__setattr__(self, "bonds", bonds)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "name": self.name,
            "bead_names": list(self.bead_names),
            "bead_type_names": list(self.bead_type_names),
            "masses": list(self.masses),
            "bonds": [list(bond) for bond in self.bonds],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ResidueTemplate:
        """The template that `to_dict` wrote."""
        return cls(
            name=str(content["name"]),
            bead_names=tuple(map(str, content["bead_names"])),
            bead_type_names=tuple(map(str, content["bead_type_names"])),
            masses=tuple(float(m) for m in content["masses"]),
            bonds=tuple((int(i), int(j)) for i, j in content["bonds"]),
        )


@dataclass(frozen=True, kw_only=True)
class ChainTemplate:
    """A linear polymer of residues: head, body ..., body, tail, each bonded to the next one.

    Attributes:
        name: Name of the polymer.
        head: Residue at the start.
        body: Residue in between, any number of times.
        tail: Residue at the end.
        links: Pairs of bead names: a bead of a residue and the bead of the next residue that it is bonded to.
        monomers: Residues per chain by default, ends included.
        count: Number of chains by default.
    """

    name: str
    head: str
    body: str
    tail: str
    links: tuple[tuple[str, str], ...]
    monomers: int
    count: int

    def residues(self, monomers: int) -> tuple[str, ...]:
        """Names of the residues of a chain of `monomers` residues, in order.

        Raises:
            InputError: If there are less than two.
        """
        if isinstance(monomers, bool) or not isinstance(monomers, int) or monomers < 2:
            raise InputError(
                f"a chain of {monomers!r} monomers of {self.name}; it must be a whole number of at least 2"
            )
        return (self.head, *[self.body] * (monomers - 2), self.tail)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "name": self.name,
            "head": self.head,
            "body": self.body,
            "tail": self.tail,
            "links": [list(link) for link in self.links],
            "monomers": self.monomers,
            "count": self.count,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ChainTemplate:
        """The template that `to_dict` wrote."""
        return cls(
            **{key: str(content[key]) for key in ("name", "head", "body", "tail")},
            links=tuple((str(own), str(following)) for own, following in content["links"]),
            monomers=int(content["monomers"]),
            count=int(content["count"]),
        )


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
        _check_bonds(self.bonds, n, "topology")
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
        types = tuple(type_names or dict.fromkeys(t for template, _ in residues for t in template.bead_type_names))
        templates = [template for template, count in residues for _ in range(count)]
        if not templates:
            raise InputError("no residues; give at least one copy of one template")
        sizes = np.array([len(template.bead_names) for template in templates])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        owner = np.repeat(np.arange(len(templates)), sizes)
        bonds = [
            (s + i, s + j) for s, template in zip(starts.tolist(), templates, strict=True) for i, j in template.bonds
        ]
        return cls(
            type_names=types,
            bead_types=np.array(
                [_type_index(t, types, template) for template in templates for t in template.bead_type_names]
            ),
            bead_names=tuple(name for template in templates for name in template.bead_names),
            masses=np.array([m for template in templates for m in template.masses]),
            molecules=owner,
            residues=owner,
            residue_names=tuple(template.name for template in templates),
            bonds=np.array(bonds, dtype=np.int64).reshape(-1, 2),
        )

    @classmethod
    def from_openmm(cls, topology: Any, templates: Sequence[ResidueTemplate], type_names: Sequence[str]) -> CGTopology:
        """The coarse-grained meaning of an `openmm.app.Topology`.

        Residues are recognised by name and beads by name, each residue holding all beads of its template in the
        template's order; molecules are the sets of bonded beads.

        Raises:
            InputError: If a residue or bead is unknown, beads are missing or out of order, or the bonds inside a
                residue differ from the template's; the message names them and what is known.
        """
        known = {template.name: template for template in templates}
        names: list[str] = []
        types: list[int] = []
        masses: list[float] = []
        residues: list[int] = []
        residue_names: list[str] = []
        for number, residue in enumerate(topology.residues()):
            template = known.get(residue.name)
            if template is None:
                raise InputError(
                    f"residue {number} is {residue.name!r}, which this model does not know;"
                    f" known are {', '.join(known)}"
                )
            beads = tuple(atom.name for atom in residue.atoms())
            if beads != template.bead_names:
                raise InputError(
                    f"residue {number} ({residue.name!r}) has beads {list(beads)};"
                    f" the model's have {list(template.bead_names)}"
                )
            names.extend(beads)
            types.extend(_type_index(t, tuple(type_names), template) for t in template.bead_type_names)
            masses.extend(template.masses)
            residues.extend([number] * len(beads))
            residue_names.append(residue.name)
        if not names:
            raise InputError("the topology has no residues")
        bonds = np.array(
            sorted({tuple(sorted((b[0].index, b[1].index))) for b in topology.bonds()}), dtype=np.int64
        ).reshape(-1, 2)
        numbers = np.array(residues)
        _check_residue_bonds(bonds, numbers, residue_names, known)
        return cls(
            type_names=tuple(type_names),
            bead_types=np.array(types),
            bead_names=tuple(names),
            masses=np.array(masses),
            molecules=connected_components(len(names), bonds),
            residues=numbers,
            residue_names=tuple(residue_names),
            bonds=bonds,
        )

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
        except KeyError as error:
            raise InputError(f"topology content lacks {error}") from error


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
        _check_bonds(self.bonds, n, "atomistic topology")

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
        except KeyError as error:
            raise InputError(f"atomistic topology content lacks {error}") from error


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


def _check_bonds(bonds: NDArray[np.int64], n: int, where: str) -> None:
    if not len(bonds):
        return
    if bonds.min() < 0 or bonds.max() >= n:
        raise InputError(
            f"{where}: a bond names particle {bonds.max() if bonds.max() >= n else bonds.min()}; there are {n}"
        )
    itself = np.flatnonzero(bonds[:, 0] == bonds[:, 1])
    if len(itself):
        raise InputError(f"{where}: particle {bonds[itself[0], 0]} is bonded to itself; remove that bond")
    unique, counts = np.unique(np.sort(bonds, axis=1), axis=0, return_counts=True)
    if counts.max() > 1:
        i, j = unique[np.argmax(counts)]
        raise InputError(f"{where}: bond {i}-{j} appears {counts.max()} times; keep one")


def _check_residue_bonds(
    bonds: NDArray[np.int64], residues: NDArray[np.int64], names: list[str], known: Mapping[str, ResidueTemplate]
) -> None:
    inside = residues[bonds[:, 0]] == residues[bonds[:, 1]] if len(bonds) else np.zeros(0, dtype=bool)
    found: dict[int, set[tuple[int, int]]] = {}
    starts = np.searchsorted(residues, np.arange(len(names)))
    for i, j in bonds[inside].tolist():
        r = int(residues[i])
        found.setdefault(r, set()).add((i - int(starts[r]), j - int(starts[r])))
    for r, name in enumerate(names):
        want, have = set(known[name].bonds), found.get(r, set())
        if want != have:
            label = known[name].bead_names

            def text(pairs: set[tuple[int, int]], label: tuple[str, ...] = label) -> str:
                return ", ".join(f"{label[i]}-{label[j]}" for i, j in sorted(pairs)) or "none"

            raise InputError(
                f"residue {r} ({name!r}): bonds missing: {text(want - have)}; bonds that the model does not have:"
                f" {text(have - want)}; add what is missing with Topology.addBond, or build the topology from the model"
            )


def _frozen(array: ArrayLike, dtype: Any, shape: tuple[int, ...] | None, name: str) -> NDArray[Any]:
    given = np.asarray(array)
    if np.issubdtype(dtype, np.integer) and given.size and not np.array_equal(given, given.astype(dtype)):
        raise InputError(f"{name}: holds values that are not whole numbers")
    result = np.array(given, dtype=dtype, order="C")
    if shape is not None and result.shape != shape:
        raise InputError(f"{name}: shape {result.shape}; expected {shape}")
    result.setflags(write=False)
    return result
