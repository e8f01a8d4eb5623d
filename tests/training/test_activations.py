import pytest
import torch

from openmm_cgml.networks.layers import ACTIVATIONS
from openmm_cgml.training.activations import activate


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_value_and_slope_are_those_of_the_networks_activation(kind):
    z = torch.linspace(-30, 30, 101, dtype=torch.float64, requires_grad=True)
    expected = ACTIVATIONS[kind]()(z)
    values, slopes = activate(kind, z)
    torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)
    # Torch takes 1 for the slope of softplus above 20.
    torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), z)[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_both_can_be_differentiated(kind):
    z = torch.linspace(-3, 3, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: activate(kind, x), (z,))
