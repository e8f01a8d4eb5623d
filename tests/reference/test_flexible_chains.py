"""Growth of chains from the conformations of a short one: bonds, torsions, tacticity, distances."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.periodic import minimum_image, torsion_angles
from openmm_cgml.reference import chain_growth
from openmm_cgml.reference.flexible_chains import hand_of
from openmm_cgml.reference.polymer_files import read_polymer
from tests.reference import short_chains


def grown(tmp_path, n_chains=3, monomers=8, edge=4.0, seed=1, tacticity=None, **changes):
    path = short_chains.write(tmp_path / "chain.pdb", **changes)
    center = None if tacticity is None else "C2"
    polymer = read_polymer(path, short_chains.CHAIN, tacticity=tacticity, stereocenter=center)
    positions = polymer.grow(n_chains, monomers, edge, np.random.default_rng(seed))
    return polymer, positions.reshape(n_chains, -1, 3)


def atoms_of(polymer, monomers):
    """Number of the first atom of each residue of a chain, and names of all atoms."""
    units = polymer.units(monomers)
    starts = np.cumsum([0, *(len(unit.atom_names) for unit in units)])[:-1]
    return units, starts


def hands(polymer, chain, monomers):
    """+1 or -1 for each inner residue, by the side that its fluorine lies on, seen along the chain."""
    units, starts = atoms_of(polymer, monomers)
    found = []
    for number in range(1, monomers - 1):
        place = {name: chain[starts[number] + i] for i, name in enumerate(units[number].atom_names)}
        following = chain[starts[number + 1]]
        normal = np.cross(place["C1"] - place["C2"], following - place["C2"])
        found.append(int(np.sign(normal @ (place["F1"] - place["C2"]))))
    return np.array(found)


def test_every_bond_of_the_topology_has_its_length(tmp_path):
    polymer, chains = grown(tmp_path)
    topology = polymer.topology(len(chains), 8)
    positions = chains.reshape(-1, 3)
    lengths = np.array([np.linalg.norm(positions[a.index] - positions[b.index]) for a, b in topology.bonds()])
    assert len(positions) == topology.getNumAtoms()
    assert lengths.min() > 0.05 and lengths.max() < 0.2


def test_heavy_atoms_far_along_a_chain_or_of_other_chains_keep_their_distance(tmp_path):
    polymer, chains = grown(tmp_path, n_chains=8, monomers=10, edge=3.0)
    topology = polymer.topology(len(chains), 10)
    heavy = np.array([atom.index for atom in topology.atoms() if atom.element.symbol != "H"])
    chain_of = np.array([atom.residue.chain.index for atom in topology.atoms()])[heavy]
    positions = chains.reshape(-1, 3)[heavy]
    nearest = minimum_image(positions[:, None] - positions[None], 3.0 * np.eye(3))
    distances = np.linalg.norm(nearest, axis=-1)
    other = chain_of[:, None] != chain_of[None]
    assert distances[other].min() >= 0.36
    along = np.abs(np.subtract.outer(heavy, heavy))
    far = ~other & (along > 3 * 6)
    assert distances[far].min() >= 0.32


@pytest.mark.parametrize("seed", [1, 2])
def test_isotactic_chains_have_one_hand_and_syndiotactic_ones_alternate(tmp_path, seed):
    polymer, chains = grown(tmp_path, n_chains=6, monomers=9, tacticity="isotactic", seed=seed, edge=6.0)
    found = [hands(polymer, chain, 9) for chain in chains]
    assert all(abs(own.sum()) == 7 for own in found)
    assert {int(own[0]) for own in found} == {1, -1}  # chains of both hands
    polymer, chains = grown(tmp_path, n_chains=3, monomers=9, tacticity="syndiotactic", seed=seed, edge=6.0)
    assert all((own[1:] == -own[:-1]).all() for own in (hands(polymer, chain, 9) for chain in chains))


def test_atactic_chains_have_random_hands_that_are_not_those_of_the_file(tmp_path):
    polymer, chains = grown(tmp_path, n_chains=12, monomers=12, tacticity="atactic", edge=8.0)
    found = np.concatenate([hands(polymer, chain, 12) for chain in chains])
    same = np.concatenate([(own[1:] == own[:-1]) for own in (hands(polymer, chain, 12) for chain in chains)])
    assert 0.35 < (found == 1).mean() < 0.65
    assert 0.35 < same.mean() < 0.65


def test_one_seed_gives_one_box_and_another_another(tmp_path):
    first, same, other = (grown(tmp_path, seed=seed)[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.1


def test_conformations_within_a_residue_are_those_of_the_file(tmp_path):
    polymer, chains = grown(tmp_path, n_models=1, n_units=3)
    _, starts = atoms_of(polymer, 8)
    pairs = [squareform(pdist(chains[0][start : start + 6])) for start in starts[1:-1]]
    for own in pairs[1:]:
        np.testing.assert_allclose(own, pairs[0], atol=1e-9)


def test_a_box_that_is_too_full_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(chain_growth, "_TRIALS_PER_RESIDUE", 5)
    with pytest.raises(SimulationError, match=r"no way through a box of 1\.000 nm.*reference\.density"):
        grown(tmp_path, n_chains=30, edge=1.0)


def test_a_tacticity_needs_both_hands(tmp_path):
    """With one conformation of one hand the mirror image gives the other; without a stereocenter there is none."""
    grown(tmp_path, n_models=1, n_units=3, tacticity="syndiotactic")
    path = short_chains.write(tmp_path / "chain.pdb")
    polymer = read_polymer(path, short_chains.CHAIN, tacticity="isotactic")
    with pytest.raises(InputError, match="name the stereocenter"):
        polymer.grow(1, 4, 4.0, np.random.default_rng(1))


def test_mirror_images_have_opposite_hands():
    generator = np.random.default_rng(0)
    center, neighbors = generator.normal(size=3), generator.normal(size=(3, 3))
    image = np.array([1.0, 1.0, -1.0])
    assert hand_of(center, neighbors) == -hand_of(center * image, neighbors * image)


def test_torsions_between_residues_are_those_of_the_file_spread_a_little(tmp_path):
    """The made-up chain is a flat zigzag: all of them are 180 degrees."""
    polymer, chains = grown(tmp_path, n_chains=6, monomers=12, edge=8.0)
    _, starts = atoms_of(polymer, 12)
    four = np.array([[first, first + 1, second, second + 1] for first, second in pairwise(starts)])
    off = np.degrees(np.pi - np.abs([torsion_angles(chain, None, four) for chain in chains]))
    assert np.sqrt((off**2).mean()) == pytest.approx(10.0, abs=4.0)
