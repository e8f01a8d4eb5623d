"""Compiled loops that evaluate three-body priors on pairs of beads, by way of the moments of each bead's neighbors.

The energy is half of the sum over beads of moments times weights times moments, less the same for each neighbor alone,
see `openmm_cgml.potentials.ThreeBody`. So it takes two loops over pairs, and one over beads between them.
"""

from __future__ import annotations

import numba
import numpy as np

from openmm_cgml.caches import keeps_numba_kernels
from openmm_cgml.potentials.moment_tensors import FIRST_POWER

_FAST = {"contract", "reassoc", "nsz", "arcp"}
_compile = numba.njit(cache=keeps_numba_kernels(), fastmath=_FAST, error_model="numpy", boundscheck=False, nogil=True)
_inline = numba.njit(fastmath=_FAST, error_model="numpy", boundscheck=False, inline="always")


@_inline
def _fill_monomials(direction, parents, axes, values):  # type: ignore[no-untyped-def]
    """Monomials of a unit vector, each from one before it."""
    values[0] = 1.0
    for m in range(1, values.shape[0]):
        values[m] = values[parents[m]] * direction[axes[m]]


@_compile
def pick_near(distances, cutoff, near):  # type: ignore[no-untyped-def]
    """Fill in the numbers of pairs within the cutoff, and return how many there are.

    It has no branch, which no processor could predict.

    Args:
        distances: (p,) float64 [nm].
        cutoff: [nm].
        near: Output, (p + 1,) integers.
    """
    count = 0
    for p in range(distances.shape[0]):
        near[count] = p
        count += distances[p] < cutoff
    return count


@_compile
def add_moments(near, first, second, vectors, distances, types, cutoff, n_max, parents, axes, signs, moments):  # type: ignore[no-untyped-def]
    """Add what each bead of a pair is to the moments of the other.

    Args:
        near: Numbers of the pairs within the cutoff, (q,) integers.
        first: First beads, (p,) integers.
        second: Second beads, (p,) integers.
        vectors: From second to first, (p, 3) float64 [nm].
        distances: (p,) float64 [nm].
        types: Type of each bead, (n,) integers.
        cutoff: [nm].
        n_max: Number of radial functions.
        parents: See `Monomials`, (m,) integers.
        axes: See `Monomials`, (m,) integers.
        signs: 1 for monomials of even degree, -1 for others, (m,) float64.
        moments: Changed in place, (n, n_types * n_max, m) float64.
    """
    n_monomials = parents.shape[0]
    values, direction = np.empty(n_monomials), np.empty(3)
    for p in near:
        i, j = first[p], second[p]
        inverse = 1.0 / distances[p]
        direction[0], direction[1], direction[2] = (
            vectors[p, 0] * inverse, vectors[p, 1] * inverse, vectors[p, 2] * inverse
        )  # fmt: skip
        _fill_monomials(direction, parents, axes, values)
        inside = 1.0 - distances[p] / cutoff
        radial = inside ** (FIRST_POWER - 1)
        for n in range(n_max):
            radial *= inside
            of_i, of_j = moments[j, types[i] * n_max + n], moments[i, types[j] * n_max + n]
            for m in range(n_monomials):
                value = radial * values[m]
                of_i[m] += value
                of_j[m] += signs[m] * value


@_compile
def weigh_moments(begin, end, types, weights, moments, gradients):  # type: ignore[no-untyped-def]
    """Fill in the derivatives of the energy by the moments of some beads, and return the energy [kJ/mol].

    Args:
        begin: First bead.
        end: Bead after the last.
        types: Type of each bead, (n,) integers.
        weights: `ThreeBody.by_monomials`, (n_types, c, c, m) float64 [kJ/mol].
        moments: Those that each thread has added, (n_threads, n, c, m) float64.
        gradients: Output, (n, c, m) float64 [kJ/mol].
    """
    n_threads, n_channels, n_monomials = moments.shape[0], moments.shape[2], moments.shape[3]
    total = 0.0
    own = np.empty((n_channels, n_monomials))
    for i in range(begin, end):
        for c in range(n_channels):
            for m in range(n_monomials):
                own[c, m] = moments[0, i, c, m]
                gradients[i, c, m] = 0.0
        for t in range(1, n_threads):
            for c in range(n_channels):
                for m in range(n_monomials):
                    own[c, m] += moments[t, i, c, m]
        for c in range(n_channels):
            for k in range(n_channels):
                for m in range(n_monomials):
                    gradients[i, c, m] += weights[types[i], c, k, m] * own[k, m]
            for m in range(n_monomials):
                total += 0.5 * gradients[i, c, m] * own[c, m]
    return total


@_compile
def add_three_body_forces(  # type: ignore[no-untyped-def]
    near, first, second, vectors, distances, types, cutoff, n_max, parents, axes, signs, exponents, lowered, degrees,
    gradients, alone, forces
):  # fmt: skip
    """Add the forces of pairs, and return the energy of each neighbor alone, which is too much in the moments [kJ/mol].

    Args:
        near, first, second, vectors, distances, types, cutoff, n_max, parents, axes, signs: As in `add_moments`.
        exponents: See `Monomials`, (m, 3) float64.
        lowered: See `Monomials`, (m, 3) integers.
        degrees: See `Monomials`, (m,) float64.
        gradients: From `weigh_moments`, (n, c, m) float64 [kJ/mol].
        alone: Both orders of `ThreeBody.of_one_neighbor` together, (n_types, n_types, k) float64 [kJ/mol].
        forces: Changed in place, (n, 3) float64 [kJ/mol/nm].
    """
    n_monomials, n_powers = parents.shape[0], alone.shape[2]
    values, weights, direction = np.empty(n_monomials), np.empty(n_monomials), np.empty(3)
    total = 0.0
    for p in near:
        i, j = first[p], second[p]
        inverse = 1.0 / distances[p]
        x, y, z = vectors[p, 0] * inverse, vectors[p, 1] * inverse, vectors[p, 2] * inverse
        direction[0], direction[1], direction[2] = x, y, z
        _fill_monomials(direction, parents, axes, values)
        inside = 1.0 - distances[p] / cutoff
        lower = inside ** (FIRST_POWER - 1)
        slope = 0.0
        weights[:] = 0.0
        for n in range(n_max):
            by_i, by_j = gradients[j, types[i] * n_max + n], gradients[i, types[j] * n_max + n]
            radial, radial_slope = lower * inside, -(n + FIRST_POWER) * lower / cutoff
            lower = radial
            whole = 0.0
            for m in range(n_monomials):
                both = by_i[m] + signs[m] * by_j[m]
                whole += both * values[m]
                weights[m] += radial * both
            slope += radial_slope * whole
        of_one = 0.0
        power = inside ** (2 * FIRST_POWER - 1)
        for k in range(n_powers):
            of_one -= 0.5 * alone[types[i], types[j], k] * (2 * FIRST_POWER + k) * power / cutoff
            power *= inside
            total += 0.5 * alone[types[i], types[j], k] * power
        gx = gy = gz = turning = 0.0
        for m in range(1, n_monomials):
            weight = weights[m]
            gx += weight * exponents[m, 0] * values[lowered[m, 0]]
            gy += weight * exponents[m, 1] * values[lowered[m, 1]]
            gz += weight * exponents[m, 2] * values[lowered[m, 2]]
            turning += weight * degrees[m] * values[m]
        along = slope - of_one - turning * inverse
        fx, fy, fz = along * x + gx * inverse, along * y + gy * inverse, along * z + gz * inverse
        forces[i, 0] -= fx
        forces[i, 1] -= fy
        forces[i, 2] -= fz
        forces[j, 0] += fx
        forces[j, 1] += fy
        forces[j, 2] += fz
    return total
