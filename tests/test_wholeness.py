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
    with pytest.raises(InputError, match="unclear which periodic image"):
        forest.make_whole(positions, CUBIC[None])


def test_every_atom_of_a_molecule_shares_one_root():
    forest = BondForest.from_bonds(np.concatenate([BONDS, BONDS + 12]), 25)
    assert np.array_equal(forest.roots, [0] * 12 + [12] * 12 + [24])
