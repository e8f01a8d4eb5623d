import numpy as np
import pytest
import torch

from openmm_cgml.networks import build_network
from openmm_cgml.training.config import TrainingConfig
from openmm_cgml.training.data import Scales, prepare_data
from openmm_cgml.training.module import ForceMatching
from openmm_cgml.training.pair_slopes import compute_slopes, pair_forces

INTRA = {"n_intra_blocks": 1, "separate_readouts": True}


def _module(config, data):
    torch.manual_seed(0)
    network = build_network("schnet", config.network.model_dump(), 2).to(getattr(torch, config.training.precision))
    return ForceMatching(network, config.training, data.scales, n_steps=100)


def _setting(make_config, network=None, **training):
    config = make_config(network=network, precision="float64", filter_knots=0, **training)
    data = prepare_data(config)
    return config, data, _module(config, data), data.store.batch(data.keys["train"][:3])


def test_force_loss_is_the_mean_square_over_components(make_config):
    _, data, module, batch = _setting(make_config)
    losses = module.losses(module.network, batch, create_graph=False)
    slopes = compute_slopes(module.network, batch, n_knots=0, create_graph=False)
    expected = (pair_forces(slopes.inter, batch.inter, len(batch.forces)) - batch.forces).square().mean()
    assert float(losses.forces) == pytest.approx(float(expected))
    assert float(losses.objective) == pytest.approx(float(expected) / data.scales.forces)
    assert losses.energies is None


@pytest.mark.parametrize("kind", ["relative", "per_bead", "total"])
def test_energy_term_is_lambda_times_the_squared_error_in_its_normalization(make_config, kind):
    _, data, module, batch = _setting(make_config, energy_weight=0.3, energy_normalization=kind)
    _, _, without, _ = _setting(make_config)
    energies = compute_slopes(module.network, batch, n_knots=0, create_graph=False).energies
    errors = energies.reshape(3, -1).sum(1) - batch.energies
    expected = {
        "relative": errors.square().mean() / data.scales.energies,
        "per_bead": (errors / 32).square().mean() / data.scales.forces,
        "total": errors.square().mean() / data.scales.forces,
    }[kind]
    losses = module.losses(module.network, batch, create_graph=False)
    forces_only = without.losses(without.network, batch, create_graph=False)
    assert float(losses.objective - forces_only.objective) == pytest.approx(0.3 * float(expected), rel=1e-6)
    assert float(losses.energies) == pytest.approx(float((errors / 32).square().mean()))


def test_relative_energy_term_means_the_same_at_twice_the_size():
    # Energies of two independent copies of a system: error and fluctuation both have twice the variance.
    config = TrainingConfig(energy_weight=1.0)
    errors, counts = torch.tensor([3.0, -1.0]), torch.tensor([10, 10])
    one = ForceMatching(torch.nn.Linear(1, 1), config, Scales(forces=1.0, energies=4.0), n_steps=1)
    two = ForceMatching(torch.nn.Linear(1, 1), config, Scales(forces=1.0, energies=8.0), n_steps=1)
    assert one._energy_term(errors, counts) == pytest.approx(two._energy_term(errors * 2**0.5, 2 * counts))


def test_split_target_trains_each_part_on_its_own_forces_and_they_add_up(make_config):
    _, data, module, batch = _setting(make_config, network=INTRA, target="split")
    slopes = compute_slopes(module.network, batch, n_knots=0, create_graph=False)
    n = len(batch.forces)
    inter, intra = pair_forces(slopes.inter, batch.inter, n), pair_forces(slopes.intra, batch.intra, n)
    first = (inter - batch.forces_inter).square().mean()
    second = (intra - (batch.forces - batch.forces_inter)).square().mean()
    losses = module.losses(module.network, batch, create_graph=False)
    assert float(losses.forces) == pytest.approx(float(first + second))
    assert float(losses.objective) == pytest.approx(float(first / data.scales.inter + second / data.scales.intra))
    # The two residuals sum to the residual of the total force: a model that makes both vanish makes this one vanish.
    total = (inter - batch.forces_inter) + (intra - (batch.forces - batch.forces_inter))
    torch.testing.assert_close(total, inter + intra - batch.forces)


def test_split_target_keeps_intramolecular_labels_away_from_the_intermolecular_stack(make_config):
    _, _, module, batch = _setting(make_config, network=INTRA, target="split")
    gradients = []
    for factor in (1.0, 5.0):
        module.network.zero_grad()
        changed = batch.forces_inter + factor * (batch.forces - batch.forces_inter)
        altered = type(batch)(**{**vars(batch), "forces": changed})
        module.losses(module.network, altered, create_graph=True).objective.backward()
        gradients.append([p.grad.clone() for p in module.network.inter_blocks.parameters()])
    for one, two in zip(*gradients, strict=True):
        torch.testing.assert_close(one, two)


def test_frame_weights_scale_their_frames(make_config):
    _, _, module, batch = _setting(make_config)
    plain = module.losses(module.network, batch, create_graph=False).forces
    weights = torch.tensor([2.0, 2.0, 2.0], dtype=torch.float64)
    doubled = module.losses(
        module.network, type(batch)(**{**vars(batch), "weights": weights}), create_graph=False
    ).forces
    assert float(doubled) == pytest.approx(2 * float(plain))


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "constant", "plateau"])
def test_learning_rate_stays_within_its_maximum_and_follows_its_schedule(schedule):
    config = TrainingConfig(schedule=schedule, learning_rate=2e-3)
    module = ForceMatching(torch.nn.Linear(1, 1), config, Scales(forces=1.0), n_steps=101)
    rates = np.array([module.learning_rate(step) for step in range(101)])
    assert rates.max() == pytest.approx(2e-3)
    if schedule == "one_cycle":
        assert rates.argmax() == 30
        assert rates[-1] < 1e-6 < rates[0] < 1e-4
    elif schedule == "cosine":
        assert np.all(np.diff(rates) < 0)
    else:
        assert np.all(rates == 2e-3)
