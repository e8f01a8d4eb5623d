import numpy as np
import pytest
import torch

from openmm_cgml.engine import DeployedNetwork
from openmm_cgml.networks import build_network
from openmm_cgml.periodic import wrap
from openmm_cgml.training.batches import FrameStore
from openmm_cgml.training.config import TrainingConfig
from openmm_cgml.training.labels import LabeledFrames
from openmm_cgml.training.pair_slopes import compute_slopes, pair_forces
from openmm_cgml.training.pairs import PairRule
from tests.training.dimers import NETWORK, dimer_frames, dimer_topology

ARCHITECTURES = {
    "inter": {},
    "summed": {"n_intra_blocks": 1, "intra_cutoff": 0.5},
    "separate": {"n_intra_blocks": 2, "separate_readouts": True, "activation": "tanh"},
    "unbonded": {"n_intra_blocks": 1, "include_bonded": False, "intra_cutoff": 0.9},
}


def dimer_store(frames, settings, dtype=torch.float64):
    topology = dimer_topology(frames.n_particles // 2)
    zeros = np.zeros_like(frames.positions)
    part = LabeledFrames(
        topology=topology, positions=wrap(frames.positions, frames.box), box=frames.box, forces=frames.forces,
        forces_inter=frames.forces_inter, prior_forces=zeros, force_error=None, energies=None,
    )  # fmt: skip
    intra = (settings.get("intra_cutoff") or settings["cutoff"]) if settings.get("n_intra_blocks") else 0.0
    exclude = 0 if settings.get("include_bonded", True) else 1
    return FrameStore([part], PairRule(cutoff=settings["cutoff"], intra_cutoff=intra, exclude_bonds=exclude), dtype)


def dimer_network(settings):
    torch.manual_seed(3)
    return build_network("schnet", settings, 2).double()


def _forces(network, batch, n_knots):
    slopes = compute_slopes(network, batch, n_knots=n_knots, create_graph=False)
    n = len(batch.bead_types)
    return slopes, pair_forces(slopes.inter, batch.inter, n) + pair_forces(slopes.intra, batch.intra, n)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("n_knots", [0, 400])
def test_forces_and_energy_are_those_of_the_deployed_network(name, n_knots):
    settings = {**NETWORK, **ARCHITECTURES[name]}
    frames, network = dimer_frames(1), dimer_network(settings)
    slopes, forces = _forces(network, dimer_store(frames, settings).batch([(0, 0)]), n_knots)
    deployed = DeployedNetwork(network, dimer_topology(), exclude_bonds=1)
    energy, expected = deployed(torch.tensor(frames.positions[0]), torch.tensor(frames.box[0]))
    tolerance = 1e-9 if n_knots == 0 else 1e-4
    assert float((forces - expected).abs().max() / expected.abs().max()) < tolerance
    assert float(slopes.energies.sum()) == pytest.approx(float(energy), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_loss_and_gradients_with_tabulated_filters_are_those_with_exact_filters(name, dtype):
    settings = {**NETWORK, **ARCHITECTURES[name]}
    network = dimer_network(settings).to(dtype)
    batch = dimer_store(dimer_frames(2), settings, dtype).batch([(0, 0), (0, 1)])
    losses, gradients = [], []
    for n_knots in (0, TrainingConfig().filter_knots):
        network.zero_grad()
        slopes = compute_slopes(network, batch, n_knots=n_knots, create_graph=True)
        loss = slopes.inter.square().sum() + slopes.intra.square().sum() + slopes.energies.square().sum()
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None]))
    assert losses[1] == pytest.approx(losses[0], rel=1e-6 if dtype == torch.float64 else 5e-6)
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < 1e-4


def test_more_knots_converge_with_the_fourth_power():
    settings = {**NETWORK, **ARCHITECTURES["summed"]}
    network, batch = dimer_network(settings), dimer_store(dimer_frames(1), settings).batch([(0, 0)])
    exact = _forces(network, batch, 0)[0].energies
    errors = [float((_forces(network, batch, n)[0].energies - exact).abs().max()) for n in (60, 240)]
    assert errors[0] / errors[1] > 100  # the fourth power would give 256, the second 16


def test_forces_are_minus_the_gradient_of_the_energy():
    settings = {**NETWORK, **ARCHITECTURES["separate"]}
    frames, network = dimer_frames(1), dimer_network(settings)
    _, forces = _forces(network, dimer_store(frames, settings).batch([(0, 0)]), 50)

    def energy(bead, axis, step):
        moved = frames.positions.copy()
        moved[0, bead, axis] += step
        slopes, _ = _forces(network, dimer_store(frames.replace(positions=moved), settings).batch([(0, 0)]), 50)
        return float(slopes.energies.sum())

    for bead, axis in ((0, 0), (7, 1), (20, 2)):
        numerical = -(energy(bead, axis, 1e-5) - energy(bead, axis, -1e-5)) / 2e-5
        assert float(forces[bead, axis]) == pytest.approx(numerical, rel=1e-5, abs=1e-6)
    assert float(forces.sum(0).abs().max()) < 1e-9


def test_a_batch_gives_what_its_frames_give_one_by_one():
    settings = {**NETWORK, **ARCHITECTURES["summed"]}
    network, store = dimer_network(settings), dimer_store(dimer_frames(3), settings)
    together = _forces(network, store.batch([(0, 2), (0, 0), (0, 1)]), 50)[1]
    alone = torch.cat([_forces(network, store.batch([(0, f)]), 50)[1] for f in (2, 0, 1)])
    torch.testing.assert_close(together, alone)


def test_frozen_weights_give_the_same_forces():
    network, batch = dimer_network(NETWORK), dimer_store(dimer_frames(1), NETWORK).batch([(0, 0)])
    before = _forces(network, batch, 50)[1]
    network.requires_grad_(False)
    with torch.no_grad():
        torch.testing.assert_close(_forces(network, batch, 50)[1], before)
