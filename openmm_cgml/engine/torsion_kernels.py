"""A compiled loop over torsions that fade out where beads come into line, see `potentials.FadingTorsion`."""

from __future__ import annotations

import numba

from openmm_cgml.caches import keeps_numba_kernels

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compile = numba.njit(cache=keeps_numba_kernels(), fastmath=_FAST, error_model="numpy", boundscheck=False, nogil=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", boundscheck=False, inline="always")


@_inline
def _difference(positions, i, j, box, periodic, vector):  # type: ignore[no-untyped-def]
    """Fill in the vector from bead i to bead j, to the nearest image by OpenMM's rule for reduced boxes."""
    for x in range(3):
        vector[x] = positions[j, x] - positions[i, x]
    if periodic:
        for axis in (2, 1, 0):
            shift = round(vector[axis] / box[axis, axis])
            for x in range(3):
                vector[x] -= shift * box[axis, x]


@_inline
def _cross(a, b, result):  # type: ignore[no-untyped-def]
    result[0] = a[1] * b[2] - a[2] * b[1]
    result[1] = a[2] * b[0] - a[0] * b[2]
    result[2] = a[0] * b[1] - a[1] * b[0]


@_inline
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@_compile
def add_torsions(indices, powers, full_square, lost, positions, box, periodic, work, forces):  # type: ignore[no-untyped-def]
    """Energy [kJ/mol] of all torsions; their forces are added.

    With b1, b2, b3 the vectors along the four beads, m = b1 x b2 and n = b2 x b3, the energy is a function of m, n and
    the squared lengths of the three, and its derivatives by b1, b2 and b3 make the forces.

    Args:
        indices: (n_terms, 4) integers, beads in the order of their bonds.
        powers: (n_terms, n) coefficients of the powers of cos(phi) [kJ/mol].
        full_square: Square of the sine of an angle from which on a torsion acts in full.
        lost: Square of the product of both sines below which there is no direction.
        positions: (n_beads, 3) [nm].
        box: (3, 3) [nm]; not used without periodicity.
        periodic: Whether to use the box.
        work: (10, 3) for vectors.
        forces: (n_beads, 3) [kJ/mol/nm], changed in place.
    """
    b1, b2, b3, m, n, by_m, by_n, c1, c2, c3 = work
    total = 0.0
    for term in range(indices.shape[0]):
        i, j, k, l = indices[term]  # noqa: E741 -- as everyone calls them
        _difference(positions, i, j, box, periodic, b1)
        _difference(positions, j, k, box, periodic, b2)
        _difference(positions, k, l, box, periodic, b3)
        _cross(b1, b2, m)
        _cross(b2, b3, n)
        aa, bb, dd, mm, nn = _dot(b1, b1), _dot(b2, b2), _dot(b3, b3), _dot(m, m), _dot(n, n)
        if mm * nn <= lost * aa * bb * bb * dd:
            continue
        cosine = _dot(m, n) / (mm * nn) ** 0.5
        value, slope = 0.0, 0.0
        for power in range(powers.shape[1] - 1, -1, -1):
            slope = slope * cosine + value
            value = value * cosine + powers[term, power]
        scale_m, scale_n = 1.0 / (aa * bb * full_square), 1.0 / (bb * dd * full_square)
        x, y = min(1.0, mm * scale_m), min(1.0, nn * scale_n)
        s, t = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y)
        by_x, by_y = value * t * 6.0 * x * (1.0 - x), value * s * 6.0 * y * (1.0 - y)
        by_cosine = s * t * slope
        total += s * t * value
        both = by_cosine / (mm * nn) ** 0.5
        for d in range(3):
            by_m[d] = both * n[d] + (2.0 * by_x * scale_m - by_cosine * cosine / mm) * m[d]
            by_n[d] = both * m[d] + (2.0 * by_y * scale_n - by_cosine * cosine / nn) * n[d]
        _cross(b2, by_m, c1)
        _cross(by_m, b1, c2)
        _cross(b3, by_n, c3)
        for d in range(3):
            c2[d] += c3[d]
        _cross(by_n, b2, c3)
        for d in range(3):
            c1[d] -= 2.0 * by_x * x / aa * b1[d]
            c2[d] -= 2.0 * (by_x * x + by_y * y) / bb * b2[d]
            c3[d] -= 2.0 * by_y * y / dd * b3[d]
            forces[i, d] += c1[d]
            forces[j, d] += c2[d] - c1[d]
            forces[k, d] += c3[d] - c2[d]
            forces[l, d] -= c3[d]
    return total
