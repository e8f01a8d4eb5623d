"""Compiled loops of the tabulated network on a CPU.

Pairs are listed once; both directions are done together, so a filter is interpolated once per pair and block. Rows
have a multiple of `row_kernels.LANES` channels; a table's row holds the values and then knot spacing times derivative
of all channels at a knot (see `tables`). None of the functions holds Python's lock, and none starts threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from openmm_cgml.caches import keeps_numba_kernels
from openmm_cgml.engine import row_kernels as rows

_compile = numba.njit(
    cache=keeps_numba_kernels(),
    fastmath={"contract", "reassoc", "nsz", "arcp"},
    error_model="numpy",
    boundscheck=False,
    nogil=True,
)
_inline = numba.njit(
    fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy", boundscheck=False, inline="always"
)

_ONE, _TWO, _THREE, _SIX = np.float32(1), np.float32(2), np.float32(3), np.float32(6)


@_compile
def near_pairs(positions, owners, partners, box, is_periodic, cutoff, first, second, vectors, distances):  # type: ignore[no-untyped-def]
    """Fill in the listed pairs that are within `cutoff` now; returns their number.

    Args:
        positions: (n, 3) float64 [nm].
        owners, partners: Listed pairs, (m,) int32.
        box: Reduced box vectors, (3, 3) float64 [nm].
        is_periodic: Whether to use the box.
        cutoff: [nm].
        first, second, vectors, distances: Output, (m,) int32, (m,) int32, (m, 3) float64, (m,) float64.
    """
    count = 0
    limit = cutoff * cutoff
    xx, yx, yy, zx, zy, zz = box[0, 0], box[1, 0], box[1, 1], box[2, 0], box[2, 1], box[2, 2]
    ix, iy, iz = 1 / xx, 1 / yy, 1 / zz
    for k in range(owners.shape[0]):
        i, j = owners[k], partners[k]
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
        first[count] = i
        second[count] = j
        vectors[count, 0] = x
        vectors[count, 1] = y
        vectors[count, 2] = z
        distances[count] = square
        count += square < limit
    for k in range(count):
        distances[k] = math.sqrt(distances[k])
    return count


@_inline
def _row(array, i):  # type: ignore[no-untyped-def]
    """Address of row i of a contiguous float32 array (n, c)."""
    return array.ctypes.data + np.uintp(4 * i * array.shape[1])


@_inline
def _place(distance, n_knots, cutoff):  # type: ignore[no-untyped-def]
    """Knot below a distance under the cutoff, and how far it is from it in knot spacings."""
    place = distance * ((n_knots - 1) / cutoff)
    knot = min(int(place), n_knots - 2)
    return knot, np.float32(place - knot)


@_inline
def _value_weights(t):  # type: ignore[no-untyped-def]
    """Weights of value and slope at the lower knot, value and slope at the upper one."""
    u = _ONE - t
    return (_ONE + _TWO * t) * u * u, t * u * u, t * t * (_THREE - _TWO * t), -t * t * u


@_inline
def _slope_weights(t):  # type: ignore[no-untyped-def]
    """The same for the derivative by t."""
    u = _ONE - t
    return -_SIX * t * u, u * (_ONE - _THREE * t), _SIX * t * u, t * (_THREE * t - _TWO)


@_compile
def add_table_sums(first, second, distances, types, tables, cutoff, sums):  # type: ignore[no-untyped-def]
    """Add table values of all pairs to `sums` (n, c) of both beads; a bead takes the table of the other's type.

    Args:
        first, second: Pairs, (p,) int32.
        distances: (p,) float64 [nm]; pairs at or beyond `cutoff` add nothing.
        types: Bead types, (n,) int32.
        tables: (n_types, n_knots, 2 c) float32.
        cutoff: Distance of the last knot [nm].
        sums: Output, (n, c) float32.
    """
    n_channels = sums.shape[1]
    n_knots = tables.shape[1]
    for k in range(first.shape[0]):
        if distances[k] >= cutoff:
            continue
        i, j = first[k], second[k]
        knot, t = _place(distances[k], n_knots, cutoff)
        v0, d0, v1, d1 = _value_weights(t)
        low = _row(tables[types[j]], knot)
        if types[i] == types[j]:
            rows.add_values(low, _row(sums, i), _row(sums, j), n_channels, v0, d0, v1, d1)
        else:
            rows.add_values_to_one(low, _row(sums, i), n_channels, v0, d0, v1, d1)
            low = _row(tables[types[i]], knot)
            rows.add_values_to_one(low, _row(sums, j), n_channels, v0, d0, v1, d1)


@_compile
def add_table_slopes(first, second, distances, types, tables, cutoff, grad, slopes):  # type: ignore[no-untyped-def]
    """Add dE/dr of each pair to `slopes` (p,) float64, given the gradient `grad` (n, c) of the energy by the sums."""
    n_channels = grad.shape[1]
    n_knots = tables.shape[1]
    scale = (n_knots - 1) / cutoff
    for k in range(first.shape[0]):
        if distances[k] >= cutoff:
            continue
        i, j = first[k], second[k]
        knot, t = _place(distances[k], n_knots, cutoff)
        v0, d0, v1, d1 = _slope_weights(t)
        low = _row(tables[types[j]], knot)
        if types[i] == types[j]:
            total = rows.dot_sum(low, _row(grad, i), _row(grad, j), n_channels, v0, d0, v1, d1)
        else:
            total = rows.dot_one(low, _row(grad, i), n_channels, v0, d0, v1, d1)
            low = _row(tables[types[i]], knot)
            total += rows.dot_one(low, _row(grad, j), n_channels, v0, d0, v1, d1)
        slopes[k] += total * scale


@_compile
def convolve(first, second, distances, table, cutoff, h, sums):  # type: ignore[no-untyped-def]
    """Add filter times the other bead's features to `sums` (n, c) float32 of both beads of each pair.

    Args:
        first, second, distances, cutoff: As in `add_table_sums`.
        table: Filters, (n_knots, 2 c) float32.
        h: Features, (n, c) float32.
        sums: Output, (n, c) float32.
    """
    n_channels = h.shape[1]
    for k in range(first.shape[0]):
        if distances[k] >= cutoff:
            continue
        i, j = first[k], second[k]
        knot, t = _place(distances[k], table.shape[0], cutoff)
        v0, d0, v1, d1 = _value_weights(t)
        rows.add_messages(
            _row(table, knot), _row(h, i), _row(h, j), _row(sums, i), _row(sums, j), n_channels, v0, d0, v1, d1
        )


@_compile
def convolve_slopes(first, second, distances, table, cutoff, h, grad, slopes):  # type: ignore[no-untyped-def]
    """Add dE/dr of each pair to `slopes` (p,) float64, given the gradient `grad` (n, c) of the energy by the sums."""
    n_channels = h.shape[1]
    scale = (table.shape[0] - 1) / cutoff
    for k in range(first.shape[0]):
        if distances[k] >= cutoff:
            continue
        i, j = first[k], second[k]
        knot, t = _place(distances[k], table.shape[0], cutoff)
        v0, d0, v1, d1 = _slope_weights(t)
        slopes[k] += scale * rows.dot_messages(
            _row(table, knot), _row(h, i), _row(h, j), _row(grad, i), _row(grad, j), n_channels, v0, d0, v1, d1
        )


@_compile
def convolve_back(first, second, distances, table, cutoff, h, grad, slopes, grad_h):  # type: ignore[no-untyped-def]
    """As `convolve_slopes`, and add the gradient of the energy by the features to `grad_h` (n, c)."""
    n_channels = h.shape[1]
    scale = (table.shape[0] - 1) / cutoff
    for k in range(first.shape[0]):
        if distances[k] >= cutoff:
            continue
        i, j = first[k], second[k]
        knot, t = _place(distances[k], table.shape[0], cutoff)
        v0, d0, v1, d1 = _value_weights(t)
        sv0, sd0, sv1, sd1 = _slope_weights(t)
        slopes[k] += scale * rows.dot_and_add_messages(
            _row(table, knot),
            _row(h, i),
            _row(h, j),
            _row(grad, i),
            _row(grad, j),
            _row(grad_h, i),
            _row(grad_h, j),
            n_channels,
            v0,
            d0,
            v1,
            d1,
            sv0,
            sd0,
            sv1,
            sd1,
        )


@_compile
def add_pair_forces(first, second, vectors, distances, slopes, forces):  # type: ignore[no-untyped-def]
    """Add the forces of pairs with energy slopes dE/dr (p,) float64 to `forces` (n, 3) float64."""
    for k in range(first.shape[0]):
        i, j = first[k], second[k]
        pull = slopes[k] / distances[k]
        for axis in range(3):
            part = pull * vectors[k, axis]
            forces[i, axis] -= part
            forces[j, axis] += part


@_inline
def _exp(x):  # type: ignore[no-untyped-def]
    """exp(x) for x <= 0 in float32, relative error 2e-7; zero below -87."""
    x = max(x, np.float32(-87.0))
    n = np.rint(x * np.float32(1.44269504))
    f = x - n * np.float32(0.693359375) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * f + np.float32(1.3981999507e-3)
    p = p * f + np.float32(8.3334519073e-3)
    p = p * f + np.float32(4.1665795894e-2)
    p = p * f + np.float32(1.6666665459e-1)
    p = p * f + np.float32(5.0000001201e-1)
    p = p * f * f + f + _ONE
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@_inline
def _log_one_plus(s):  # type: ignore[no-untyped-def]
    """log(1 + e) for 0 <= e <= 1 in float32 from s = e / (2 + e), by the series of 2 artanh(s)."""
    q = s * s
    p = np.float32(2.0 / 13.0)
    p = p * q + np.float32(2.0 / 11.0)
    p = p * q + np.float32(2.0 / 9.0)
    p = p * q + np.float32(2.0 / 7.0)
    p = p * q + np.float32(2.0 / 5.0)
    p = p * q + np.float32(2.0 / 3.0)
    return s * (p * q + _TWO)


@_compile
def shifted_softplus(z, bias, value, slope):  # type: ignore[no-untyped-def]
    """log(1/2 + exp(z + bias)/2) and its derivative; `bias` (c,) is added to each row of `z` (n, c)."""
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            x = z[i, c] + bias[c]
            e = _exp(-abs(x))
            both = _ONE / ((_ONE + e) * (_TWO + e))  # one division for two: they take the most time
            r = both * (_TWO + e)
            value[i, c] = max(x, np.float32(0)) + _log_one_plus(e * (_ONE + e) * both) - np.float32(0.69314718)
            slope[i, c] = r if x >= 0 else e * r


@_compile
def silu(z, bias, value, slope):  # type: ignore[no-untyped-def]
    """The product x sigmoid(x) and its derivative for x = z + bias."""
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            x = z[i, c] + bias[c]
            e = _exp(-abs(x))
            r = _ONE / (_ONE + e)
            sigmoid = r if x >= 0 else e * r
            value[i, c] = x * sigmoid
            slope[i, c] = sigmoid * (_ONE + x * (_ONE - sigmoid))


@_compile
def tanh(z, bias, value, slope):  # type: ignore[no-untyped-def]
    """The hyperbolic tangent and its derivative for x = z + bias."""
    for i in range(z.shape[0]):
        for c in range(z.shape[1]):
            x = z[i, c] + bias[c]
            e = _exp(np.float32(-2) * abs(x))
            size = (_ONE - e) / (_ONE + e)
            value[i, c] = size if x >= 0 else -size
            slope[i, c] = _ONE - size * size


ACTIVATIONS = {"shifted_softplus": shifted_softplus, "silu": silu, "tanh": tanh}


@_compile
def weigh_rows(values, slopes, weights, grad):  # type: ignore[no-untyped-def]
    """Sum of values @ weights (c,), and grad = slopes * weights, for rows (n, c)."""
    total = 0.0
    for i in range(values.shape[0]):
        row = np.float32(0)
        for c in range(values.shape[1]):
            row += values[i, c] * weights[c]
            grad[i, c] = slopes[i, c] * weights[c]
        total = total + np.float64(row)
    return total


@_compile
def multiply(values, factors):  # type: ignore[no-untyped-def]
    """Multiply `values` by `factors`, element by element, (n, c)."""
    for i in range(values.shape[0]):
        for c in range(values.shape[1]):
            values[i, c] *= factors[i, c]


@_compile
def take_sums(buffers, begin, end, out):  # type: ignore[no-untyped-def]
    """Set `out` to rows begin:end summed over the threads' buffers (m, n, c), which are cleared for the next time."""
    for i in range(begin, end):
        for c in range(out.shape[1]):
            out[i - begin, c] = buffers[0, i, c]
            buffers[0, i, c] = 0
        for m in range(1, buffers.shape[0]):
            for c in range(out.shape[1]):
                out[i - begin, c] += buffers[m, i, c]
                buffers[m, i, c] = 0


@_compile
def set_columns_with_type(source, column, types, by_type, out):  # type: ignore[no-untyped-def]
    """Set `out` (m, c) to columns of `source` from `column` on plus the row of each bead's type, (n_types, c)."""
    for i in range(out.shape[0]):
        row, constant, result = source[i, column : column + out.shape[1]], by_type[types[i]], out[i]
        for c in range(result.shape[0]):
            result[c] = row[c] + constant[c]


@_compile
def add_columns(source, column, sums):  # type: ignore[no-untyped-def]
    """Add columns of `source` from `column` on to `sums` (m, c)."""
    for i in range(sums.shape[0]):
        row, result = source[i, column : column + sums.shape[1]], sums[i]
        for c in range(result.shape[0]):
            result[c] += row[c]


@_compile
def copy_columns(source, column, out):  # type: ignore[no-untyped-def]
    """Write `source` (m, c) into the columns of `out` from `column` on."""
    for i in range(source.shape[0]):
        row, result = source[i], out[i, column : column + source.shape[1]]
        for c in range(row.shape[0]):
            result[c] = row[c]
