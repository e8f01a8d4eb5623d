"""Periodic boxes: minimum images, wrapping, and the widths that bound a distance analysis.

Boxes are OpenMM's: rows a, b, c with a along x and b in the xy plane, in reduced form.
"""

from __future__ import annotations

import numpy as np

from openmm_cgml.errors import InputError


def minimum_image(vectors: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """Nearest periodic images of vectors; exact for lengths up to half the smallest width of the box.

    Args:
        vectors: Differences of positions [nm], shape (..., 3).
        box: Box vectors as rows [nm], shape (3, 3) or with leading axes that broadcast, or None for no box.
    """
    images = np.array(vectors, dtype=np.float64)
    if box is None:
        return images
    for axis in (2, 1, 0):
        row = np.asarray(box, dtype=np.float64)[..., axis, :]
        images -= np.rint(images[..., axis] / row[..., axis])[..., None] * row
    return images


def pair_distances(positions: np.ndarray, box: np.ndarray | None, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Distances of pairs at their nearest images [nm], shape (n_pairs,); as `minimum_image`, for many pairs at once.

    Args:
        positions: Positions [nm], shape (n, 3).
        box: Box vectors as rows [nm], shape (3, 3), or None for no box.
        i: First points of the pairs, shape (n_pairs,).
        j: Second points of the pairs, shape (n_pairs,).
    """
    columns = np.ascontiguousarray(np.asarray(positions, dtype=np.float64).T)
    x, y, z = differences = [column[i] - column[j] for column in columns]
    if box is not None:
        for axis in (2, 1, 0):
            images = np.rint(differences[axis] / box[axis, axis])
            for k in np.flatnonzero(box[axis, : axis + 1]):
                differences[k] -= images * box[axis, k]
    distances: np.ndarray = np.sqrt(x * x + y * y + z * z)
    return distances


def wrap(positions: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Positions moved into the first box in double precision.

    Args:
        positions: Positions [nm], shape (n, 3).
        box: Box vectors as rows [nm], shape (3, 3).
    """
    fractions = np.asarray(positions, dtype=np.float64) @ np.linalg.inv(box)
    fractions -= np.floor(fractions)
    fractions[fractions >= 1.0] = 0.0  # a tiny negative fraction rounds up to one
    wrapped: np.ndarray = fractions @ box
    return wrapped


def box_widths(box: np.ndarray) -> np.ndarray:
    """Distances between opposite faces [nm], shape (..., 3).

    Args:
        box: Box vectors as rows [nm], shape (..., 3, 3).
    """
    return 1.0 / np.linalg.norm(np.linalg.inv(np.asarray(box, dtype=np.float64)), axis=-2)


def check_r_max(r_max: float, box: np.ndarray | None) -> None:
    """Refuse a distance range that reaches beyond the nearest image.

    Args:
        r_max: Largest distance asked for [nm].
        box: Box vectors [nm], shape (n_frames, 3, 3), or None.

    Raises:
        InputError: If `r_max` is not positive or larger than half the smallest width of any frame's box.
    """
    if not (np.isfinite(r_max) and r_max > 0):
        raise InputError(f"r_max is {r_max} nm; it must be a positive length")
    if box is None:
        return
    half = box_widths(box).min(axis=-1) / 2
    if r_max > half.min() * (1 + 1e-12):
        raise InputError(
            f"r_max {r_max:g} nm is more than half the smallest box width, {half.min():.4f} nm in frame "
            f"{int(half.argmin())}; pairs would be counted with the wrong image: use a smaller r_max or a larger box"
        )
