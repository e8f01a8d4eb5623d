"""Pairs within a range by a cell list, compiled for the CPU: any size, any box, several copies in one box.

A pair is listed once. Its owner is the bead with the smaller number where the numbers are both even or both odd, else
the other, so that every bead owns about as many pairs and pairs can be split between threads by their owners.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from openmm_cgml.caches import keeps_numba_kernels

_compile = numba.njit(cache=keeps_numba_kernels(), error_model="numpy", boundscheck=False, nogil=True)

_MAX_CELLS_PER_BEAD = 2
_CELLS_PER_REACH = 2


def perpendicular_widths(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces of the box (3, 3) [nm], shape (3,)."""
    widths: NDArray[np.float64] = 1 / np.sqrt((np.linalg.inv(box) ** 2).sum(axis=0))
    return widths


def find_pairs(
    positions: NDArray[np.float64],
    box: NDArray[np.float64],
    reach: float,
    *,
    n_replicas: int = 1,
    is_periodic: bool = True,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Pairs nearer than `reach`, ordered by owner and partner: owners and partners, each of shape (n_pairs,).

    Args:
        positions: Positions [nm], shape (n, 3), anywhere in space.
        box: Reduced box vectors [nm], shape (3, 3), of which at most half the smallest perpendicular width is `reach`;
            without periodic boundaries a box that is wider than the beads by `reach` at least.
        reach: Range [nm].
        n_replicas: Copies of the same beads; beads of different copies are no pairs.
        is_periodic: Whether images count.
    """
    ordered, places = find_places(positions, box, reach, n_replicas=n_replicas, is_periodic=is_periodic)
    return _order_pairs(places, ordered)


def find_places(
    positions: NDArray[np.float64],
    box: NDArray[np.float64],
    reach: float,
    *,
    n_replicas: int = 1,
    is_periodic: bool = True,
    types: NDArray[np.int64] | None = None,
    reaches: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Beads in the order of their cells, shape (n,), and pairs of places in that order, shape (2, n_pairs).

    The pairs of a first place follow each other, places near in space are near in that order, and a pair is met at the
    one of its places that comes first.

    Args:
        positions: As for `find_pairs`.
        box: As for `find_pairs`.
        reach: As for `find_pairs`.
        n_replicas: As for `find_pairs`.
        is_periodic: As for `find_pairs`.
        types: Type of each bead, shape (n,), where the range of a pair depends on its types.
        reaches: That range by two types [nm], none above `reach`, shape (n_types, n_types).
    """
    n = len(positions)
    counts, wrapped, ordered, starts = sort_into_cells(positions, box, reach, n_replicas)
    spans = np.ceil(reach * counts / perpendicular_widths(box)).astype(np.int64)
    density = n / n_replicas / np.diag(box).prod()
    capacity = int(n * (0.75 * math.pi * reach**3 * density + 8)) + 64  # a fifth more than at an even density
    kinds = None if types is None else types[ordered]
    limits = None if reaches is None else reaches**2
    while True:
        places = np.empty((2, capacity), np.int32)
        n_pairs = _list_pairs(
            wrapped, box, reach, is_periodic, counts, spans, starts, n_replicas, places, kinds, limits
        )
        if n_pairs <= capacity:
            return ordered, places[:, :n_pairs]
        capacity = n_pairs


def sort_into_cells(
    positions: NDArray[np.float64], box: NDArray[np.float64], reach: float, n_replicas: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]:
    """Cells along each box vector; positions inside the box and beads, both in the order of their cells; start of each
    cell in that order.

    Cells are numbered along the last box vector first; those of a replica follow those of the one before. They are
    half of `reach` wide or more, since the cells around a bead then hold fewer beads that are out of reach.
    """
    widths = perpendicular_widths(box)
    counts = np.maximum(np.floor(_CELLS_PER_REACH * widths / reach), 1).astype(np.int64)
    most = max(27.0, _MAX_CELLS_PER_BEAD * len(positions) / n_replicas)
    while counts.prod(dtype=np.float64) > most:  # beads that are few and far between
        counts[np.argmax(counts)] = max(1, counts.max() // 2)
    n_cells = int(counts.prod())
    starts = np.zeros(n_cells * n_replicas + 1, np.int32)
    ordered = np.empty(len(positions), np.int32)
    wrapped = np.empty_like(positions)
    _fill_cells(positions, box, np.linalg.inv(box), counts, n_cells, n_replicas, wrapped, starts, ordered)
    return counts, wrapped[ordered], ordered, starts


@_compile
def _fill_cells(  # type: ignore[no-untyped-def]
    positions, box, inverse, counts, n_cells, n_replicas, wrapped, starts, ordered
):
    n = positions.shape[0]
    per_replica = n // n_replicas
    index = np.empty(3, np.int64)
    cells = np.empty(n, np.int32)
    for i in range(n):
        wrapped[i] = positions[i]
        for axis in range(3):
            fraction = 0.0
            for k in range(3):
                fraction += positions[i, k] * inverse[k, axis]
            whole = math.floor(fraction)
            index[axis] = min(int((fraction - whole) * counts[axis]), counts[axis] - 1)
            for k in range(3):
                wrapped[i, k] -= whole * box[axis, k]
        cell = (index[0] * counts[1] + index[1]) * counts[2] + index[2]
        cells[i] = cell + n_cells * (i // per_replica)
        starts[cells[i] + 1] += 1
    for cell in range(starts.shape[0] - 1):
        starts[cell + 1] += starts[cell]
    filled = starts.copy()
    for i in range(n):
        ordered[filled[cells[i]]] = i
        filled[cells[i]] += 1


@_compile
def _list_pairs(  # type: ignore[no-untyped-def]
    wrapped, box, reach, is_periodic, counts, spans, starts, n_replicas, places, kinds, limits
):
    """Fill `places` (2, capacity) as far as they reach; returns the number of pairs there are.

    Of the images of cells around a cell, those are looked at that come after it, first by the row of cells they are in
    (all its cells follow each other in memory) and then within its own row. So a pair of beads is met once, from one
    side, however few cells there are: with one or two along a vector, a cell meets another at several images of it,
    and a pair is within reach at one of them. `kinds` (n,) and the squared ranges `limits` (n_kinds, n_kinds) [nm^2],
    or None for both, tell the range of each pair.
    """
    n_x, n_y, n_z = counts[0], counts[1], counts[2]
    stretches = np.empty(((2 * spans[0] + 1) * (2 * spans[1] + 1) * (2 * spans[2] + 2), 2), np.int64)
    shifts = np.empty((stretches.shape[0], 3))
    found = 0
    for replica in range(n_replicas):
        base = replica * n_x * n_y * n_z
        for x in range(n_x):
            for y in range(n_y):
                for z in range(n_z):
                    cell = base + (x * n_y + y) * n_z + z
                    if starts[cell] == starts[cell + 1]:
                        continue
                    n_stretches = _stretches_after(
                        x, y, z, base, box, is_periodic, counts, spans, starts, stretches, shifts
                    )
                    for place in range(starts[cell], starts[cell + 1]):
                        stretches[0, 0] = place + 1
                        for k in range(n_stretches):
                            if kinds is None:
                                found = _list_near(
                                    wrapped, place, stretches[k, 0], stretches[k, 1], shifts[k], reach, found, places
                                )
                            else:
                                found = _list_near_by_kind(
                                    wrapped, place, stretches[k, 0], stretches[k, 1], shifts[k], kinds, limits, found,
                                    places,
                                )  # fmt: skip
    return found


@_compile
def _stretches_after(x, y, z, base, box, is_periodic, counts, spans, starts, stretches, shifts):  # type: ignore[no-untyped-def]
    """Fill in which places lie in the images of cells after a cell, and where these images are; returns their number.

    The first stretch begins with the cell itself. `stretches` (m, 2) gets the first place and the one after the last,
    `shifts` (m, 3) the way [nm] from the beads at these places to the image. `base` is the number of the first cell of
    the replica; the others are as in `_list_pairs`.
    """
    n = 0
    for dx in range(spans[0] + 1):
        shift_x = (x + dx) // counts[0]
        for dy in range(-spans[1] if dx > 0 else 0, spans[1] + 1):
            shift_y = (y + dy) // counts[1]
            row = (x + dx - shift_x * counts[0]) * counts[1] + y + dy - shift_y * counts[1]
            row = base + row * counts[2]
            first, last = z if dx == 0 and dy == 0 else z - spans[2], z + spans[2]
            while first <= last:
                shift_z = first // counts[2]
                end = min(last + 1, (shift_z + 1) * counts[2])
                is_image = shift_x != 0 or shift_y != 0 or shift_z != 0
                if is_periodic or not is_image:
                    stretches[n, 0] = starts[row + first - shift_z * counts[2]]
                    stretches[n, 1] = starts[row + end - shift_z * counts[2]]
                    for k in range(3):
                        shifts[n, k] = shift_x * box[0, k] + shift_y * box[1, k] + shift_z * box[2, k]
                    n += 1
                first = end
    return n


@_compile
def _list_near(wrapped, place, begin, end, shift, reach, found, places):  # type: ignore[no-untyped-def]
    """List a bead's pairs with those from `begin` to `end`, moved by `shift`; returns the number found so far."""
    limit = reach * reach
    xi, yi, zi = wrapped[place, 0] - shift[0], wrapped[place, 1] - shift[1], wrapped[place, 2] - shift[2]
    for other in range(begin, end):
        x, y, z = xi - wrapped[other, 0], yi - wrapped[other, 1], zi - wrapped[other, 2]
        if found < places.shape[1]:  # written whether near or not: a branch that is hard to predict costs more
            places[0, found] = place
            places[1, found] = other
        found += x * x + y * y + z * z < limit
    return found


@_compile
def _list_near_by_kind(wrapped, place, begin, end, shift, kinds, limits, found, places):  # type: ignore[no-untyped-def]
    """As `_list_near`, each pair within the range of its kinds."""
    row = limits[kinds[place]]
    xi, yi, zi = wrapped[place, 0] - shift[0], wrapped[place, 1] - shift[1], wrapped[place, 2] - shift[2]
    for other in range(begin, end):
        x, y, z = xi - wrapped[other, 0], yi - wrapped[other, 1], zi - wrapped[other, 2]
        if found < places.shape[1]:
            places[0, found] = place
            places[1, found] = other
        found += x * x + y * y + z * z < row[kinds[other]]
    return found


@_compile
def _order_pairs(places, ordered):  # type: ignore[no-untyped-def]
    """Owners and partners of pairs of places, ordered by owner and partner; a counting sort by each."""
    n_pairs = places.shape[1]
    of_owner, of_partner = np.zeros(ordered.shape[0] + 1, np.int64), np.zeros(ordered.shape[0] + 1, np.int64)
    for k in range(n_pairs):
        i, j = ordered[places[0, k]], ordered[places[1, k]]
        if (j > i) != ((i + j) % 2 == 0):
            i, j = j, i
        places[0, k], places[1, k] = i, j
        of_owner[i + 1] += 1
        of_partner[j + 1] += 1
    for i in range(ordered.shape[0]):
        of_owner[i + 1] += of_owner[i]
        of_partner[i + 1] += of_partner[i]
    by_partner = np.empty((2, n_pairs), np.int32)
    for k in range(n_pairs):
        at = of_partner[places[1, k]]
        by_partner[0, at], by_partner[1, at] = places[0, k], places[1, k]
        of_partner[places[1, k]] += 1
    owners, partners = np.empty(n_pairs, np.int32), np.empty(n_pairs, np.int32)
    for k in range(n_pairs):
        at = of_owner[by_partner[0, k]]
        owners[at], partners[at] = by_partner[0, k], by_partner[1, k]
        of_owner[by_partner[0, k]] += 1
    return owners, partners


STRANGERS, INTRA, OWN_IMAGES = 0, 1, 2
"""Kinds of pairs: in different molecules, within one, of a molecule and its periodic image."""


@_compile
def tell_kinds(owners, partners, molecules, whole, half_width):  # type: ignore[no-untyped-def]
    """The kind of each pair, shape (n_pairs,), int8.

    Args:
        owners: Beads, shape (n_pairs,).
        partners: Beads whose nearest image is nearer than `half_width`, shape (n_pairs,).
        molecules: A number for the molecule of each bead, shape (n_beads,).
        whole: Positions of whole molecules [nm], shape (n_beads, 3).
        half_width: Half the smallest width of the box [nm]; infinite without a box.
    """
    limit = half_width * half_width
    kinds = np.zeros(owners.shape[0], np.int8)
    for k in range(owners.shape[0]):
        i, j = owners[k], partners[k]
        if molecules[i] == molecules[j]:
            square = 0.0
            for axis in range(3):
                step = whole[i, axis] - whole[j, axis]
                square += step * step
            kinds[k] = INTRA if square < limit else OWN_IMAGES
    return kinds


@_compile
def drop_excluded(owners, partners, beads, starts, excluded):  # type: ignore[no-untyped-def]
    """The pairs of places whose beads are not excluded: owners and partners, each of shape (n_kept,).

    Args:
        owners: Places, shape (n_pairs,).
        partners: Places, shape (n_pairs,).
        beads: Bead at each place, shape (n_beads,).
        starts: Where the excluded partners of each bead begin, shape (n_beads + 1,).
        excluded: Excluded partners of all beads, one bead after the other.
    """
    kept_owners, kept_partners = np.empty_like(owners), np.empty_like(partners)
    n = 0
    for k in range(owners.shape[0]):
        bead, other = beads[owners[k]], beads[partners[k]]
        is_kept = True
        for place in range(starts[bead], starts[bead + 1]):
            is_kept = is_kept and excluded[place] != other
        kept_owners[n], kept_partners[n] = owners[k], partners[k]
        n += is_kept
    return kept_owners[:n], kept_partners[:n]


@_compile
def has_moved(positions, listed_at, distance):  # type: ignore[no-untyped-def]
    """Whether a bead is `distance` [nm] or more from where it was (or nowhere: not finite)."""
    limit = distance * distance
    for i in range(positions.shape[0]):
        square = 0.0
        for axis in range(3):
            step = positions[i, axis] - listed_at[i, axis]
            square += step * step
        if not square < limit:
            return True
    return False
