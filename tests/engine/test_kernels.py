import numpy as np
import pytest

from openmm_cgml.engine import kernels


def _exact(name, x):
    sigmoid = 1 / (1 + np.exp(-x))
    if name == "tanh":
        return np.tanh(x), 1 - np.tanh(x) ** 2
    if name == "silu":
        return x * sigmoid, sigmoid * (1 + x * (1 - sigmoid))
    return np.logaddexp(x, 0) - np.log(2), sigmoid


@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
def test_activations_are_exact_to_single_precision_at_all_sizes(name):
    z = np.concatenate([np.linspace(-30, 30, 4001), [-1e4, -200.0, -90.0, 90.0, 200.0, 1e4, 0.0]])
    bias = np.full(1, 0.25, np.float32)
    rows = z.astype(np.float32)[:, None]
    value, slope = np.empty_like(rows), np.empty_like(rows)
    kernels.ACTIVATIONS[name](rows, bias, value, slope)
    expected, expected_slope = _exact(name, (rows + bias).astype(np.float64).clip(-700, None))
    np.testing.assert_allclose(value, expected, rtol=3e-6, atol=3e-7)
    np.testing.assert_allclose(slope, expected_slope, rtol=3e-6, atol=3e-7)


def test_activations_pass_on_what_is_not_a_number():
    rows = np.full((1, 1), np.nan, np.float32)
    for activate in kernels.ACTIVATIONS.values():
        value, slope = np.zeros_like(rows), np.zeros_like(rows)
        activate(rows, np.zeros(1, np.float32), value, slope)
        assert np.isnan(value).all()


@pytest.mark.parametrize("n_channels", [16, 48])
def test_pair_loops_are_those_of_plain_numpy(n_channels):
    rng = np.random.default_rng(0)
    n, n_knots, cutoff = 9, 12, 0.8
    first, second = (rows.astype(np.int32) for rows in np.triu_indices(n, 1))
    distances = rng.uniform(0.01, 0.9, len(first))  # some beyond the cutoff
    near = distances < cutoff
    types = rng.integers(2, size=n).astype(np.int32)
    tables = rng.normal(size=(2, n_knots, 2, n_channels))
    h, grad = rng.normal(size=(2, n, n_channels))
    place = distances * (n_knots - 1) / cutoff
    knot = np.minimum(place.astype(int), n_knots - 2)
    t = (place - knot)[:, None]

    def value(table):
        low, high = table[knot.clip(0, n_knots - 2)], table[knot.clip(0, n_knots - 2) + 1]
        found = (1 + 2 * t) * (1 - t) ** 2 * low[:, 0] + t * (1 - t) ** 2 * low[:, 1]
        found = found + t**2 * (3 - 2 * t) * high[:, 0] - t**2 * (1 - t) * high[:, 1]
        slope = 6 * t * (1 - t) * (high[:, 0] - low[:, 0]) + (1 - t) * (1 - 3 * t) * low[:, 1]
        slope = slope + t * (3 * t - 2) * high[:, 1]
        return found * near[:, None], slope * near[:, None] * (n_knots - 1) / cutoff

    single = np.float32
    flat = tables.reshape(2, n_knots, -1).astype(single)
    of_pairs = (first, second, distances)
    by_sender = [value(tables[0]), value(tables[1])]
    to_first = np.where((types[second] == 1)[:, None], by_sender[1], by_sender[0])
    to_second = np.where((types[first] == 1)[:, None], by_sender[1], by_sender[0])

    expected = np.zeros((n, n_channels))
    np.add.at(expected, first, to_first[0])
    np.add.at(expected, second, to_second[0])
    sums = np.zeros((n, n_channels), single)
    kernels.add_table_sums(*of_pairs, types, flat, cutoff, sums)
    np.testing.assert_allclose(sums, expected, atol=1e-4)

    slopes = np.zeros(len(first))
    kernels.add_table_slopes(*of_pairs, types, flat, cutoff, grad.astype(single), slopes)
    expected = (to_first[1] * grad[first] + to_second[1] * grad[second]).sum(1)
    np.testing.assert_allclose(slopes, expected, atol=1e-3)

    expected = np.zeros((n, n_channels))
    np.add.at(expected, first, by_sender[0][0] * h[second])
    np.add.at(expected, second, by_sender[0][0] * h[first])
    sums[:] = 0
    kernels.convolve(*of_pairs, flat[0], cutoff, h.astype(single), sums)
    np.testing.assert_allclose(sums, expected, atol=1e-4)

    expected = (by_sender[0][1] * (grad[first] * h[second] + grad[second] * h[first])).sum(1)
    slopes[:] = 0
    kernels.convolve_slopes(*of_pairs, flat[0], cutoff, h.astype(single), grad.astype(single), slopes)
    np.testing.assert_allclose(slopes, expected, atol=2e-3)

    back = np.zeros((n, n_channels), single)
    slopes[:] = 0
    kernels.convolve_back(*of_pairs, flat[0], cutoff, h.astype(single), grad.astype(single), slopes, back)
    np.testing.assert_allclose(slopes, expected, atol=2e-3)
    expected = np.zeros((n, n_channels))
    np.add.at(expected, first, by_sender[0][0] * grad[second])
    np.add.at(expected, second, by_sender[0][0] * grad[first])
    np.testing.assert_allclose(back, expected, atol=1e-4)
