"""Vectors in compiled loops."""

from __future__ import annotations

import numba
import numpy as np

_inline = numba.njit(
    fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy", boundscheck=False, inline="always"
)


@_inline
def nearest(x, y, z, box, is_periodic):  # type: ignore[no-untyped-def]
    """The nearest image of a vector, by OpenMM's rule for reduced boxes."""
    if is_periodic:
        shift = np.rint(z / box[2, 2])
        x -= shift * box[2, 0]
        y -= shift * box[2, 1]
        z -= shift * box[2, 2]
        shift = np.rint(y / box[1, 1])
        x -= shift * box[1, 0]
        y -= shift * box[1, 1]
        x -= np.rint(x / box[0, 0]) * box[0, 0]
    return x, y, z


@_inline
def cross(ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]
    """The product of two vectors that stands on both."""
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
