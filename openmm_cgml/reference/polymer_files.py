"""A polymer of files: an OpenMM force field of its residues, and a short chain in several conformations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.heavy_atoms import bond_distances
from openmm_cgml.reference.atomistic_models import read_pdb
from openmm_cgml.reference.flexible_chains import (
    FlexibleResidue,
    Placement,
    collect_torsions,
    grow_flexible_chains,
    hand_of,
)
from openmm_cgml.reference.polymers import AtomisticPolymer, MonomerUnit
from openmm_cgml.specification import ChainSpecification, Tacticity
from openmm_cgml.topology.graph import connected_components

__all__ = ["read_polymer"]

_FEWEST_RESIDUES = 3
_Residues = list[list[int]]


@dataclass(frozen=True, eq=False, kw_only=True)
class _ShortChain:
    """The content of the PDB file.

    Attributes:
        path: The file.
        names: Name of each atom.
        elements: Element symbol of each atom.
        bonds: Pairs of bonded atoms.
        residues: Numbers of the atoms of each residue.
        residue_names: Name of each residue.
        conformations: Positions [nm], each of shape (n_atoms, 3).
    """

    path: Path
    names: tuple[str, ...]
    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    residues: _Residues
    residue_names: tuple[str, ...]
    conformations: tuple[NDArray[np.float64], ...]

    def residue_of(self, atom: int) -> int:
        """Number of the residue of an atom."""
        return next(number for number, atoms in enumerate(self.residues) if atom in atoms)

    def neighbors(self, atom: int) -> list[int]:
        """Numbers of the atoms bonded to one, in order."""
        return sorted(b if a == atom else a for a, b in self.bonds if atom in (a, b))


def read_polymer(
    path: Path,
    chain: ChainSpecification,
    *,
    tacticity: Tacticity | None = None,
    stereocenter: str | None = None,
) -> AtomisticPolymer:
    """A polymer whose chains are grown from the conformations of a short one.

    Args:
        path: PDB file of one chain of three residues or more, head, body ..., tail, with CONECT records, and with a
            model for each conformation.
        chain: What `system.yaml` says of the chain.
        tacticity: How the hands of stereocenters follow each other; None takes them as the conformations have them.
        stereocenter: Name of the atom that is the stereocenter of a residue.

    Raises:
        InputError: The file is missing or damaged, holds another chain, or the stereocenter is none.
    """
    short = _read(path)
    _check_residues(short, chain)
    entry, exit_ = _check_link(short, chain)
    units = [_unit(short, number) for number in (0, 1, len(short.residues) - 1)]
    sites = [_site(short, number, entry, exit_, stereocenter) for number in range(len(short.residues))]
    laid = [[site.placement(positions) for site in sites] for positions in short.conformations]
    if tacticity is not None:
        laid += [[placement.mirrored() for placement in placements] for placements in laid]
    inner = range(1, len(short.residues) - 1)
    head, tail = (
        _flexible(short, number, [placements[number] for placements in laid], entry, exit_)
        for number in (0, len(short.residues) - 1)
    )
    body = _flexible(short, 1, [placements[number] for placements in laid for number in inner], entry, exit_)
    kinds = [head, *[body] * len(inner), tail]
    torsions = collect_torsions([list(zip(kinds, placements, strict=True)) for placements in laid])

    def grow(n_chains: int, monomers: int, edge: float, generator: np.random.Generator) -> NDArray[np.float64]:
        residues = [head, *[body] * (monomers - 2), tail]
        return grow_flexible_chains(residues, torsions, tacticity, n_chains, edge, generator)

    return AtomisticPolymer(
        name=chain.name,
        source=f"conformations of {path.name}",
        head=units[0],
        body=units[1],
        tail=units[2],
        links=chain.links,
        grow=grow,
    )


def _read(path: Path) -> _ShortChain:
    structure = read_pdb(path)
    topology, atoms = structure.topology, list(structure.topology.atoms())
    models = [np.array(structure.getPositions(True, n)._value, float) for n in range(structure.getNumFrames())]
    missing = [atom.name for atom in atoms if atom.element is None]
    if missing or any(model.shape != (len(atoms), 3) or not np.isfinite(model).all() for model in models):
        raise InputError(
            f"{path}: {len(missing)} atoms without an element, or models of different length; all models have the same "
            "atoms, with elements in columns 77-78"
        )
    residues = list(topology.residues())
    return _ShortChain(
        path=path,
        names=tuple(atom.name for atom in atoms),
        elements=tuple(atom.element.symbol for atom in atoms),
        bonds=tuple(sorted(tuple(sorted((a.index, b.index))) for a, b in topology.bonds())),
        residues=[[atom.index for atom in residue.atoms()] for residue in residues],
        residue_names=tuple(residue.name for residue in residues),
        conformations=tuple(models),
    )


def _check_residues(short: _ShortChain, chain: ChainSpecification) -> None:
    """Refuse other residues than head, body ..., tail, or bodies that differ."""
    n_body = len(short.residues) - 2
    wanted = [chain.head, *[chain.body] * n_body, chain.tail]
    if len(short.residues) < _FEWEST_RESIDUES or list(short.residue_names) != wanted:
        raise InputError(
            f"{short.path}: residues {', '.join(short.residue_names)}; one chain of {_FEWEST_RESIDUES} residues or "
            f"more is needed: {chain.head}, {chain.body} ..., {chain.tail}"
        )
    first = [short.names[atom] for atom in short.residues[1]]
    for number in range(2, len(short.residues) - 1):
        if [short.names[atom] for atom in short.residues[number]] != first:
            raise InputError(f"{short.path}: residue {number + 1} has other atoms than residue 2, which is one like it")


def _check_link(short: _ShortChain, chain: ChainSpecification) -> tuple[str, str]:
    """Names of the entry and the exit atom; refuses other bonds between residues than the links."""
    if len(chain.links) != 1:
        raise InputError(
            f"chain {chain.name!r} has {len(chain.links)} links; chains of files have one bond between residues, as "
            "ladders cannot be grown by turning about it"
        )
    exit_, entry = chain.links[0]
    numbers = [short.residue_of(a) for pair in short.bonds for a in pair]
    between = {
        (short.names[a], short.names[b], first, second)
        for (a, b), first, second in zip(short.bonds, numbers[::2], numbers[1::2], strict=True)
        if first != second
    }
    wanted = {(exit_, entry, number, number + 1) for number in range(len(short.residues) - 1)}
    if between != wanted:
        found = sorted({f"{a}-{b}" for a, b, _, _ in between})
        raise InputError(
            f"{short.path}: bonds {', '.join(found) or 'none'} between residues; system.yaml has {exit_}-{entry} "
            "between each and the next"
        )
    return entry, exit_


def _unit(short: _ShortChain, number: int) -> MonomerUnit:
    atoms = short.residues[number]
    place = {atom: i for i, atom in enumerate(atoms)}
    return MonomerUnit(
        residue_name=short.residue_names[number],
        atom_names=tuple(short.names[atom] for atom in atoms),
        elements=tuple(short.elements[atom] for atom in atoms),
        bonds=tuple((place[i], place[j]) for i, j in short.bonds if i in place and j in place),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Site:
    """Where a residue of the short chain and what surrounds it are found in a conformation.

    Attributes:
        atoms: Numbers of its atoms.
        before: Number of the atom that its entry atom is bonded to; at the start of the chain one that ends it.
        after: Number of the atom that its exit atom is bonded to; at the end of the chain one that ends it.
        center: Numbers of its stereocenter and of three of its neighbors; None without one.
    """

    atoms: list[int]
    before: int
    after: int
    center: list[int] | None

    def placement(self, positions: NDArray[np.float64]) -> Placement:
        """The residue as it is in a conformation [nm], shape (n_atoms, 3)."""
        hand = 0 if self.center is None else hand_of(positions[self.center[0]], positions[self.center[1:]])
        return Placement(
            positions=positions[self.atoms], before=positions[self.before], after=positions[self.after], hand=hand
        )


def _site(short: _ShortChain, number: int, entry: str, exit_: str, stereocenter: str | None) -> _Site:
    before, after = _outer(short, number, entry, -1), _outer(short, number, exit_, +1)
    center = None if stereocenter is None else _around_center(short, number, stereocenter, before, after)
    return _Site(atoms=short.residues[number], before=before, after=after, center=center)


def _outer(short: _ShortChain, number: int, name: str, step: int) -> int:
    """Number of the atom that the entry or exit atom of a residue is bonded to beyond it."""
    atom = _named(short, number, name)
    bonded = short.neighbors(atom)
    if 0 <= number + step < len(short.residues):
        return next(other for other in bonded if short.residue_of(other) == number + step)
    known = {short.names[a] for a in short.residues[1]}
    ends = [other for other in bonded if short.names[other] not in known]
    if not ends:
        raise InputError(
            f"{short.path}: atom {name} of residue {short.residue_names[number]} has the same neighbors as in "
            f"{short.residue_names[1]}; what ends the chain has a name of its own"
        )
    return ends[0]


def _around_center(short: _ShortChain, number: int, name: str, before: int, after: int) -> list[int]:
    """Numbers of a stereocenter and of three of its neighbors, in an order that is the same for all residues."""
    center = _named(short, number, name)
    bonded = short.neighbors(center)
    own = [atom for atom in bonded if atom not in (before, after)]
    order = [*(a for a in (before,) if a in bonded), *own, *(a for a in (after,) if a in bonded)]
    if len(order) != 4:
        raise InputError(
            f"{short.path}: reference.stereocenter {name} of residue {short.residue_names[number]} has {len(order)} "
            "neighbors; a stereocenter has four"
        )
    return [center, *order[:3]]


def _named(short: _ShortChain, number: int, name: str) -> int:
    for atom in short.residues[number]:
        if short.names[atom] == name:
            return atom
    raise InputError(
        f"{short.path}: residue {short.residue_names[number]} has no atom {name}; it has "
        f"{' '.join(short.names[atom] for atom in short.residues[number])}"
    )


def _flexible(
    short: _ShortChain, number: int, placements: Sequence[Placement], entry: str, exit_: str
) -> FlexibleResidue:
    unit = _unit(short, number)
    n_atoms, bonds = len(unit.atom_names), np.array(unit.bonds, dtype=np.int64).reshape(-1, 2)
    if connected_components(n_atoms, bonds).max() > 0:
        raise InputError(f"{short.path}: bonds do not hold residue {unit.residue_name} together; add CONECT records")
    adjacency = np.zeros((n_atoms, n_atoms), dtype=np.bool_)
    adjacency[bonds[:, 0], bonds[:, 1]] = adjacency[bonds[:, 1], bonds[:, 0]] = True
    heavy = np.array([i for i, symbol in enumerate(unit.elements) if symbol != "H"], dtype=np.int64)
    ends = [unit.atom_names.index(entry), unit.atom_names.index(exit_)]
    distances = bond_distances(adjacency)[ends][:, heavy]
    sides = [sorted(b if a == end else a for a, b in unit.bonds if end in (a, b)) for end in ends]
    return FlexibleResidue(
        placements=tuple(placements),
        entry=ends[0],
        exit=ends[1],
        entry_side=sides[0][0] if sides[0] else None,
        exit_side=sides[1][0] if sides[1] else None,
        heavy=heavy,
        to_entry=distances[0],
        to_exit=distances[1],
    )
