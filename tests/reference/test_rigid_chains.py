import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from openmm_cgml.errors import SimulationError
from openmm_cgml.reference import chain_growth
from openmm_cgml.reference.rigid_chains import RigidResidue, grow_rigid_chains, superpose

EXIT = np.array([0.4, 0.1, 0.0]) + np.array([[0.0, 0.0, 0.0], [0.0, 0.15, 0.0], [0.1, 0.0, 0.0]])
TURN = Rotation.from_euler("zx", [50.0, 40.0], degrees=True).as_matrix()
RESIDUE = RigidResidue(
    positions=np.concatenate([[[0.0, 0.0, 0.0], [0.1, 0.1, 0.1]], EXIT]),
    entry=(EXIT - EXIT[0]) @ TURN.T - [0.3, 0.0, 0.0],
    exit=np.array([2, 3, 4]),
    crossed_exit=np.array([2, 4, 3]),
)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31))
def test_superposition_undoes_a_rotation_and_a_shift(seed):
    generator = np.random.default_rng(seed)
    points, turn = generator.normal(size=(5, 3)), Rotation.random(rng=generator).as_matrix()
    rotation, shift = superpose(points, points @ turn.T + [1.0, -2.0, 3.0])
    np.testing.assert_allclose(rotation, turn, atol=1e-9)
    np.testing.assert_allclose(shift, [1.0, -2.0, 3.0], atol=1e-9)


def test_superposition_never_reflects():
    points = np.random.default_rng(0).normal(size=(5, 3))
    rotation, shift = superpose(points, points * [1.0, 1.0, -1.0])
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    assert np.abs(points @ rotation.T + shift - points * [1.0, 1.0, -1.0]).max() > 0.1


def grown(n_chains=2, n_residues=4, edge=6.0, seed=0, crossed=False):
    residues, joints = [RESIDUE] * n_residues, [crossed] * (n_residues - 1)
    chains = grow_rigid_chains(residues, joints, n_chains, edge, np.random.default_rng(seed))
    return chains.reshape(n_chains, n_residues, 5, 3)


def test_residues_are_rigid_copies_of_either_hand():
    positions = grown(n_residues=8)
    distances = np.linalg.norm(positions[:, :, :, None] - positions[:, :, None], axis=-1)
    own = np.linalg.norm(RESIDUE.positions[:, None] - RESIDUE.positions, axis=-1)
    np.testing.assert_allclose(distances, np.broadcast_to(own, distances.shape), atol=1e-12)
    a, b, c = (positions[:, :, i] - positions[:, :, 0] for i in (1, 2, 3))
    hands = np.sign(np.einsum("nri,nri->nr", a, np.cross(b, c)))
    assert set(hands.ravel()) == {1.0, -1.0}


@pytest.mark.parametrize("crossed", [False, True])
def test_each_residue_lies_where_the_exit_of_the_one_before_is_its_entry(crossed):
    positions = grown(crossed=crossed)
    wanted = np.linalg.norm(RESIDUE.entry - RESIDUE.positions[0], axis=1)[[0, 2, 1] if crossed else [0, 1, 2]]
    found = np.linalg.norm(positions[:, :-1, 2:] - positions[:, 1:, None, 0], axis=-1)
    # A crossed joint puts a short side of the triangle on a long one, which superposition settles halfway.
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=0.04 if crossed else 1e-9)


def test_chains_keep_their_distance_from_each_other_and_from_their_images():
    edge = 3.0
    positions = grown(n_chains=6, n_residues=6, edge=edge).reshape(6, -1, 3)
    vectors = positions[:, :, None, None] - positions[None, None]
    shifts = edge * np.rint(vectors / edge)
    distances = np.linalg.norm(vectors - shifts, axis=-1)
    chain, image = np.eye(6, dtype=bool)[:, None, :, None], shifts.any(axis=-1)
    assert distances[~chain | image].min() > 0.28


def test_a_box_that_is_too_full_says_what_to_do(monkeypatch):
    monkeypatch.setattr(chain_growth, "_TRIALS_PER_RESIDUE", 10)
    with pytest.raises(SimulationError, match=r"4 residues found no way through a box of 1\.000 nm.*density"):
        grown(n_chains=9, edge=1.0)
