import pytest
import torch
from torchmdnet.models.torchmd_gn import InteractionBlock
from torchmdnet.models.utils import CosineCutoff as TheirCutoff
from torchmdnet.models.utils import GaussianSmearing, act_class_mapping

from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.networks.layers import ACTIVATIONS, CosineCutoff, GaussianBasis

THEIR_NAMES = {"shifted_softplus": "ssp", "tanh": "tanh", "silu": "silu"}
DISTANCES = torch.linspace(0.0, 1.2, 61)


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activations_are_those_of_torchmdnet(kind):
    z = torch.linspace(-30, 30, 101)
    assert torch.equal(ACTIVATIONS[kind]()(z), act_class_mapping[THEIR_NAMES[kind]]()(z))


def test_basis_and_cutoff_are_those_of_torchmdnet_to_the_last_bit():
    theirs = GaussianSmearing(0.0, 0.9, 17, trainable=False)
    ours = GaussianBasis(0.9, 17)
    assert torch.equal(ours(DISTANCES), theirs(DISTANCES))
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert torch.equal(CosineCutoff(0.9)(DISTANCES), TheirCutoff(0.0, 0.9)(DISTANCES))
    assert not torch.equal(CosineCutoff(0.91)(DISTANCES), TheirCutoff(0.0, 0.9)(DISTANCES))


def test_a_seed_gives_a_block_the_weights_that_it_gives_torchmdnets():
    config = SchNetConfig(n_features=10, n_filters=14, n_basis=8, cutoff=0.8, n_inter_blocks=1)
    torch.manual_seed(3)
    torch.nn.Embedding(2, 10)  # drawn before the blocks
    theirs = InteractionBlock(10, 8, 14, act_class_mapping["ssp"], 0.0, 0.8)
    del theirs.mlp  # the same module as conv.net
    torch.manual_seed(3)
    ours = SchNet(config, 2).inter_blocks[0].state_dict()
    assert ours.keys() == theirs.state_dict().keys()
    assert all(torch.equal(ours[name], weights) for name, weights in theirs.state_dict().items())
