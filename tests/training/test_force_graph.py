import numpy as np
import pytest
import torch

from openmm_cgml.engine.tables import filter_curves, tabulate
from openmm_cgml.networks import build_network
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.training import force_graph
from openmm_cgml.training.force_graph import filter_table, tabulated_slopes
from tests.training.dimers import NETWORK, dimer_frames
from tests.training.test_pair_slopes import ARCHITECTURES, dimer_network, dimer_store


@pytest.mark.parametrize("activation", ["shifted_softplus", "tanh", "silu"])
def test_filters_are_tabulated_as_in_the_deployed_network(activation):
    network = dimer_network({**NETWORK, "activation": activation})
    block = network.inter_blocks[1]
    table = filter_table(block, network.inter_basis, activation, network.cutoff, 30)
    deployed = tabulate(filter_curves(block, network.inter_basis, network.cutoff), network.cutoff, 30)
    np.testing.assert_allclose(table.detach().reshape(deployed.shape), deployed, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_folding_the_first_block_changes_nothing(name, monkeypatch):
    settings = {**NETWORK, **ARCHITECTURES[name]}
    network, batch = dimer_network(settings), dimer_store(dimer_frames(2), settings).batch([(0, 0), (0, 1)])
    folds, results = [], []
    fold = force_graph._Stack._fold
    monkeypatch.setattr(force_graph._Stack, "_fold", lambda *args: folds.append(1) or fold(*args))
    for n_types in (2, 2000):  # the second is more than is worth folding
        many = build_network("schnet", settings, n_types).double()
        rows = network.embedding.weight.detach().repeat(n_types // 2, 1)
        many.load_state_dict({**network.state_dict(), "embedding.weight": rows})
        energies, inter, intra = tabulated_slopes(many, batch, 20)
        (energies.square().sum() + inter.square().sum() + intra.square().sum()).backward()
        gradients = [p.grad for k, p in many.named_parameters() if p.grad is not None and "embedding" not in k]
        results.append([energies, inter, intra, many.embedding.weight.grad[:2], *gradients])
        assert len(folds) == 1 + (len(network.intra_blocks) > 0)
    for folded, plain in zip(*results, strict=True):
        torch.testing.assert_close(folded, plain)


def test_three_blocks_pass_features_on_as_they_are():
    settings = {**NETWORK, "n_inter_blocks": 3}
    network, batch = dimer_network(settings), dimer_store(dimer_frames(1), settings).batch([(0, 0)])
    energies, _, _ = tabulated_slopes(network, batch, 400)
    pairs = batch.inter.first, batch.inter.second, batch.inter.distances
    x = network.embedding(batch.bead_types)
    for block in network.inter_blocks:
        x = x + block(x, PairList(*pairs), network.inter_basis(pairs[2]))
    torch.testing.assert_close(energies, network.readout(x).squeeze(-1), rtol=1e-6, atol=1e-8)
