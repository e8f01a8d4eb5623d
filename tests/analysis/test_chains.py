from itertools import pairwise

import numpy as np
import pytest

from openmm_cgml.analysis.chains import check_whole, find_chains, find_linear_molecules, stack_chains
from openmm_cgml.errors import InputError
from openmm_cgml.topology import CGTopology
from tests.analysis.chain_models import join, make_chains


def molecule(bonds, n):
    return CGTopology(
        type_names=("M",), bead_types=np.zeros(n, int), bead_names=("B",) * n, masses=np.ones(n),
        molecules=np.zeros(n, int), residues=np.zeros(n, int), residue_names=("R",), bonds=np.array(bonds).reshape(-1, 2),
    )  # fmt: skip


RING = molecule([(0, 1), (1, 2), (0, 2)], 3)
STAR = molecule([(0, 1), (0, 2), (0, 3)], 4)
PIECES = molecule([(0, 1), (1, 2), (0, 2), (3, 4)], 5)


def test_chains_follow_the_bonds_whatever_the_order_of_the_beads():
    path = [3, 0, 4, 1, 2]
    topology = molecule(list(pairwise(path)), 5)
    (chain,) = find_chains(topology)
    assert chain.tolist() == path[::-1]  # from the end with the lower number


def test_chains_of_several_lengths_are_stacked_by_length():
    topology = join([make_chains(2, 5), make_chains(3, 3), make_chains(1, 5), make_chains(1, 1)])
    stacks = stack_chains(find_chains(topology))
    assert {length: chains.shape[0] for length, chains in stacks.items()} == {1: 1, 3: 3, 5: 3}
    assert stacks[5][2].tolist() == [19, 20, 21, 22, 23]


@pytest.mark.parametrize(
    ("topology", "message"),
    [(STAR, "branches at bead 0 with 3 bonds"), (RING, "closes to a ring"), (PIECES, "2 unconnected parts")],
    ids=["star", "ring", "pieces"],
)
def test_molecules_without_an_order_are_refused_with_what_is_possible(topology, message):
    with pytest.raises(InputError, match=rf"{message}.*Radius of gyration"):
        find_chains(topology)
    assert find_linear_molecules(topology).size == 0


def test_linear_molecules_are_found_beside_others():
    topology = join([RING, make_chains(2, 6), STAR, make_chains(1, 3)])
    assert find_linear_molecules(topology).tolist() == [1, 2, 4]
    assert find_linear_molecules(topology, min_beads=4).tolist() == [1, 2]
    chains = find_chains(topology, find_linear_molecules(topology))
    assert [chain.tolist() for chain in chains] == [list(range(3, 9)), list(range(9, 15)), [19, 20, 21]]


def test_molecules_cut_at_the_boundary_are_refused():
    topology = make_chains(1, 4)
    positions = np.zeros((2, 4, 3))
    positions[..., 0] = np.arange(4) * 0.9
    box = np.stack([np.eye(3) * 2.0] * 2)
    check_whole(positions, box, topology.bonds)
    check_whole(positions % 2.0, None, topology.bonds)
    with pytest.raises(InputError, match=r"frame 0: beads 2 and 3 .*whole molecules"):
        check_whole(positions % 2.0, box, topology.bonds)
