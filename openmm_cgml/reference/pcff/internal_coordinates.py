"""Internal coordinates of bonded atoms that class-II force fields have terms for."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from openmm import app

__all__ = ["InternalCoordinates"]


@dataclass(frozen=True, eq=False, kw_only=True)
class InternalCoordinates:
    """Atom indices of each kind of coordinate.

    Attributes:
        neighbors: Bonded atoms of each atom, in increasing order.
        bonds: Pairs i < j.
        angles: Triples i-j-k with i < k, j in the middle.
        torsions: Chains i-j-k-l of four different atoms, j < k.
        centers: (i, j, k, l): an atom j and three of its neighbors, i < k < l.
    """

    neighbors: tuple[tuple[int, ...], ...]
    bonds: tuple[tuple[int, int], ...]
    angles: tuple[tuple[int, int, int], ...]
    torsions: tuple[tuple[int, int, int, int], ...]
    centers: tuple[tuple[int, int, int, int], ...]

    @property
    def exclusions(self) -> list[tuple[int, int]]:
        """Pairs i < j one or two bonds apart, which have no non-bonded interaction."""
        return sorted({*self.bonds, *((i, k) for i, _, k in self.angles)})

    @property
    def trigonal_centers(self) -> list[tuple[int, int, int, int]]:
        """The members of `centers` whose middle atom has no other neighbors; these can be out of plane."""
        return [center for center in self.centers if len(self.neighbors[center[1]]) == 3]

    @classmethod
    def from_topology(cls, topology: app.Topology) -> InternalCoordinates:
        """The coordinates that follow from the bonds of an OpenMM topology."""
        around: list[set[int]] = [set() for _ in range(topology.getNumAtoms())]
        for first, second in topology.bonds():
            around[first.index].add(second.index)
            around[second.index].add(first.index)
        neighbors = tuple(tuple(sorted(atoms)) for atoms in around)
        bonds = tuple((i, j) for i, atoms in enumerate(neighbors) for j in atoms if i < j)
        return cls(
            neighbors=neighbors,
            bonds=bonds,
            angles=tuple((i, j, k) for j, atoms in enumerate(neighbors) for i, k in combinations(atoms, 2)),
            torsions=tuple(
                (i, j, k, m) for j, k in bonds for i in neighbors[j] if i != k for m in neighbors[k] if m not in (i, j)
            ),
            centers=tuple((i, j, k, m) for j, atoms in enumerate(neighbors) for i, k, m in combinations(atoms, 3)),
        )
