"""Labels of heavy atoms made connected: what any way to group atoms may leave in pieces is put together again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.mapping.heavy_atoms import HeavyAtoms
from openmm_cgml.mapping.partition import components


def repair(labels: NDArray[np.int64], heavy: HeavyAtoms, *, n_beads: int | None = None) -> list[frozenset[int]]:
    """Connected parts: pieces join the lightest part beside them, heavy parts are cut where there are too few.

    The largest piece of each label is a part, and so are no others. With `n_beads`, the heaviest parts are halved until
    there are as many.

    Args:
        labels: The label of each heavy atom, shape (n_heavy,).
        heavy: The molecule.
        n_beads: Number of parts wanted; by default as many as there are labels.
    """
    parts, pieces = _pieces(labels, heavy)
    while pieces:
        piece = min(pieces, key=lambda p: (len(p), sorted(p)))
        pieces.remove(piece)
        beside = {n for i in piece for n in heavy.neighbors[i]} - piece
        options = [number for number, part in enumerate(parts) if part & beside]
        if options:
            lightest = min(options, key=lambda number: (_mass(parts[number], heavy), number))
            parts[lightest] = parts[lightest] | piece
        else:  # it touches other pieces only, so it waits for one of them
            other = next(p for p in pieces if p & beside)
            pieces[pieces.index(other)] = other | piece
    while n_beads is not None and len(parts) < n_beads:
        heaviest = max((part for part in parts if len(part) > 1), key=lambda part: (_mass(part, heavy), sorted(part)))
        parts[parts.index(heaviest)], half = _halved(heaviest, heavy)
        parts.append(half)
    return parts


def _pieces(labels: NDArray[np.int64], heavy: HeavyAtoms) -> tuple[list[frozenset[int]], list[frozenset[int]]]:
    parts, pieces = [], []
    for label in np.unique(labels):
        found = components(frozenset(np.flatnonzero(labels == label).tolist()), heavy.neighbors)
        largest = max(found, key=lambda part: (_mass(part, heavy), -min(part)))
        parts.append(largest)
        pieces += [part for part in found if part is not largest]
    return parts, pieces


def _halved(part: frozenset[int], heavy: HeavyAtoms) -> tuple[frozenset[int], frozenset[int]]:
    """The part cut in two connected ones of masses as even as growth from an end makes them."""
    own = sorted(part)
    inside = heavy.distances[np.ix_(own, own)]
    seed = own[int(np.argmax(inside.max(axis=1)))]
    best, chosen = None, frozenset({seed})
    while len(chosen) < len(part):
        rest = part - chosen
        if len(components(rest, heavy.neighbors)) == 1:
            uneven = abs(_mass(chosen, heavy) - _mass(rest, heavy))
            best = min(best or (uneven, chosen), (uneven, chosen), key=lambda entry: entry[0])
        options = sorted({n for i in chosen for n in heavy.neighbors[i]} & rest)
        chosen = chosen | {min(options, key=lambda n: (heavy.distances[seed, n], n))}
    assert best is not None  # the last atom before all are chosen leaves a connected rest
    return best[1], part - best[1]


def _mass(part: frozenset[int] | Sequence[int], heavy: HeavyAtoms) -> float:
    return float(sum(heavy.masses[i] for i in sorted(part)))
