"""Compiled loops that place sites by their beads, evaluate listed pairs of them, and carry forces to the beads."""

from __future__ import annotations

import math

import numba
import numpy as np

from openmm_cgml.caches import keeps_numba_kernels
from openmm_cgml.engine.vector_kernels import cross, nearest
from openmm_cgml.potentials.sites import SHORTEST_BISECTOR, SMALLEST_NORMAL

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compile = numba.njit(cache=keeps_numba_kernels(), fastmath=_FAST, error_model="numpy", boundscheck=False, nogil=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", boundscheck=False, inline="always")

_LENGTH = SHORTEST_BISECTOR**2
_AREA = SMALLEST_NORMAL**2
_BLOCK = 512
_SHORTEST = 1e-6  # nm
N_AXES = 14
"""Numbers kept of a local frame: u, v, x, z, and one over what x and z were divided by."""


@_compile
def place_sites(positions, box, is_periodic, frames, weights, starts, local, axes, sites):  # type: ignore[no-untyped-def]
    """Fill in local frames and site positions.

    Args:
        positions: Bead positions, (n_beads, 3) float64 [nm].
        box: Reduced box vectors, (3, 3) float64 [nm].
        is_periodic: Whether to use the box.
        frames: Owner, first and second other bead of each local frame, (n_frames, 3) integers.
        weights: c of each local frame, (n_frames,) float64.
        starts: First site of each local frame, and their number, (n_frames + 1,) integers.
        local: Positions in the local frames, (n_sites, 3) float64 [nm].
        axes: Output, (n_frames, N_AXES) float64.
        sites: Output, (n_sites, 3) float64 [nm].
    """
    for f in range(frames.shape[0]):
        o, a, b, c = frames[f, 0], frames[f, 1], frames[f, 2], weights[f]
        ox, oy, oz = positions[o, 0], positions[o, 1], positions[o, 2]
        ux, uy, uz = nearest(positions[a, 0] - ox, positions[a, 1] - oy, positions[a, 2] - oz, box, is_periodic)
        vx, vy, vz = nearest(positions[b, 0] - ox, positions[b, 1] - oy, positions[b, 2] - oz, box, is_periodic)
        xx, xy, xz = ux + c * vx, uy + c * vy, uz + c * vz
        zx, zy, zz = cross(ux, uy, uz, vx, vy, vz)
        length = 1.0 / math.sqrt(xx * xx + xy * xy + xz * xz + _LENGTH)
        area = 1.0 / math.sqrt(zx * zx + zy * zy + zz * zz + _AREA)
        xx, xy, xz = xx * length, xy * length, xz * length
        zx, zy, zz = zx * area, zy * area, zz * area
        yx, yy, yz = cross(zx, zy, zz, xx, xy, xz)
        axes[f, 0], axes[f, 1], axes[f, 2] = ux, uy, uz
        axes[f, 3], axes[f, 4], axes[f, 5] = vx, vy, vz
        axes[f, 6], axes[f, 7], axes[f, 8] = xx, xy, xz
        axes[f, 9], axes[f, 10], axes[f, 11] = zx, zy, zz
        axes[f, 12], axes[f, 13] = length, area
        for s in range(starts[f], starts[f + 1]):
            p, q, r = local[s, 0], local[s, 1], local[s, 2]
            sites[s, 0] = ox + p * xx + q * yx + r * zx
            sites[s, 1] = oy + p * xy + q * yy + r * zy
            sites[s, 2] = oz + p * xz + q * yz + r * zz


@_compile
def carry_forces(frames, weights, starts, local, axes, site_forces, forces):  # type: ignore[no-untyped-def]
    """Add what forces on sites are on the beads, by the chain rule.

    Args:
        frames, weights, starts, local, axes: As in `place_sites`, which fills in `axes`.
        site_forces: (n_sites, 3) float64 [kJ/mol/nm].
        forces: Changed in place, (n_beads, 3) float64 [kJ/mol/nm].
    """
    for f in range(frames.shape[0]):
        tx = ty = tz = px = py = pz = qx = qy = qz = rx = ry = rz = 0.0
        for s in range(starts[f], starts[f + 1]):
            fx, fy, fz = site_forces[s, 0], site_forces[s, 1], site_forces[s, 2]
            p, q, r = local[s, 0], local[s, 1], local[s, 2]
            tx += fx
            ty += fy
            tz += fz
            px += p * fx
            py += p * fy
            pz += p * fz
            qx += q * fx
            qy += q * fy
            qz += q * fz
            rx += r * fx
            ry += r * fy
            rz += r * fz
        xx, xy, xz = axes[f, 6], axes[f, 7], axes[f, 8]
        zx, zy, zz = axes[f, 9], axes[f, 10], axes[f, 11]
        ax, ay, az = cross(qx, qy, qz, zx, zy, zz)
        bx, by, bz = cross(xx, xy, xz, qx, qy, qz)
        ax, ay, az = _project(px + ax, py + ay, pz + az, xx, xy, xz, axes[f, 12])
        bx, by, bz = _project(rx + bx, ry + by, rz + bz, zx, zy, zz, axes[f, 13])
        ux, uy, uz = cross(axes[f, 3], axes[f, 4], axes[f, 5], bx, by, bz)
        vx, vy, vz = cross(bx, by, bz, axes[f, 0], axes[f, 1], axes[f, 2])
        c = weights[f]
        ux, uy, uz = ux + ax, uy + ay, uz + az
        vx, vy, vz = vx + c * ax, vy + c * ay, vz + c * az
        _add(forces, frames[f, 0], tx - ux - vx, ty - uy - vy, tz - uz - vz)
        _add(forces, frames[f, 1], ux, uy, uz)
        _add(forces, frames[f, 2], vx, vy, vz)


@_inline
def _project(gx, gy, gz, x, y, z, inverse):  # type: ignore[no-untyped-def]
    """What a gradient by an axis is by the vector that was normalized to it."""
    along = gx * x + gy * y + gz * z
    return (gx - along * x) * inverse, (gy - along * y) * inverse, (gz - along * z) * inverse


@_inline
def _add(forces, bead, x, y, z):  # type: ignore[no-untyped-def]
    forces[bead, 0] += x
    forces[bead, 1] += y
    forces[bead, 2] += z


@_compile
def add_listed_forces(  # type: ignore[no-untyped-def]
    positions, owners, partners, tables, box, is_periodic, polynomials, ranges, forces
):
    """Add the forces of listed pairs that are within their cutoff and return their energy [kJ/mol].

    Tables are over the squared distance, which needs no root. Pairs are taken in blocks that stay in the cache: first
    all distances in vector code, then those within their cutoff are picked without a branch, which no processor could
    predict, then they are evaluated.

    Args:
        positions: (3, n) float64 [nm].
        owners: First points of the pairs, (p,) integers; those of a point follow each other.
        partners: Second points, (p,) integers.
        tables: Table of each pair, (p,) integers.
        box: Reduced box vectors, (3, 3) float64 [nm].
        is_periodic: Whether to use the box.
        polynomials: Of each table, (n_tables, n_intervals, 4) float64; see `PairTable.square_tables`.
        ranges: First knot [nm^2], intervals per squared distance [1/nm^2], squared cutoff [nm^2] and first knot [nm] of
            each, (n_types^2, 4) float64.
        forces: Changed in place, (n, 3) float64 [kJ/mol/nm].
    """
    first = np.empty(_BLOCK, np.int64)
    x, y, z, squares = np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK), np.empty(_BLOCK)
    total = fx = fy = fz = 0.0
    current = owners[0] if owners.shape[0] > 0 else 0
    for begin in range(0, owners.shape[0], _BLOCK):
        n = min(_BLOCK, owners.shape[0] - begin)
        _measure(positions, owners[begin : begin + n], partners[begin : begin + n], box, is_periodic, x, y, z, squares)
        n_near = 0
        for k in range(n):
            first[n_near] = k
            n_near += squares[k] < ranges[tables[begin + k], 2]
        for m in range(n_near):
            k = first[m]
            i, j, table = owners[begin + k], partners[begin + k], tables[begin + k]
            if i != current:  # the sum of one point's forces stays in registers
                _add(forces, current, fx, fy, fz)
                fx = fy = fz = 0.0
                current = i
            energy, slope = _evaluate_square(squares[k], ranges[table], polynomials[table])
            total += energy
            push = -2.0 * slope
            px, py, pz = push * x[k], push * y[k], push * z[k]
            fx += px
            fy += py
            fz += pz
            _add(forces, j, -px, -py, -pz)
    if owners.shape[0] > 0:
        _add(forces, current, fx, fy, fz)
    return total


@_compile
def _measure(positions, owners, partners, box, is_periodic, x, y, z, squares):  # type: ignore[no-untyped-def]
    """Fill in vectors from second to first points [nm] and their squares; a loop that is compiled to vector code."""
    xx, yx, yy, zx, zy, zz = box[0, 0], box[1, 0], box[1, 1], box[2, 0], box[2, 1], box[2, 2]
    ix, iy, iz = (1 / xx, 1 / yy, 1 / zz) if is_periodic else (0.0, 0.0, 0.0)
    for k in range(owners.shape[0]):
        i, j = owners[k], partners[k]
        dx = positions[0, i] - positions[0, j]
        dy = positions[1, i] - positions[1, j]
        dz = positions[2, i] - positions[2, j]
        shift = np.rint(dz * iz)
        dx -= shift * zx
        dy -= shift * zy
        dz -= shift * zz
        shift = np.rint(dy * iy)
        dx -= shift * yx
        dy -= shift * yy
        dx -= np.rint(dx * ix) * xx
        x[k], y[k], z[k] = dx, dy, dz
        squares[k] = dx * dx + dy * dy + dz * dz


@_inline
def _evaluate_square(square, ranges, polynomials):  # type: ignore[no-untyped-def]
    """Energy [kJ/mol], and its slope by the squared distance [kJ/mol/nm^2]; below the first knot linear in r."""
    place = (square - ranges[0]) * ranges[1]
    interval = max(0, min(int(place), polynomials.shape[0] - 1))
    t = place - interval
    a, b, c, d = polynomials[interval, 0], polynomials[interval, 1], polynomials[interval, 2], polynomials[interval, 3]
    slope = ranges[1] * (b + t * (2.0 * c + t * 3.0 * d))
    if place < 0.0:
        distance = math.sqrt(square)
        by_distance = 2.0 * ranges[3] * ranges[1] * b
        return a + (distance - ranges[3]) * by_distance, by_distance / (2.0 * max(distance, _SHORTEST))
    return a + t * (b + t * (c + t * d)), slope


@_compile
def drop_excluded_sites(owners, partners, sites, molecules, starts, excluded):  # type: ignore[no-untyped-def]
    """The pairs of places whose sites are not excluded, as `cell_list.drop_excluded`.

    Only sites of one molecule can be excluded, which most pairs are not.

    Args:
        owners: Places, (p,) integers.
        partners: Places, (p,) integers.
        sites: Site at each place, (n,) integers.
        molecules: Molecule of each site, (n,) integers.
        starts: Where the excluded partners of each site begin, (n + 1,) integers.
        excluded: Excluded partners of all sites, one site after the other.
    """
    kept_owners, kept_partners = np.empty_like(owners), np.empty_like(partners)
    n = 0
    for k in range(owners.shape[0]):
        site, other = sites[owners[k]], sites[partners[k]]
        is_kept = True
        if molecules[site] == molecules[other]:
            for place in range(starts[site], starts[site + 1]):
                is_kept = is_kept and excluded[place] != other
        kept_owners[n], kept_partners[n] = owners[k], partners[k]
        n += is_kept
    return kept_owners[:n], kept_partners[:n]
