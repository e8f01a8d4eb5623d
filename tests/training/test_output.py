"""The last layer of a network before and after training."""

import numpy as np
import pytest
import torch

from openmm_cgml.networks import build_network
from openmm_cgml.training.data import prepare_data
from openmm_cgml.training.metrics import predict
from openmm_cgml.training.output import fit_output_scale, zero_output


def network_of(config, seed=0):
    torch.manual_seed(seed)
    settings = config.network.model_dump()
    return build_network(config.network.kind, settings, 2).double()


@pytest.mark.parametrize("settings", [{}, {"n_intra_blocks": 1}, {"n_intra_blocks": 1, "separate_readouts": True}])
def test_before_training_there_are_the_priors_alone(make_config, settings):
    config = make_config(
        settings, precision="float64", target="split" if settings.get("separate_readouts") else "total"
    )
    data, network = prepare_data(config), network_of(config)
    before = predict(network, data.store, data.keys["test"], n_knots=40)
    assert np.abs(before.forces - before.prior).max() > 1e-3
    zero_output(network)
    after = predict(network, data.store, data.keys["test"], n_knots=40)
    np.testing.assert_array_equal(after.forces, after.prior)


@pytest.mark.parametrize("settings", [{}, {"n_intra_blocks": 1, "separate_readouts": True}])
def test_scaled_forces_are_no_worse_than_none(make_config, settings):
    config = make_config(settings, precision="float64", target="split" if settings else "total")
    data, network = prepare_data(config), network_of(config)
    keys = data.keys["validation"]

    def error():
        predictions = predict(network, data.store, keys, n_knots=40)
        return np.mean((predictions.forces - predictions.reference) ** 2)

    network.energy_scale *= -30.0  # forces that point the wrong way, or much too large
    plain = predict(network, data.store, keys, n_knots=40)
    alone = np.mean((plain.prior - plain.reference) ** 2)
    before = error()
    scales = fit_output_scale(network, data.store, keys, n_knots=40)
    assert set(scales) == ({"inter", "intra"} if settings else {"all"})
    assert all(scale >= 0 for scale in scales.values())
    assert before > alone, "the control: these weights are worse than nothing"
    assert error() <= alone * (1 + 1e-9)
    again = fit_output_scale(network, data.store, keys, n_knots=40)
    assert all(again[name] == pytest.approx(1.0) for name in again if scales[name] > 0)
