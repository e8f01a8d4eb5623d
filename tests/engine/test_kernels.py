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
