"""The graph of a molecule without its hydrogens, numbered in a way that does not depend on the order of its atoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.topology import connected_components

HYDROGENS = ("H", "D", "T")
_LIGHTEST_HEAVY_ATOM = 3.5  # [Da]; what is below is hydrogen where elements are not known
_WALKS = 8
_MOST_WITH_WALKS = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class HeavyAtoms:
    """A molecule as heavy atoms that carry their hydrogens.

    Hydrogens with one bond belong to the atom at its other end; bridging hydrogens and the atoms of H2 count as heavy.
    The numbers of the heavy atoms are those of a canonical order: two numberings of the same molecule give the same
    graph, up to a symmetry of the molecule.

    Attributes:
        masses: Masses with hydrogens [Da], shape (n_heavy,).
        adjacency: Whether two heavy atoms are bonded, shape (n_heavy, n_heavy).
        kinds: A number that equivalent heavy atoms share, shape (n_heavy,).
        owners: The heavy atom of each atom, shape (n_atoms,).
        atoms: The atom that each heavy atom is, shape (n_heavy,).
    """

    masses: NDArray[np.float64]
    adjacency: NDArray[np.bool_]
    kinds: NDArray[np.int64]
    owners: NDArray[np.int64]
    atoms: NDArray[np.int64]

    @classmethod
    def from_molecule(cls, masses: ArrayLike, elements: Sequence[str], bonds: ArrayLike) -> HeavyAtoms:
        """The heavy atoms of one molecule.

        Args:
            masses: Atomic masses [Da], shape (n_atoms,).
            elements: Element symbols; an empty symbol is hydrogen if its mass is below 3.5 Da.
            bonds: Bonded pairs, shape (n_bonds, 2).

        Raises:
            InputError: Masses, elements and bonds that do not fit together, or atoms that bonds do not join.
        """
        mass, pairs = _checked(masses, elements, bonds)
        owners = _owners(mass, elements, pairs)
        atoms, local = np.unique(owners, return_inverse=True)
        n = len(atoms)
        adjacency = np.zeros((n, n), dtype=bool)
        adjacency[local[pairs[:, 0]], local[pairs[:, 1]]] = True
        adjacency = (adjacency | adjacency.T) & ~np.eye(n, dtype=bool)
        total = np.asarray(np.bincount(local, weights=mass, minlength=n), dtype=np.float64)
        counts = np.bincount(local, minlength=n)
        labels = [(elements[a], round(float(m), 4), int(c)) for a, m, c in zip(atoms, total, counts, strict=True)]
        kinds = _refine(_invariants(adjacency, labels), adjacency)
        order = np.argsort(_individualized(kinds, adjacency))
        place = np.argsort(order)
        return cls(
            masses=total[order],
            adjacency=adjacency[np.ix_(order, order)],
            kinds=kinds[order],
            owners=place[local],
            atoms=atoms[order],
        )

    @property
    def n_heavy(self) -> int:
        """Number of heavy atoms."""
        return len(self.masses)

    @cached_property
    def neighbors(self) -> tuple[tuple[int, ...], ...]:
        """The heavy atoms that each is bonded to."""
        return tuple(tuple(np.flatnonzero(row).tolist()) for row in self.adjacency)

    @cached_property
    def distances(self) -> NDArray[np.int64]:
        """Number of bonds between heavy atoms along the shortest path, shape (n_heavy, n_heavy)."""
        return bond_distances(self.adjacency)

    @cached_property
    def ring_bonds(self) -> frozenset[tuple[int, int]]:
        """Bonds i < j that are part of a ring."""
        return frozenset(_ring_bonds(self.neighbors))


def bond_distances(adjacency: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Number of bonds along the shortest path between any two, shape (n, n); they must be connected."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import shortest_path

    lengths = shortest_path(csr_array(adjacency.astype(np.float64)), unweighted=True, directed=False)
    return np.asarray(np.rint(lengths), dtype=np.int64)


def equivalent_atoms(masses: ArrayLike, elements: Sequence[str], bonds: ArrayLike) -> NDArray[np.int64]:
    """A number that chemically equivalent atoms of a molecule share, shape (n_atoms,).

    Heavy atoms are compared by mass, element and hydrogens, by their distances to all others and by closed walks, and
    refined by those of their neighbors (Weisfeiler and Leman); hydrogens are equivalent if their heavy atoms are.
    Stereochemistry is not looked at.

    Raises:
        InputError: As `HeavyAtoms.from_molecule`.
    """
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    is_hydrogen = np.ones(len(heavy.owners), dtype=np.int64)
    is_hydrogen[heavy.atoms] = 0
    keys = np.stack([heavy.kinds[heavy.owners], is_hydrogen], axis=1)
    return np.unique(keys, axis=0, return_inverse=True)[1].ravel()


def _checked(
    masses: ArrayLike, elements: Sequence[str], bonds: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    mass = np.asarray(masses, dtype=np.float64)
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    if mass.ndim != 1 or not len(mass) or len(elements) != len(mass):
        raise InputError(f"masses of shape {mass.shape} and {len(elements)} elements; one of each for every atom")
    bad = np.flatnonzero(~(np.isfinite(mass) & (mass > 0)))
    if len(bad):
        raise InputError(f"atom {bad[0]} has mass {mass[bad[0]]} Da; masses are positive")
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(mass)):
        raise InputError(f"bonds name atoms {pairs.min()} to {pairs.max()}, but there are atoms 0 to {len(mass) - 1}")
    parts = connected_components(len(mass), pairs)
    if parts.max():
        other = int(np.flatnonzero(parts)[0])
        raise InputError(
            f"the atoms are {parts.max() + 1} molecules (no bonds lead from atom 0 to atom {other}); divide one "
            "molecule at a time, or give the missing bonds"
        )
    return mass, pairs


def _owners(mass: NDArray[np.float64], elements: Sequence[str], bonds: NDArray[np.int64]) -> NDArray[np.int64]:
    """The atom whose part each atom is: itself, or for a hydrogen with one bond that at its other end."""
    light = mass < _LIGHTEST_HEAVY_ATOM
    hydrogen = np.array([e in HYDROGENS or (not e and x) for e, x in zip(elements, light.tolist(), strict=True)])
    owners = np.arange(len(mass))
    bonds = np.unique(np.sort(bonds, axis=1), axis=0)
    n_bonds = np.bincount(bonds.ravel(), minlength=len(mass))
    for own, other in (bonds.T, bonds[:, ::-1].T):
        follows = hydrogen[own] & (n_bonds[own] == 1) & ~hydrogen[other]
        owners[own[follows]] = other[follows]
    return owners


def _invariants(adjacency: NDArray[np.bool_], labels: Sequence[tuple[object, ...]]) -> NDArray[np.int64]:
    """A first number for each: its label, how many others lie at each distance, and its closed walks."""
    profiles = [tuple(np.bincount(row).tolist()) for row in bond_distances(adjacency)]
    return _ranked(list(zip(labels, profiles, _closed_walks(adjacency), strict=True)))


def _closed_walks(adjacency: NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """How many closed walks of each length lead through each atom; none are counted in large molecules."""
    if len(adjacency) > _MOST_WITH_WALKS:
        return [()] * len(adjacency)
    powers, walks = np.eye(len(adjacency), dtype=np.int64), []
    for _ in range(_WALKS):
        powers = powers @ adjacency
        walks.append(np.diag(powers))
    return [tuple(row) for row in np.stack(walks, axis=1).tolist()]


def _ranked(keys: Sequence[tuple[object, ...]]) -> NDArray[np.int64]:
    place = {key: number for number, key in enumerate(sorted(set(keys)))}  # type: ignore[type-var]
    return np.array([place[key] for key in keys], dtype=np.int64)


def _refine(colors: NDArray[np.int64], adjacency: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Colors told apart by the colors of the neighbors, until nothing changes."""
    neighbors = [np.flatnonzero(row) for row in adjacency]
    n_colors = len(np.unique(colors))
    while True:
        colors = _ranked([(int(c), *sorted(colors[own].tolist())) for c, own in zip(colors, neighbors, strict=True)])
        found = int(colors.max()) + 1
        if found == n_colors:
            return colors
        n_colors = found


def _individualized(colors: NDArray[np.int64], adjacency: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A color of its own for each: the first of equals is set apart and the rest told apart by it, again and again."""
    while int(colors.max()) + 1 < len(colors):
        first_equal = int(np.flatnonzero(np.bincount(colors) > 1)[0])
        chosen = int(np.flatnonzero(colors == first_equal)[0])
        apart = 2 * colors
        apart[chosen] -= 1
        colors = _refine(apart, adjacency)
    return colors


def _ring_bonds(neighbors: Sequence[Sequence[int]]) -> set[tuple[int, int]]:
    """Bonds that are not bridges: found by depth-first search, without recursion."""
    found, low, rings = {0: 0}, {0: 0}, set()
    stack = [(0, -1, iter(neighbors[0]))]
    while stack:
        node, parent, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            stack.pop()
            if stack:
                low[parent] = min(low[parent], low[node])
                if low[node] <= found[parent]:
                    rings.add((min(node, parent), max(node, parent)))
        elif following not in found:
            found[following] = low[following] = len(found)
            stack.append((following, node, iter(neighbors[following])))
        elif following != parent:
            low[node] = min(low[node], found[following])
            rings.add((min(node, following), max(node, following)))
    return rings
