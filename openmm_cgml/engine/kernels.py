"""Compiled loops over pairs of beads for the CPU."""

from __future__ import annotations

import math

import numba
import numpy as np

_compile = numba.njit(
    cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy", boundscheck=False
)


@_compile
def near_pairs(positions, pairs, box, periodic, cutoff, first, second, vectors, distances):  # type: ignore[no-untyped-def]
    """Fill in the listed pairs that are within `cutoff` now; returns their number.

    Args:
        positions: (n, 3) float64 [nm].
        pairs: Listed pairs, (2, m) int64.
        box: Reduced box vectors, (3, 3) float64 [nm].
        periodic: Whether to use the box.
        cutoff: [nm].
        first, second, vectors, distances: Output, (m,), (m,), (m, 3) float64, (m,) float64.
    """
    count = 0
    limit = cutoff * cutoff
    for k in range(pairs.shape[1]):
        i, j = pairs[0, k], pairs[1, k]
        x = positions[i, 0] - positions[j, 0]
        y = positions[i, 1] - positions[j, 1]
        z = positions[i, 2] - positions[j, 2]
        if periodic:
            shift = np.rint(z / box[2, 2])
            x -= shift * box[2, 0]
            y -= shift * box[2, 1]
            z -= shift * box[2, 2]
            shift = np.rint(y / box[1, 1])
            x -= shift * box[1, 0]
            y -= shift * box[1, 1]
            shift = np.rint(x / box[0, 0])
            x -= shift * box[0, 0]
        square = x * x + y * y + z * z
        if square < limit:
            first[count] = i
            second[count] = j
            vectors[count, 0] = x
            vectors[count, 1] = y
            vectors[count, 2] = z
            distances[count] = math.sqrt(square)
            count += 1
    return count


@_compile
def convolve(first, second, distances, knots, cutoff, h, message):  # type: ignore[no-untyped-def]
    """Add filter times neighbor features to `message` (n, c), for both directions of each pair.

    Args:
        first, second: Pairs, (p,) int64.
        distances: (p,) float64 [nm], all below `cutoff`.
        knots: Filter table, (n_knots, 2, c) float32.
        cutoff: Distance of the last knot [nm].
        h: Features, (n, c) float32.
        message: Output, (n, c) float32.
    """
    n_channels = h.shape[1]
    scale = (knots.shape[0] - 1) / cutoff
    for k in range(first.shape[0]):
        i, j = first[k], second[k]
        place = distances[k] * scale
        knot = min(int(place), knots.shape[0] - 2)
        t = np.float32(place - knot)
        u = np.float32(1.0) - t
        v0 = (np.float32(1.0) + np.float32(2.0) * t) * u * u
        v1 = t * t * (np.float32(3.0) - np.float32(2.0) * t)
        d0 = t * u * u
        d1 = -t * t * u
        low, high = knots[knot], knots[knot + 1]
        for c in range(n_channels):
            f = v0 * low[0, c] + d0 * low[1, c] + v1 * high[0, c] + d1 * high[1, c]
            message[i, c] += f * h[j, c]
            message[j, c] += f * h[i, c]


@_compile
def convolve_slopes(first, second, distances, knots, cutoff, h, grad, slopes):  # type: ignore[no-untyped-def]
    """Add dE/dr of each pair to `slopes` (p,), given the gradient `grad` (n, c) of the energy by the messages."""
    n_channels = h.shape[1]
    scale = (knots.shape[0] - 1) / cutoff
    for k in range(first.shape[0]):
        i, j = first[k], second[k]
        place = distances[k] * scale
        knot = min(int(place), knots.shape[0] - 2)
        t = np.float32(place - knot)
        v1 = np.float32(6.0) * t * (np.float32(1.0) - t)
        d0 = (np.float32(1.0) - t) * (np.float32(1.0) - np.float32(3.0) * t)
        d1 = t * (np.float32(3.0) * t - np.float32(2.0))
        low, high = knots[knot], knots[knot + 1]
        total = np.float32(0.0)
        for c in range(n_channels):
            df = v1 * (high[0, c] - low[0, c]) + d0 * low[1, c] + d1 * high[1, c]
            total += df * (grad[i, c] * h[j, c] + grad[j, c] * h[i, c])
        slopes[k] += total * scale


@_compile
def convolve_back(first, second, distances, knots, cutoff, h, grad, slopes, grad_h):  # type: ignore[no-untyped-def]
    """As `convolve_slopes`, and add the gradient of the energy by the features to `grad_h` (n, c)."""
    n_channels = h.shape[1]
    scale = (knots.shape[0] - 1) / cutoff
    for k in range(first.shape[0]):
        i, j = first[k], second[k]
        place = distances[k] * scale
        knot = min(int(place), knots.shape[0] - 2)
        t = np.float32(place - knot)
        u = np.float32(1.0) - t
        fv0 = (np.float32(1.0) + np.float32(2.0) * t) * u * u
        fv1 = t * t * (np.float32(3.0) - np.float32(2.0) * t)
        fd0 = t * u * u
        fd1 = -t * t * u
        v1 = np.float32(6.0) * t * u
        d0 = u * (np.float32(1.0) - np.float32(3.0) * t)
        d1 = t * (np.float32(3.0) * t - np.float32(2.0))
        low, high = knots[knot], knots[knot + 1]
        total = np.float32(0.0)
        for c in range(n_channels):
            f = fv0 * low[0, c] + fd0 * low[1, c] + fv1 * high[0, c] + fd1 * high[1, c]
            df = v1 * (high[0, c] - low[0, c]) + d0 * low[1, c] + d1 * high[1, c]
            gi, gj = grad[i, c], grad[j, c]
            total += df * (gi * h[j, c] + gj * h[i, c])
            grad_h[j, c] += f * gi
            grad_h[i, c] += f * gj
        slopes[k] += total * scale


@_compile
def pair_forces(first, second, vectors, distances, slopes, forces):  # type: ignore[no-untyped-def]
    """Add the forces of pairs with energy slopes dE/dr to `forces` (n, 3) float64."""
    for k in range(first.shape[0]):
        i, j = first[k], second[k]
        pull = slopes[k] / distances[k]
        for axis in range(3):
            part = pull * vectors[k, axis]
            forces[i, axis] -= part
            forces[j, axis] += part
