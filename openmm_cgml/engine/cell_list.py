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


def perpendicular_widths(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances between opposite faces of the box (3, 3) [nm], shape (3,)."""
    areas = [np.linalg.norm(np.cross(box[(k + 1) % 3], box[(k + 2) % 3])) for k in range(3)]
    widths: NDArray[np.float64] = abs(np.linalg.det(box)) / np.array(areas)
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
    counts, wrapped, ordered, starts, cells = sort_into_cells(positions, box, reach, n_replicas)
    capacity = 16 * len(positions) + 64
    while True:
        owners, partners = np.empty(capacity, np.int32), np.empty(capacity, np.int32)
        n = _list_pairs(wrapped, box, reach, is_periodic, counts, ordered, starts, cells, n_replicas, owners, partners)
        if n <= capacity:
            return owners[:n], partners[:n]
        capacity = n + n // 16


def sort_into_cells(
    positions: NDArray[np.float64], box: NDArray[np.float64], reach: float, n_replicas: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Cells along each box vector; positions inside the box and beads, both in the order of their cells; start of each
    cell in that order; cell of each bead.

    Cells are numbered along the last box vector first; those of a replica follow those of the one before.
    """
    widths = perpendicular_widths(box)
    counts = np.maximum(np.floor(widths / reach), 1).astype(np.int64)
    most = max(27.0, _MAX_CELLS_PER_BEAD * len(positions) / n_replicas)
    while counts.prod(dtype=np.float64) > most:  # beads that are few and far between
        counts[np.argmax(counts)] = max(1, counts.max() // 2)
    n_cells = int(counts.prod())
    cells = np.empty(len(positions), np.int32)
    starts = np.zeros(n_cells * n_replicas + 1, np.int32)
    ordered = np.empty(len(positions), np.int32)
    wrapped = np.empty_like(positions)
    _fill_cells(positions, box, np.linalg.inv(box), counts, n_cells, n_replicas, wrapped, cells, starts, ordered)
    return counts, wrapped[ordered], ordered, starts, cells


@_compile
def _fill_cells(  # type: ignore[no-untyped-def]
    positions, box, inverse, counts, n_cells, n_replicas, wrapped, cells, starts, ordered
):
    n = positions.shape[0]
    per_replica = n // n_replicas
    index = np.empty(3, np.int64)
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
    wrapped, box, reach, is_periodic, counts, ordered, starts, cells, n_replicas, owners, partners
):
    """Fill `owners` and `partners` as far as they reach; returns the number of pairs there are.

    `wrapped` holds the positions inside the box in the order of the cells.
    """
    n = wrapped.shape[0]
    n_cells = counts[0] * counts[1] * counts[2]
    capacity = owners.shape[0]
    limit = reach * reach
    place_of = np.empty(n, np.int32)
    for place in range(n):
        place_of[ordered[place]] = place
    found = 0
    for i in range(n):
        begin = found
        base = (cells[i] // n_cells) * n_cells
        cell = cells[i] - base
        cx = cell // (counts[1] * counts[2])
        cy = cell // counts[2] % counts[1]
        cz = cell % counts[2]
        at = place_of[i]
        for x in range(cx - 1, cx + 2):
            shift_x = 1 if x == counts[0] else (-1 if x < 0 else 0)
            for y in range(cy - 1, cy + 2):
                shift_y = 1 if y == counts[1] else (-1 if y < 0 else 0)
                for z in range(cz - 1, cz + 2):
                    shift_z = 1 if z == counts[2] else (-1 if z < 0 else 0)
                    if not is_periodic and (shift_x != 0 or shift_y != 0 or shift_z != 0):
                        continue
                    other = (x - shift_x * counts[0]) * counts[1] + y - shift_y * counts[1]
                    other = base + other * counts[2] + z - shift_z * counts[2]
                    # the other cell's beads are seen at the image where the cells are neighbors
                    xi = wrapped[at, 0] - shift_x * box[0, 0] - shift_y * box[1, 0] - shift_z * box[2, 0]
                    yi = wrapped[at, 1] - shift_y * box[1, 1] - shift_z * box[2, 1]
                    zi = wrapped[at, 2] - shift_z * box[2, 2]
                    for place in range(starts[other], starts[other + 1]):
                        rx, ry, rz = xi - wrapped[place, 0], yi - wrapped[place, 1], zi - wrapped[place, 2]
                        if rx * rx + ry * ry + rz * rz < limit:
                            j = ordered[place]
                            if j != i and (j > i) == ((i + j) % 2 == 0):
                                if found < capacity:
                                    owners[found] = i
                                    partners[found] = j
                                found += 1
        if found <= capacity:
            partners[begin:found].sort()
    return found


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
