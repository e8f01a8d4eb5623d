"""Compiled loops over pairs of beads, with the filter of a pair read from its table on the way.

Every loop goes once over the pairs, in both directions at a time, so that nothing of size (n_pairs, n_filters) is ever
made. Arguments in this order, where they occur, what belongs to pairs before the rest and outputs of the rest last:

* first, second: Beads of each pair, (n_pairs,) int64.
* rows: First of the four table rows of each pair, (n_pairs,) int64. Of a table per bead type: (n_pairs, 2), those that
  act on the first and on the second bead.
* values, slopes: Weights of these rows in the filter and in its derivative, (n_pairs, 4).
* s: Values of each pair, (n_pairs,).
* table: (n_rows, n_channels).
* h, g, u: Values of each bead, (n_beads, n_channels).

All floating-point arguments have the same precision. Outputs are added to.
"""

from __future__ import annotations

import numba
import numpy as np

from openmm_cgml.caches import keeps_numba_kernels

_compile = numba.njit(
    cache=keeps_numba_kernels(),
    nogil=True,
    fastmath={"contract", "reassoc", "nsz", "arcp"},
    error_model="numpy",
    boundscheck=False,
)


@_compile
def convolve(first, second, rows, values, table, h, y):  # type: ignore[no-untyped-def]
    """y_i += f_ij h_j for both directions of each pair, f the filter."""
    for k in range(first.shape[0]):
        i, j, row = first[k], second[k], rows[k]
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        for c in range(h.shape[1]):
            f = v0 * table[row, c] + v1 * table[row + 1, c] + v2 * table[row + 2, c] + v3 * table[row + 3, c]
            y[i, c] += f * h[j, c]
            y[j, c] += f * h[i, c]


@_compile
def convolve_table(first, second, rows, values, g, h, table):  # type: ignore[no-untyped-def]
    """Adjoint of `convolve` with respect to the table, given that of y, `g`."""
    for k in range(first.shape[0]):
        i, j, row = first[k], second[k], rows[k]
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        for c in range(h.shape[1]):
            p = g[i, c] * h[j, c] + g[j, c] * h[i, c]
            table[row, c] += v0 * p
            table[row + 1, c] += v1 * p
            table[row + 2, c] += v2 * p
            table[row + 3, c] += v3 * p


@_compile
def differentiate(first, second, rows, values, slopes, s, table, h, g, gh):  # type: ignore[no-untyped-def]
    """Derivatives of sum(g y), y from `convolve`: with respect to h into `gh`, to the distances into `s`."""
    for k in range(first.shape[0]):
        i, j, row = first[k], second[k], rows[k]
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        d0, d1, d2, d3 = slopes[k, 0], slopes[k, 1], slopes[k, 2], slopes[k, 3]
        total = s[k]
        for c in range(h.shape[1]):
            t0, t1, t2, t3 = table[row, c], table[row + 1, c], table[row + 2, c], table[row + 3, c]
            f = v0 * t0 + v1 * t1 + v2 * t2 + v3 * t3
            d = d0 * t0 + d1 * t1 + d2 * t2 + d3 * t3
            total += d * (g[i, c] * h[j, c] + g[j, c] * h[i, c])
            gh[j, c] += f * g[i, c]
            gh[i, c] += f * g[j, c]
        s[k] = total


@_compile
def differentiate_beads(first, second, rows, values, slopes, s, table, h, g, u, on_h, on_g):  # type: ignore[no-untyped-def]
    """Adjoints of `differentiate` with respect to h and g, given those of gh, `u`, and of s, `s`."""
    n = h.shape[1]
    f = np.empty(n, h.dtype)
    d = np.empty(n, h.dtype)
    for k in range(first.shape[0]):
        i, j, row = first[k], second[k], rows[k]
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        d0, d1, d2, d3 = s[k] * slopes[k, 0], s[k] * slopes[k, 1], s[k] * slopes[k, 2], s[k] * slopes[k, 3]
        # Short loops over few arrays: with more of them the compiler gives up on vector instructions.
        for c in range(n):
            t0, t1, t2, t3 = table[row, c], table[row + 1, c], table[row + 2, c], table[row + 3, c]
            f[c] = v0 * t0 + v1 * t1 + v2 * t2 + v3 * t3
            d[c] = d0 * t0 + d1 * t1 + d2 * t2 + d3 * t3
        for c in range(n):
            on_h[i, c] += d[c] * g[j, c]
            on_h[j, c] += d[c] * g[i, c]
        for c in range(n):
            on_g[i, c] += d[c] * h[j, c] + f[c] * u[j, c]
            on_g[j, c] += d[c] * h[i, c] + f[c] * u[i, c]


@_compile
def differentiate_table(first, second, rows, values, slopes, s, h, g, u, table):  # type: ignore[no-untyped-def]
    """Adjoint of `differentiate` with respect to the table."""
    n = h.shape[1]
    p = np.empty(n, h.dtype)
    q = np.empty(n, h.dtype)
    for k in range(first.shape[0]):
        i, j, row = first[k], second[k], rows[k]
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        d0, d1, d2, d3 = s[k] * slopes[k, 0], s[k] * slopes[k, 1], s[k] * slopes[k, 2], s[k] * slopes[k, 3]
        for c in range(n):
            p[c] = g[i, c] * h[j, c] + g[j, c] * h[i, c]
            q[c] = u[i, c] * g[j, c] + u[j, c] * g[i, c]
        for c in range(n):
            table[row, c] += v0 * q[c] + d0 * p[c]
            table[row + 1, c] += v1 * q[c] + d1 * p[c]
            table[row + 2, c] += v2 * q[c] + d2 * p[c]
            table[row + 3, c] += v3 * q[c] + d3 * p[c]


@_compile
def sum_filters(first, second, rows, values, table, y):  # type: ignore[no-untyped-def]
    """y_i += f_ij for both directions of each pair; the filter depends on the direction."""
    for k in range(first.shape[0]):
        i, j, row, back = first[k], second[k], rows[k, 0], rows[k, 1]
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        if row == back:
            for c in range(y.shape[1]):
                f = v0 * table[row, c] + v1 * table[row + 1, c] + v2 * table[row + 2, c] + v3 * table[row + 3, c]
                y[i, c] += f
                y[j, c] += f
        else:
            for c in range(y.shape[1]):
                y[i, c] += v0 * table[row, c] + v1 * table[row + 1, c] + v2 * table[row + 2, c] + v3 * table[row + 3, c]
            for c in range(y.shape[1]):
                y[j, c] += (
                    v0 * table[back, c] + v1 * table[back + 1, c] + v2 * table[back + 2, c] + v3 * table[back + 3, c]
                )


@_compile
def sum_filters_table(first, second, rows, values, g, table):  # type: ignore[no-untyped-def]
    """Adjoint of `sum_filters` with respect to the table, given that of y, `g`."""
    for k in range(first.shape[0]):
        v0, v1, v2, v3 = values[k, 0], values[k, 1], values[k, 2], values[k, 3]
        for side in range(2):
            i, row = (first[k], rows[k, 0]) if side == 0 else (second[k], rows[k, 1])
            for c in range(g.shape[1]):
                table[row, c] += v0 * g[i, c]
                table[row + 1, c] += v1 * g[i, c]
                table[row + 2, c] += v2 * g[i, c]
                table[row + 3, c] += v3 * g[i, c]


@_compile
def filter_slopes(first, second, rows, slopes, s, table, g):  # type: ignore[no-untyped-def]
    """Derivatives of sum(g y), y from `sum_filters`, with respect to the distances."""
    for k in range(first.shape[0]):
        d0, d1, d2, d3 = slopes[k, 0], slopes[k, 1], slopes[k, 2], slopes[k, 3]
        total = s[k]
        for side in range(2):
            i, row = (first[k], rows[k, 0]) if side == 0 else (second[k], rows[k, 1])
            for c in range(g.shape[1]):
                total += g[i, c] * (
                    d0 * table[row, c] + d1 * table[row + 1, c] + d2 * table[row + 2, c] + d3 * table[row + 3, c]
                )
        s[k] = total
