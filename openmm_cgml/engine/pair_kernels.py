"""Compiled loops that evaluate pair priors from their tables.

A table is one cubic polynomial for each interval between two knots. Tables of different pairs of bead types may begin
and end at distances of their own.
"""

from __future__ import annotations

import numba

from openmm_cgml.caches import keeps_numba_kernels

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compile = numba.njit(cache=keeps_numba_kernels(), fastmath=_FAST, error_model="numpy", boundscheck=False, nogil=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", boundscheck=False, inline="always")


@_inline
def _evaluate(distance, start, scale, polynomials):  # type: ignore[no-untyped-def]
    """Energy [kJ/mol] and slope per interval [kJ/mol] at a distance below the cutoff; linear below the first knot."""
    place = (distance - start) * scale
    interval = max(0, min(int(place), polynomials.shape[0] - 1))
    t = place - interval
    a, b, c, d = polynomials[interval, 0], polynomials[interval, 1], polynomials[interval, 2], polynomials[interval, 3]
    if place < 0.0:
        c = d = 0.0
    return a + t * (b + t * (c + t * d)), b + t * (2.0 * c + t * 3.0 * d)


@_compile
def evaluate_table(distances, polynomials, start, scale, cutoff, energies, slopes):  # type: ignore[no-untyped-def]
    """Energy [kJ/mol] and slope [kJ/mol/nm] of pairs of two types, zero from the cutoff on.

    Args:
        distances: (p,) float64 [nm].
        polynomials: Coefficients of the table of the two types, (n_intervals, 4) float64 [kJ/mol].
        start: Distance of the first knot [nm].
        scale: Intervals per distance [1/nm].
        cutoff: Distance of the last knot [nm].
        energies: Output, (p,) float64.
        slopes: Output, (p,) float64.
    """
    for k in range(distances.shape[0]):
        energies[k] = slopes[k] = 0.0
        if distances[k] < cutoff:
            energies[k], slope = _evaluate(distances[k], start, scale, polynomials)
            slopes[k] = slope * scale


@_compile
def add_table_forces(first, second, vectors, distances, rows, n_types, polynomials, ranges, forces):  # type: ignore[no-untyped-def]
    """Add the forces of pairs to `forces` and return their energy [kJ/mol].

    Args:
        first: First beads, (p,) integers; those of a bead follow each other, for speed.
        second: Second beads, (p,) integers.
        vectors: From second to first, (p, 3) float64 [nm].
        distances: (p,) float64 [nm]; pairs at or beyond the cutoff add nothing.
        rows: Row of each bead in the tables, (n,) integers.
        n_types: Number of rows.
        polynomials: Coefficients of the tables of rows a and b at a * n_types + b, (n_types^2, n_intervals, 4) float64.
        ranges: First knot [nm], intervals per distance [1/nm] and cutoff [nm] of each, (n_types^2, 3) float64.
        forces: Changed in place, (n, 3) float64 [kJ/mol/nm].
    """
    total = x = y = z = 0.0
    current = first[0] if first.shape[0] > 0 else 0
    for k in range(first.shape[0]):
        i, j = first[k], second[k]
        if i != current:  # the sum of one bead's forces stays in registers
            forces[current, 0] += x
            forces[current, 1] += y
            forces[current, 2] += z
            x = y = z = 0.0
            current = i
        table = rows[i] * n_types + rows[j]
        if distances[k] < ranges[table, 2]:
            energy, slope = _evaluate(distances[k], ranges[table, 0], ranges[table, 1], polynomials[table])
            total += energy
            push = -slope * ranges[table, 1] / distances[k]
            fx, fy, fz = push * vectors[k, 0], push * vectors[k, 1], push * vectors[k, 2]
            x += fx
            y += fy
            z += fz
            forces[j, 0] -= fx
            forces[j, 1] -= fy
            forces[j, 2] -= fz
    if first.shape[0] > 0:
        forces[current, 0] += x
        forces[current, 1] += y
        forces[current, 2] += z
    return total
