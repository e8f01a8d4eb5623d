"""Compiled loops that place sites by their beads, evaluate listed pairs of them, and carry forces to the beads."""

from __future__ import annotations

import math

import numba
import numpy as np

from openmm_cgml.caches import keeps_numba_kernels
from openmm_cgml.engine.pair_kernels import evaluate_interval
from openmm_cgml.potentials.sites import SHORTEST_BISECTOR, SMALLEST_NORMAL

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compile = numba.njit(cache=keeps_numba_kernels(), fastmath=_FAST, error_model="numpy", boundscheck=False, nogil=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", boundscheck=False, inline="always")

_LENGTH = SHORTEST_BISECTOR**2
_AREA = SMALLEST_NORMAL**2
N_AXES = 14
"""Numbers kept of a local frame: u, v, x, z, and one over what x and z were divided by."""


@_inline
def _nearest(x, y, z, box, is_periodic):  # type: ignore[no-untyped-def]
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
def _cross(ax, ay, az, bx, by, bz):  # type: ignore[no-untyped-def]
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


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
        ux, uy, uz = _nearest(positions[a, 0] - ox, positions[a, 1] - oy, positions[a, 2] - oz, box, is_periodic)
        vx, vy, vz = _nearest(positions[b, 0] - ox, positions[b, 1] - oy, positions[b, 2] - oz, box, is_periodic)
        xx, xy, xz = ux + c * vx, uy + c * vy, uz + c * vz
        zx, zy, zz = _cross(ux, uy, uz, vx, vy, vz)
        length = 1.0 / math.sqrt(xx * xx + xy * xy + xz * xz + _LENGTH)
        area = 1.0 / math.sqrt(zx * zx + zy * zy + zz * zz + _AREA)
        xx, xy, xz = xx * length, xy * length, xz * length
        zx, zy, zz = zx * area, zy * area, zz * area
        yx, yy, yz = _cross(zx, zy, zz, xx, xy, xz)
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
        ax, ay, az = _cross(qx, qy, qz, zx, zy, zz)
        bx, by, bz = _cross(xx, xy, xz, qx, qy, qz)
        ax, ay, az = _project(px + ax, py + ay, pz + az, xx, xy, xz, axes[f, 12])
        bx, by, bz = _project(rx + bx, ry + by, rz + bz, zx, zy, zz, axes[f, 13])
        ux, uy, uz = _cross(axes[f, 3], axes[f, 4], axes[f, 5], bx, by, bz)
        vx, vy, vz = _cross(bx, by, bz, axes[f, 0], axes[f, 1], axes[f, 2])
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
    positions, owners, partners, box, is_periodic, rows, n_types, polynomials, ranges, forces
):
    """Add the forces of listed pairs that are within their cutoff and return their energy [kJ/mol].

    In one pass over the list, since most pairs that are listed are near.

    Args:
        positions: (n, 3) float64 [nm].
        owners: First points of the pairs, (p,) integers; those of a point follow each other.
        partners: Second points, (p,) integers.
        box: Reduced box vectors, (3, 3) float64 [nm].
        is_periodic: Whether to use the box.
        rows: Row of each point in the tables, (n,) integers.
        n_types: Number of rows.
        polynomials: As for `pair_kernels.add_table_forces`.
        ranges: As for `pair_kernels.add_table_forces`.
        forces: Changed in place, (n, 3) float64 [kJ/mol/nm].
    """
    xx, yx, yy, zx, zy, zz = box[0, 0], box[1, 0], box[1, 1], box[2, 0], box[2, 1], box[2, 2]
    ix, iy, iz = 1 / xx, 1 / yy, 1 / zz
    total = fx = fy = fz = 0.0
    current = owners[0] if owners.shape[0] > 0 else 0
    for k in range(owners.shape[0]):
        i, j = owners[k], partners[k]
        if i != current:  # the sum of one point's forces stays in registers
            _add(forces, current, fx, fy, fz)
            fx = fy = fz = 0.0
            current = i
        x = positions[i, 0] - positions[j, 0]
        y = positions[i, 1] - positions[j, 1]
        z = positions[i, 2] - positions[j, 2]
        if is_periodic:
            shift = np.rint(z * iz)
            x -= shift * zx
            y -= shift * zy
            z -= shift * zz
            shift = np.rint(y * iy)
            x -= shift * yx
            y -= shift * yy
            x -= np.rint(x * ix) * xx
        square = x * x + y * y + z * z
        table = rows[i] * n_types + rows[j]
        if square < ranges[table, 2] * ranges[table, 2]:
            distance = math.sqrt(square)
            energy, slope = evaluate_interval(distance, ranges[table, 0], ranges[table, 1], polynomials[table])
            total += energy
            push = -slope * ranges[table, 1] / distance
            x, y, z = push * x, push * y, push * z
            fx += x
            fy += y
            fz += z
            _add(forces, j, -x, -y, -z)
    if owners.shape[0] > 0:
        _add(forces, current, fx, fy, fz)
    return total


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
