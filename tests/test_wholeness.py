import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.wholeness import BondForest
from tests.atoms import BONDS, CUBIC, TRICLINIC, benzene_atoms, benzene_frames


@pytest.mark.parametrize("box", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_lattice_images_of_any_atom_do_not_change_the_molecules(box, seed):
    frames = benzene_frames(3, 2, seed=seed % 100, box=box)
    images = np.random.default_rng(seed).integers(-3, 4, size=frames.positions.shape)
    forest = BondForest.from_bonds(benzene_atoms(3).bonds, 36)
    whole = forest.make_whole(frames.positions + images @ box, frames.box)
    roots = images[:, forest.roots]
    assert np.allclose(whole, frames.positions + roots @ box, atol=1e-12)


def test_whole_molecules_come_back_bit_for_bit():
    frames = benzene_frames(4, 3)
    whole = BondForest.from_bonds(benzene_atoms(4).bonds, 48).make_whole(frames.positions, frames.box)
    assert np.array_equal(whole, frames.positions)


def test_a_long_wrapped_chain_is_put_together():
    n = 300
    bonds = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    chain = np.cumsum(np.random.default_rng(1).normal(scale=0.08, size=(1, n, 3)), axis=1)
    wrapped = np.mod(chain, 2.5)
    whole = BondForest.from_bonds(bonds[::-1], n).make_whole(wrapped, CUBIC[None])
    assert np.allclose(np.diff(whole, axis=1), np.diff(chain, axis=1), atol=1e-12)


def test_a_bond_longer_than_half_the_box_is_refused_with_its_atoms():
    positions = np.array([[[0.0, 0, 0], [0.1, 0, 0], [0.1, 1.25, 0]]])
    forest = BondForest.from_bonds(np.array([[0, 1], [1, 2]]), 3)
    with pytest.raises(InputError, match=r"atoms 1 and 2 is 1\.2500 nm.*half the smallest box width"):
        forest.make_whole(positions, CUBIC[None])


def test_a_ring_closed_across_the_box_is_refused():
    positions = np.array([[[0.0, 0, 0], [0.8, 0, 0], [1.6, 0, 0]]])
    forest = BondForest.from_bonds(np.array([[0, 1], [1, 2], [0, 2]]), 3)
    with pytest.raises(InputError, match="bonded to its own periodic image"):
        forest.make_whole(positions, CUBIC[None])


def test_every_atom_of_a_molecule_shares_one_root():
    forest = BondForest.from_bonds(np.concatenate([BONDS, BONDS + 12]), 25)
    assert np.array_equal(forest.roots, [0] * 12 + [12] * 12 + [24])


def random_forest(rng, n):
    """A forest of random trees: molecules, and bonds from each particle to an earlier one of its molecule."""
    molecules = np.sort(rng.integers(0, max(1, n // 8), n))
    bonds = [(int(rng.choice(np.flatnonzero(molecules[:k] == molecules[k]))), k)
             for k in range(1, n) if molecules[k - 1] == molecules[k]]  # fmt: skip
    return molecules, np.array(bonds, dtype=int).reshape(-1, 2)


def branched_molecules(rng, bonds, n):
    """Whole molecules with bonds of up to 0.5 nm that wander far from where they begin."""
    positions = rng.normal(scale=2.0, size=(n, 3))
    for i, j in bonds:
        step = rng.normal(size=3) + np.array([1.0, 0.5, 0.2])
        positions[j] = positions[i] + rng.uniform(0.1, 0.5) * step / np.linalg.norm(step)
    return positions


@pytest.mark.parametrize("box", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 120))
def test_images_are_those_that_were_taken_away(box, seed, n):
    rng = np.random.default_rng(seed)
    molecules, bonds = random_forest(rng, n)
    positions, moves = branched_molecules(rng, bonds, n), rng.integers(-4, 5, size=(n, 3))
    forest = BondForest.from_bonds(rng.permutation(bonds), n, molecules)
    images = forest.images(positions + moves @ box, box)
    assert np.array_equal(images, moves - moves[forest.roots])
    assert np.array_equal(forest.roots[:, None] == forest.roots, molecules[:, None] == molecules)


@pytest.mark.parametrize("box", [CUBIC, TRICLINIC], ids=["cubic", "triclinic"])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(2, 120))
def test_pairs_within_a_molecule_are_those_near_in_the_whole_molecule(box, seed, n):
    rng = np.random.default_rng(seed)
    molecules, bonds = random_forest(rng, n)
    whole = branched_molecules(rng, bonds, n)
    half_width = 0.5 / np.linalg.norm(np.linalg.inv(box), axis=0).max()
    i, j = np.triu_indices(n, 1)
    vectors = whole[i] - whole[j]
    nearest = np.rint(vectors @ np.linalg.inv(box))
    found = np.linalg.norm(vectors - nearest @ box, axis=1) < 0.999 * half_width
    pairs, nearest = np.stack([i, j])[:, found], nearest[found]
    expected = (molecules[pairs[0]] == molecules[pairs[1]]) & ~nearest.any(axis=1)
    forest = BondForest.from_bonds(bonds, n, molecules)
    moved = whole + rng.integers(-4, 5, size=(n, 3)) @ box
    assert np.array_equal(forest.is_intra(moved, box, pairs), expected)
    assert np.array_equal(forest.is_intra(moved, None, pairs), molecules[pairs[0]] == molecules[pairs[1]])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), n=st.integers(1, 300), stride=st.integers(2, 16))
def test_adding_up_level_by_level_adds_up_whole_paths(seed, n, stride):
    rng = np.random.default_rng(seed)
    molecules, bonds = random_forest(rng, n)
    forest = BondForest.from_bonds(bonds, n, molecules)
    sums = steps = np.where(np.arange(n) == forest.roots, 0, rng.integers(-3, 4, n))
    for above in forest.ancestors(stride):
        total, ancestor = sums.copy(), above
        for _ in range(stride - 1):
            total, ancestor = total + sums[ancestor], above[ancestor]
        sums = total
    expected = np.zeros(n, int)
    for particle in range(n):
        ancestor = particle
        while ancestor != forest.roots[particle]:
            expected[particle] += steps[ancestor]
            ancestor = forest.parents[ancestor]
    assert np.array_equal(sums, expected)


def test_particles_that_no_bond_joins_are_placed_beside_the_first_of_their_molecule():
    forest = BondForest.from_bonds(np.array([[1, 2]]), 4, np.array([0, 0, 0, 1]))
    assert forest.parents.tolist() == [0, 0, 1, 3]
    assert forest.roots.tolist() == [0, 0, 0, 3]
    images = forest.images(np.array([[0.1, 0, 0], [2.4, 0, 0], [0.2, 0, 0], [9.0, 0, 0]]), CUBIC)
    assert images[:, 0].tolist() == [0, 1, 0, 0]


def test_a_chain_and_its_own_image_are_not_within_a_molecule():
    chain = np.arange(6)[:, None] * [[0.48, 0.0, 0.0]]
    forest = BondForest.from_bonds(np.stack([np.arange(5), np.arange(1, 6)], axis=1), 6)
    pairs = np.array([[0, 0, 0, 3], [1, 2, 5, 5]])  # 0.48, 0.96, 2.4 (0.1 from the image) and 0.96 nm apart
    assert forest.is_intra(np.mod(chain, 2.5), CUBIC, pairs).tolist() == [True, True, False, True]


def test_single_particles_need_nothing():
    forest = BondForest.from_bonds(np.zeros((0, 2), int), 5)
    assert not forest.has_bonds
    assert forest.ancestors(2).shape == (0, 5)
