"""A compiled loop over torsions that fade out where beads come into line, see `potentials.FadingTorsion`."""

from __future__ import annotations

import numba

from openmm_cgml.caches import keeps_numba_kernels
from openmm_cgml.engine.vector_kernels import cross, nearest

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compile = numba.njit(cache=keeps_numba_kernels(), fastmath=_FAST, error_model="numpy", boundscheck=False, nogil=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", boundscheck=False, inline="always")


@_inline
def _between(positions, i, j, box, is_periodic):  # type: ignore[no-untyped-def]
    return nearest(
        positions[j, 0] - positions[i, 0],
        positions[j, 1] - positions[i, 1],
        positions[j, 2] - positions[i, 2],
        box,
        is_periodic,
    )


@_inline
def _add(forces, bead, sign, x, y, z):  # type: ignore[no-untyped-def]
    forces[bead, 0] += sign * x
    forces[bead, 1] += sign * y
    forces[bead, 2] += sign * z


@_compile
def add_torsions(indices, powers, full_square, straight, positions, box, is_periodic, forces):  # type: ignore[no-untyped-def]
    """Energy [kJ/mol] of all torsions; their forces are added.

    With a, b, c the vectors along the four beads, m = a x b and n = b x c, the energy is a function of m, n and the
    squared lengths of the three, and its derivatives by a, b and c make the forces.

    Args:
        indices: (n_terms, 4) integers, beads in the order of their bonds.
        powers: (n_terms, n) coefficients of the powers of cos(phi) [kJ/mol].
        full_square: Square of the sine of an angle from which on a torsion acts in full.
        straight: Product of both sines below which there is no direction.
        positions: (n_beads, 3) [nm].
        box: (3, 3) [nm]; not used without periodicity.
        is_periodic: Whether to use the box.
        forces: (n_beads, 3) [kJ/mol/nm], changed in place.
    """
    total = 0.0
    for term in range(indices.shape[0]):
        i, j, k, l = indices[term]  # noqa: E741 -- as everyone calls them
        ax, ay, az = _between(positions, i, j, box, is_periodic)
        bx, by, bz = _between(positions, j, k, box, is_periodic)
        cx, cy, cz = _between(positions, k, l, box, is_periodic)
        mx, my, mz = cross(ax, ay, az, bx, by, bz)
        nx, ny, nz = cross(bx, by, bz, cx, cy, cz)
        aa, bb, cc = ax * ax + ay * ay + az * az, bx * bx + by * by + bz * bz, cx * cx + cy * cy + cz * cz
        mm, nn = mx * mx + my * my + mz * mz, nx * nx + ny * ny + nz * nz
        if mm * nn <= straight * straight * aa * bb * bb * cc:
            continue
        length = (mm * nn) ** 0.5
        cosine = (mx * nx + my * ny + mz * nz) / length
        value, slope = 0.0, 0.0
        for power in range(powers.shape[1] - 1, -1, -1):
            slope = slope * cosine + value
            value = value * cosine + powers[term, power]
        scale_m, scale_n = 1.0 / (aa * bb * full_square), 1.0 / (bb * cc * full_square)
        x, y = min(1.0, mm * scale_m), min(1.0, nn * scale_n)
        s, t = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y)
        total += s * t * value
        by_x, by_y = value * t * 6.0 * x * (1.0 - x), value * s * 6.0 * y * (1.0 - y)
        by_cosine = s * t * slope
        both = by_cosine / length
        of_m, of_n = 2.0 * by_x * scale_m - by_cosine * cosine / mm, 2.0 * by_y * scale_n - by_cosine * cosine / nn
        ux, uy, uz = both * nx + of_m * mx, both * ny + of_m * my, both * nz + of_m * mz  # by m
        vx, vy, vz = both * mx + of_n * nx, both * my + of_n * ny, both * mz + of_n * nz  # by n
        of_a, of_b, of_c = 2.0 * by_x * x / aa, 2.0 * (by_x * x + by_y * y) / bb, 2.0 * by_y * y / cc
        px, py, pz = cross(bx, by, bz, ux, uy, uz)
        qx, qy, qz = cross(ux, uy, uz, ax, ay, az)
        rx, ry, rz = cross(cx, cy, cz, vx, vy, vz)
        ox, oy, oz = cross(vx, vy, vz, bx, by, bz)
        px, py, pz = px - of_a * ax, py - of_a * ay, pz - of_a * az  # by a
        qx, qy, qz = qx + rx - of_b * bx, qy + ry - of_b * by, qz + rz - of_b * bz  # by b
        ox, oy, oz = ox - of_c * cx, oy - of_c * cy, oz - of_c * cz  # by c
        _add(forces, i, 1.0, px, py, pz)
        _add(forces, j, 1.0, qx - px, qy - py, qz - pz)
        _add(forces, k, 1.0, ox - qx, oy - qy, oz - qz)
        _add(forces, l, -1.0, ox, oy, oz)
    return total
