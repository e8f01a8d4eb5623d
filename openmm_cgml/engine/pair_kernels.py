"""Compiled loops that evaluate the pair prior from its tables."""

from __future__ import annotations

import numba

from openmm_cgml.caches import keeps_numba_kernels

_compile = numba.njit(
    cache=keeps_numba_kernels(),
    fastmath={"contract", "reassoc", "nsz", "arcp"},
    error_model="numpy",
    boundscheck=False,
    nogil=True,
)


@_compile
def pair_value(distance, knots, start, cutoff):  # type: ignore[no-untyped-def]
    """Energy [kJ/mol] and slope [kJ/mol/nm] of one pair.

    Args:
        distance: [nm].
        knots: Table of the pair's types, (n_knots, 2) float64.
        start: Distance of the first knot [nm].
        cutoff: Distance of the last knot [nm].
    """
    if distance >= cutoff:
        return 0.0, 0.0
    n_knots = knots.shape[0]
    scale = (n_knots - 1) / (cutoff - start)
    if distance <= start:
        slope = knots[0, 1] * scale
        return knots[0, 0] + slope * (distance - start), slope
    place = (distance - start) * scale
    knot = min(int(place), n_knots - 2)
    t = place - knot
    u = 1.0 - t
    low, high, low_slope, high_slope = knots[knot, 0], knots[knot + 1, 0], knots[knot, 1], knots[knot + 1, 1]
    energy = (1.0 + 2.0 * t) * u * u * low + t * u * u * low_slope
    energy += t * t * (3.0 - 2.0 * t) * high - t * t * u * high_slope
    slope = 6.0 * t * u * (high - low) + u * (1.0 - 3.0 * t) * low_slope + t * (3.0 * t - 2.0) * high_slope
    return energy, slope * scale


@_compile
def add_pair_prior(first, second, distances, knots, start, cutoff, bead_types, slopes):  # type: ignore[no-untyped-def]
    """Add dE/dr of each pair to `slopes` and return the energy [kJ/mol].

    Args:
        first, second: Pairs that interact, each once, (p,) integers.
        distances: (p,) float64 [nm].
        knots: Tables, (n_types, n_types, n_knots, 2) float64.
        start: Distance of the first knot [nm].
        cutoff: Distance of the last knot [nm].
        bead_types: Table index of each bead, (n,) integers.
        slopes: Output, (p,) float64 [kJ/mol/nm].
    """
    total = 0.0
    for k in range(first.shape[0]):
        if distances[k] < cutoff:
            energy, slope = pair_value(distances[k], knots[bead_types[first[k]], bead_types[second[k]]], start, cutoff)
            total += energy
            slopes[k] += slope
    return total
