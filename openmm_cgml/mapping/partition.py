"""A molecule divided into connected beads of even mass: exactly for small molecules, by growth and moves for large."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms, bond_distances

SYMMETRY_WORTH = 0.05
"""How much more uneven, in squared coefficients of variation of the masses, a symmetric division may be."""
RING_BOND_WORTH = 0.02
"""What cutting one ring bond per bead weighs, in the same measure."""
_MOST_EXACT = 20  # heavy atoms
_MOST_VISITED = 60_000  # partitions looked at
_MOST_MOVES = 1000

_Parts = list[frozenset[int]]
_Score = tuple[float, ...]


def partition_molecule(masses: ArrayLike, elements: Sequence[str], bonds: ArrayLike, n_beads: int) -> NDArray[np.int64]:
    """The bead of each atom of a molecule, shape (n_atoms,): connected parts of masses as even as can be.

    Hydrogens stay with the atom that they are bonded to. What is least is the squared coefficient of variation of the
    bead masses, plus 0.02 times the ring bonds cut per bead, plus 0.05 where equivalent atoms end up in beads of
    different make; of equals, the one with fewest bonds cut, then the most compact. Up to 20 heavy atoms all connected
    partitions are searched (branch and bound); larger molecules are divided by growth from an end and by moving atoms
    between beads. The division does not depend on the order of the atoms, up to a symmetry of the molecule.

    Args:
        masses: Atomic masses [Da], shape (n_atoms,).
        elements: Element symbols; an empty symbol is hydrogen if its mass is below 3.5 Da.
        bonds: Bonded pairs, shape (n_bonds, 2).
        n_beads: Number of beads.

    Returns:
        Numbers of the beads, from 0 along the molecule, from the end that holds the atom of the lowest number.

    Raises:
        InputError: More beads than heavy atoms, atoms that bonds do not join, or masses that are none.
    """
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    if n_beads < 1 or n_beads > heavy.n_heavy:
        raise InputError(
            f"{n_beads} beads for a molecule of {heavy.n_heavy} atoms that are no hydrogens; ask for 1 to "
            f"{heavy.n_heavy}, as hydrogens stay with the atom that they are bonded to"
        )
    scorer = _Scorer(heavy, n_beads)
    parts = _grown(heavy, n_beads, scorer)
    if heavy.n_heavy <= _MOST_EXACT:
        parts = _searched(heavy, n_beads, scorer, parts)
    return numbered_along(labels_of(parts, heavy.owners), bonds)


def labels_of(parts: Sequence[frozenset[int]], owners: NDArray[np.int64]) -> NDArray[np.int64]:
    """The part of each atom, shape (n_atoms,), from parts of the heavy atoms that own them."""
    label = np.empty(int(owners.max()) + 1, dtype=np.int64)
    for number, part in enumerate(parts):
        label[list(part)] = number
    return label[owners]


def numbered_along(labels: ArrayLike, bonds: ArrayLike) -> NDArray[np.int64]:
    """The same beads numbered along the molecule, from an end: side beads before the rest of the chain, rings around.

    Args:
        labels: The bead of each atom, shape (n_atoms,).
        bonds: Bonded pairs of atoms, by which all beads are joined, shape (n_bonds, 2).
    """
    _, first, label = np.unique(np.asarray(labels), return_index=True, return_inverse=True)
    pairs = label[np.asarray(bonds, dtype=np.int64).reshape(-1, 2)]
    adjacency = np.zeros((len(first),) * 2, dtype=bool)
    adjacency[pairs[:, 0], pairs[:, 1]] = adjacency[pairs[:, 1], pairs[:, 0]] = True
    distances = bond_distances(adjacency & ~np.eye(len(first), dtype=bool))
    ends = np.flatnonzero(distances.max(axis=1) == distances.max())
    start = int(ends[np.argmin(first[ends])])
    neighbors = [np.flatnonzero(row).tolist() for row in adjacency]
    return np.argsort(_walk(start, neighbors, first.tolist()))[label]


def _walk(start: int, neighbors: Sequence[Sequence[int]], first: Sequence[int]) -> list[int]:
    """The nodes depth first, small branches before large ones, then by their first atoms."""
    order, left, stack = [], set(range(len(neighbors))), [start]
    while stack:
        node = stack.pop()
        if node in left:
            order.append(node)
            left.remove(node)
            size = {n: len(part) for part in components(left, neighbors) for n in part}
            options = [n for n in neighbors[node] if n in left]
            stack += sorted(options, key=lambda n: (size[n], first[n]), reverse=True)
    return order


class _Scorer:
    """How good a division is; less is better, and equal scores are equal up to rounding."""

    def __init__(self, heavy: HeavyAtoms, n_beads: int) -> None:
        self.masses, self.kinds = heavy.masses.tolist(), heavy.kinds.tolist()
        self.mean = float(heavy.masses.sum()) / n_beads
        self.n_beads = n_beads
        self._distances = heavy.distances
        self._bonds = [(i, j) for i, own in enumerate(heavy.neighbors) for j in own if i < j]
        self._rings = heavy.ring_bonds

    def uneven(self, part: frozenset[int]) -> float:
        """What one bead adds to the squared coefficient of variation of the masses."""
        mass = sum(self.masses[i] for i in sorted(part))
        return (mass / self.mean - 1) ** 2 / self.n_beads

    def main(self, parts: _Parts) -> float:
        """Masses, ring bonds and symmetry."""
        owner = {i: number for number, part in enumerate(parts) for i in part}
        cut = sum(owner[i] != owner[j] for i, j in self._rings)
        uneven = sum(map(self.uneven, parts))
        return round(uneven + RING_BOND_WORTH * cut / self.n_beads + SYMMETRY_WORTH * self._unequal(parts), 9)

    def full(self, parts: _Parts) -> _Score:
        """The main score, then what decides between equals: bonds cut, extent, and the numbers of the atoms."""
        owner = {i: number for number, part in enumerate(parts) for i in part}
        cut = sum(owner[i] != owner[j] for i, j in self._bonds)
        extent = sum(int((self._distances[np.ix_(own, own)] ** 2).sum()) for own in map(sorted, parts))
        names = [float(i) for part in sorted(map(sorted, parts)) for i in (*part, -1)]
        return (self.main(parts), cut, extent, *names)

    def _unequal(self, parts: _Parts) -> bool:
        """Whether equivalent atoms are in beads of different make."""
        make: dict[int, tuple[int, ...]] = {}
        for part in parts:
            own = tuple(sorted(self.kinds[i] for i in part))
            if any(make.setdefault(kind, own) != own for kind in own):
                return True
        return False


def _searched(heavy: HeavyAtoms, n_beads: int, scorer: _Scorer, start: _Parts) -> _Parts:
    """The best of all connected partitions, or of as many as are looked at, the start among them."""
    best, best_score = start, scorer.full(start)
    visited = 0

    def extend(rest: frozenset[int], parts: _Parts, uneven: float) -> None:
        nonlocal best, best_score, visited
        if not rest:
            score = scorer.full(parts)
            if score < best_score:
                best, best_score = list(parts), score
            return
        left = n_beads - len(parts)
        for part in _connected_subsets(rest, min(rest), len(rest) - left + 1, heavy.neighbors):
            visited += 1
            if visited > _MOST_VISITED:
                return
            remaining = rest - part
            if bool(remaining) != (left > 1) or _n_components(remaining, heavy.neighbors) > left - 1:
                continue
            bound = uneven + scorer.uneven(part)
            if round(bound + _even(remaining, left - 1, scorer), 9) <= best_score[0]:
                extend(remaining, [*parts, part], bound)

    extend(frozenset(range(heavy.n_heavy)), [], 0.0)
    return best


def _even(rest: frozenset[int], n_parts: int, scorer: _Scorer) -> float:
    """The least unevenness that the rest may add."""
    if not n_parts:
        return 0.0
    mass = sum(scorer.masses[i] for i in rest) / n_parts
    return n_parts * (mass / scorer.mean - 1) ** 2 / scorer.n_beads


def _connected_subsets(
    allowed: frozenset[int], root: int, most: int, neighbors: Sequence[Sequence[int]]
) -> Iterator[frozenset[int]]:
    """Every connected set of at most `most` of the allowed that holds the root, each once."""

    def grow(chosen: frozenset[int], frontier: tuple[int, ...], barred: frozenset[int]) -> Iterator[frozenset[int]]:
        yield chosen
        if len(chosen) == most:
            return
        for place, atom in enumerate(frontier):
            out = barred | set(frontier[:place])
            known = chosen | set(frontier) | out
            new = tuple(n for n in neighbors[atom] if n in allowed and n not in known)
            yield from grow(chosen | {atom}, (*frontier[place + 1 :], *new), out)

    yield from grow(frozenset({root}), tuple(n for n in neighbors[root] if n in allowed), frozenset({root}))


def _n_components(nodes: frozenset[int], neighbors: Sequence[Sequence[int]]) -> int:
    return len(components(nodes, neighbors))


def components(nodes: frozenset[int] | set[int], neighbors: Sequence[Sequence[int]]) -> list[frozenset[int]]:
    """The connected parts of some nodes of a graph, by their least node."""
    left, found = set(nodes), []
    for first in sorted(nodes):
        if first in left:
            part, stack = {first}, [first]
            while stack:
                new = [n for n in neighbors[stack.pop()] if n in left and n not in part]
                part.update(new)
                stack.extend(new)
            left -= part
            found.append(frozenset(part))
    return found


def _grown(heavy: HeavyAtoms, n_beads: int, scorer: _Scorer) -> _Parts:
    """Beads by recursive bisection, each half grown from an end, then improved by moves of single atoms."""
    parts = _bisected(frozenset(range(heavy.n_heavy)), n_beads, heavy)
    return improved(parts, heavy.neighbors, scorer.main)


def _bisected(nodes: frozenset[int], n_parts: int, heavy: HeavyAtoms) -> _Parts:
    if n_parts == 1:
        return [nodes]
    first = n_parts // 2
    one = _half(nodes, first, n_parts, heavy)
    return _bisected(one, first, heavy) + _bisected(nodes - one, n_parts - first, heavy)


def _half(nodes: frozenset[int], first: int, n_parts: int, heavy: HeavyAtoms) -> frozenset[int]:
    """A connected part with its share of the mass whose removal leaves a connected rest, each with enough atoms."""
    target = first / n_parts * sum(heavy.masses[i] for i in sorted(nodes))
    inside = heavy.distances[np.ix_(sorted(nodes), sorted(nodes))].max(axis=1)
    seed = sorted(nodes)[int(np.argmax(inside))]
    chosen = frozenset({seed})
    while True:
        options = sorted({n for i in chosen for n in heavy.neighbors[i] if n in nodes} - chosen)
        grown = [chosen | frozenset().union(*_cut_off(nodes - chosen - {atom}, heavy)) | {atom} for atom in options]
        fitting = [g for g in grown if len(nodes) - len(g) >= n_parts - first]
        if not fitting:
            return chosen
        following = min(fitting, key=lambda g: (sum(heavy.masses[i] for i in sorted(g)), _extent(g, heavy), sorted(g)))
        masses = [sum(heavy.masses[i] for i in sorted(part)) for part in (chosen, following)]
        if len(chosen) >= first and abs(masses[0] - target) <= abs(masses[1] - target):
            return chosen
        chosen = following


def _cut_off(rest: frozenset[int], heavy: HeavyAtoms) -> list[frozenset[int]]:
    """The parts of the rest other than the largest."""
    return sorted(components(rest, heavy.neighbors), key=lambda part: (-len(part), sorted(part)))[1:]


def _extent(part: frozenset[int], heavy: HeavyAtoms) -> int:
    own = sorted(part)
    return int(heavy.distances[np.ix_(own, own)].sum())


def improved(
    parts: _Parts, neighbors: Sequence[Sequence[int]], score: Callable[[_Parts], float], *, swaps: bool = False
) -> _Parts:
    """The parts after moves of single atoms to neighboring parts, best move first, until none scores less.

    Args:
        parts: Connected parts.
        neighbors: What each atom is bonded to.
        score: What is to be least.
        swaps: Also exchange two atoms of two parts.
    """
    current = score(parts)
    for _ in range(_MOST_MOVES):
        options = [*_moves(parts, neighbors), *(_swaps(parts, neighbors) if swaps else ())]
        candidates = [(score(moved), number, moved) for number, moved in enumerate(options)]
        if not candidates or min(candidates)[0] >= current:
            break
        current, _, parts = min(candidates, key=lambda candidate: candidate[:2])
    return parts


def _moves(parts: _Parts, neighbors: Sequence[Sequence[int]]) -> Iterator[_Parts]:
    """Every division in which one atom has moved to a part beside it and all parts are connected."""
    owner = {i: number for number, part in enumerate(parts) for i in part}
    for atom in sorted(owner):
        own = owner[atom]
        rest = parts[own] - {atom}
        if rest and _n_components(rest, neighbors) == 1:
            for other in sorted({owner[n] for n in neighbors[atom]} - {own}):
                moved = list(parts)
                moved[own], moved[other] = rest, parts[other] | {atom}
                yield moved


def _swaps(parts: _Parts, neighbors: Sequence[Sequence[int]]) -> Iterator[_Parts]:
    """Every division in which two parts that touch have exchanged an atom, and both are connected."""
    owner = {i: number for number, part in enumerate(parts) for i in part}
    borders = {(i, owner[n]) for i in owner for n in neighbors[i] if owner[n] != owner[i]}
    for i, other in sorted(borders):
        for j, back in sorted(borders):
            if owner[j] == other and back == owner[i] and i < j:
                moved = list(parts)
                moved[owner[i]], moved[other] = parts[owner[i]] - {i} | {j}, parts[other] - {j} | {i}
                if all(_n_components(moved[number], neighbors) == 1 for number in (owner[i], other)):
                    yield moved
