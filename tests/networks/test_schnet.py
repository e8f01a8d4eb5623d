import numpy as np
import pytest
import torch
from torchmdnet.models.torchmd_gn import InteractionBlock
from torchmdnet.models.utils import CosineCutoff as TorchMDCutoff
from torchmdnet.models.utils import GaussianSmearing, ShiftedSoftplus

from openmm_cgml.errors import InputError
from openmm_cgml.networks import SchNet, SchNetConfig, build_network, layers
from openmm_cgml.networks.schnet import PairList, _PairInteraction

EMPTY = PairList(
    torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64)
)


def _network(**settings):
    torch.manual_seed(0)
    return SchNet(
        SchNetConfig(**{"n_features": 10, "n_filters": 14, "n_basis": 8, "cutoff": 0.8, **settings}), 2
    ).double()


def _cluster(n=12, cutoff=0.8):
    rng = np.random.default_rng(1)
    positions = torch.tensor(rng.random((n, 3)))
    first, second = (torch.tensor(x) for x in np.triu_indices(n, 1))
    distances = (positions[first] - positions[second]).norm(dim=1)
    near = distances < cutoff
    return torch.tensor(rng.integers(0, 2, n)), PairList(first[near], second[near], distances[near])


@pytest.mark.parametrize(("activation", "theirs"), [("shifted_softplus", ShiftedSoftplus), ("tanh", torch.nn.Tanh)])
def test_pairs_listed_once_give_what_torchmdnets_own_block_gives_for_both_directions(activation, theirs):
    network = _network(activation=activation)
    types, pairs = _cluster()
    x = network.embedding(types)
    block = network.inter_blocks[0]
    torchmd = InteractionBlock(10, 8, 14, theirs, 0.0, 0.8).double()
    torchmd.mlp = torch.nn.Identity()  # the same module as `conv.net`, stored once here
    torchmd.load_state_dict(block.state_dict())
    edges = torch.stack([torch.cat([pairs.first, pairs.second]), torch.cat([pairs.second, pairs.first])])
    smearing = GaussianSmearing(0.0, 0.8, 8, trainable=False)
    basis = smearing(pairs.distances.repeat(2).float()).double()
    torch.testing.assert_close(network.inter_basis(pairs.distances), basis[: len(basis) // 2], rtol=1e-5, atol=1e-6)
    twice = torchmd(x, edges, pairs.distances.repeat(2), basis, n_atoms=len(types))
    torch.testing.assert_close(block(x, pairs, basis[: len(basis) // 2]), twice, rtol=1e-12, atol=1e-12)


def test_cutoff_function_is_torchmdnets():
    r = torch.linspace(0, 1.2, 121, dtype=torch.float64)
    torch.testing.assert_close(layers.CosineCutoff(0.8)(r), TorchMDCutoff(0.0, 0.8)(r), rtol=0, atol=0)


def test_a_seed_gives_the_weights_that_it_gave_with_torchmdnets_block():
    torch.manual_seed(3)
    theirs = InteractionBlock(10, 8, 14, ShiftedSoftplus, 0.0, 0.8).state_dict()
    torch.manual_seed(3)
    ours = _PairInteraction(SchNetConfig(n_features=10, n_filters=14, n_basis=8, cutoff=0.8), 0.8).state_dict()
    assert set(ours) == {name for name in theirs if not name.startswith("mlp.")}
    for name, weights in ours.items():
        torch.testing.assert_close(weights, theirs[name], rtol=0, atol=0)


@pytest.mark.parametrize("activation", ["shifted_softplus", "tanh", "silu"])
@pytest.mark.parametrize("n_inter_blocks", [1, 6])
@pytest.mark.parametrize("n_intra_blocks", [0, 1])
def test_every_published_arrangement_runs(activation, n_inter_blocks, n_intra_blocks):
    network = _network(activation=activation, n_inter_blocks=n_inter_blocks, n_intra_blocks=n_intra_blocks)
    types, pairs = _cluster()
    assert network(types, pairs, pairs).shape == (12,)


def test_separate_readouts_make_the_energy_a_sum_of_two():
    network = _network(n_intra_blocks=1, separate_readouts=True)
    types, pairs = _cluster()
    between, within = network.split_energies(types, pairs, pairs)
    torch.testing.assert_close(network(types, pairs, pairs), between + within)
    torch.testing.assert_close(network.split_energies(types, pairs, EMPTY)[0], between)
    torch.testing.assert_close(network.split_energies(types, EMPTY, pairs)[1], within)
    joined = _network(n_intra_blocks=1)
    assert not torch.allclose(joined.split_energies(types, pairs, EMPTY)[0], joined(types, pairs, pairs))


def test_order_of_beads_and_of_pairs_does_not_matter():
    network = _network()
    types, pairs = _cluster()
    order = torch.randperm(len(types))
    new = torch.argsort(order)
    renamed = PairList(new[pairs.second], new[pairs.first], pairs.distances)
    torch.testing.assert_close(network(types[order], renamed, EMPTY), network(types, pairs, EMPTY)[order])
    other_types = types.clone()
    other_types[0] = 1 - other_types[0]
    assert not torch.allclose(network(other_types, pairs, EMPTY), network(types, pairs, EMPTY))


def test_energy_is_smooth_at_the_cutoff():
    network = _network()
    types = torch.tensor([0, 1])
    pair = torch.tensor([0]), torch.tensor([1])

    def energy(r):
        return network(types, PairList(*pair, torch.tensor([r], dtype=torch.float64)), EMPTY).sum()

    alone = network(types, EMPTY, EMPTY).sum()
    assert abs(energy(0.8 - 1e-7) - alone) < 1e-10
    assert abs(energy(0.4) - alone) > 1e-3


def test_weights_are_stored_once_and_load_into_a_network_built_from_the_settings():
    network = _network(n_intra_blocks=1)
    again = build_network("schnet", network.config.model_dump(), 2).double()
    again.load_state_dict(network.state_dict())
    types, pairs = _cluster()
    torch.testing.assert_close(again(types, pairs, pairs), network(types, pairs, pairs))
    pointers = [tensor.data_ptr() for tensor in network.state_dict().values()]
    assert len(set(pointers)) == len(pointers)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("gnn", {"cutoff": 0.8}, "unknown network 'gnn'; known are schnet"),
        ("schnet", {}, "cutoff: missing"),
        ("schnet", {"cutoff": 0.8, "n_feature": 3}, "did you mean 'n_features'"),
        ("schnet", {"cutoff": -0.8}, "positive"),
        ("schnet", {"cutoff": 0.8, "n_basis": 1}, "n_basis at least 2"),
    ],
)
def test_settings_that_make_no_network_are_refused(kind, settings, message):
    with pytest.raises(InputError, match=message):
        build_network(kind, settings, 1)
