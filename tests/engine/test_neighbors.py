import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.engine.neighbors import NeighborList, minimum_image, pairs_within, perpendicular_widths

BOXES = {
    "cubic": np.diag([2.0, 2.0, 2.0]),
    "oblong": np.diag([2.0, 3.0, 4.0]),
    "triclinic": np.array([[2.4, 0, 0], [0.9, 2.5, 0], [-1.1, 1.2, 2.6]]),
}


def _random(n, box, seed=0):
    return torch.tensor((np.random.default_rng(seed).random((n, 3)) * 7 - 3) @ box), torch.tensor(box)


def _brute(positions, box, cutoff):
    """All images by explicit shifts: nothing shared with the code under test."""
    x, box = positions.numpy(), box.numpy()
    x = x - np.floor(x @ np.linalg.inv(box)) @ box
    shifts = np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3), axis=-1).reshape(-1, 3) @ box
    best = np.full((len(x), len(x)), np.inf)
    for shift in shifts:
        best = np.minimum(best, np.linalg.norm(x[:, None] - x[None] + shift, axis=-1))
    i, j = np.nonzero(np.triu(best < cutoff, 1))
    return np.stack([i, j])


@pytest.mark.parametrize("name", BOXES)
@pytest.mark.parametrize("brute_force_limit", [1000, 0])
def test_pairs_are_those_of_a_search_over_images(name, brute_force_limit):
    positions, box = _random(150, BOXES[name])
    pairs = pairs_within(positions, box, 0.5, brute_force_limit)
    np.testing.assert_array_equal(pairs.numpy(), _brute(positions, box, 0.5))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.floats(0.2, 0.65), st.sampled_from(sorted(BOXES)), st.integers(0, 10_000))
def test_cell_list_and_all_pairs_agree(n, cutoff, name, seed):
    positions, box = _random(n, BOXES[name], seed)
    assert torch.equal(pairs_within(positions, box, cutoff, 0), pairs_within(positions, box, cutoff, 1000))


def test_one_bead_has_no_pairs():
    positions, box = _random(1, BOXES["cubic"])
    assert pairs_within(positions, box, 0.5).shape == (2, 0)


def test_the_list_is_right_while_beads_move_and_is_rebuilt_only_when_needed():
    positions, box = _random(120, BOXES["triclinic"])
    neighbors = NeighborList(0.6, 0.1)
    rng = np.random.default_rng(0)
    for _ in range(12):
        positions = positions + torch.tensor(rng.normal(scale=0.01, size=positions.shape))
        pairs, vectors, distances = neighbors(positions, box)
        np.testing.assert_array_equal(pairs.numpy(), _brute(positions, box, 0.6))
        torch.testing.assert_close(vectors.norm(dim=1), distances)
    assert 1 < neighbors.n_builds < 10
    before = neighbors.n_builds
    neighbors(positions, box * 1.001)
    assert neighbors.n_builds == before + 1


def test_a_list_that_is_not_rebuilt_would_be_wrong():
    positions, box = _random(200, BOXES["cubic"])
    neighbors = NeighborList(0.6, 0.1)
    neighbors(positions, box)
    stale = neighbors.pairs
    moved = positions + torch.tensor(np.random.default_rng(1).normal(scale=0.2, size=positions.shape))
    pairs, _, _ = neighbors(moved, box)
    known = set(map(tuple, stale.T.tolist()))
    assert not all(pair in known for pair in map(tuple, pairs.T.tolist()))


def test_without_a_box_there_are_no_images():
    positions, _ = _random(50, BOXES["cubic"])
    pairs, _, distances = NeighborList(0.8, 0.1)(positions, None)
    i, j = np.triu_indices(50, 1)
    direct = np.linalg.norm(positions.numpy()[i] - positions.numpy()[j], axis=1)
    np.testing.assert_array_equal(pairs.numpy(), np.stack([i, j])[:, direct < 0.8])
    np.testing.assert_allclose(distances.numpy(), direct[direct < 0.8], rtol=1e-14)


def test_a_box_narrower_than_twice_the_cutoff_is_refused():
    positions, box = _random(20, BOXES["cubic"])
    NeighborList(1.0, 0.1)(positions, box)
    with pytest.raises(RuntimeError, match="less than twice"):
        NeighborList(1.01, 0.1)(positions, box)


def test_widths_and_minimum_images_of_a_triclinic_box():
    box = torch.tensor(BOXES["triclinic"])
    widths = perpendicular_widths(box)
    inverse = np.linalg.inv(box.numpy())
    np.testing.assert_allclose(widths.numpy(), 1 / np.linalg.norm(inverse, axis=0))
    vectors = torch.tensor(np.random.default_rng(0).normal(scale=0.2, size=(100, 3)))
    vectors = vectors[vectors.norm(dim=1) < widths.min() / 2]
    images = torch.tensor(np.random.default_rng(1).integers(-3, 4, size=(len(vectors), 3)).astype(float)) @ box
    torch.testing.assert_close(minimum_image(vectors + images, box), vectors, rtol=0, atol=1e-12)


def _narrow(seed):
    """Beads before and after a move of less than half the skin, in a box that is hardly wider than twice the cutoff."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(1.0, 1.3, size=3)
    skew = rng.uniform(-0.5, 0.5, size=3)
    box = torch.tensor([[a, 0, 0], [skew[0] * a, b, 0], [skew[1] * a, skew[2] * b, c]])
    cutoff = rng.uniform(0.45, 0.5) * float(perpendicular_widths(box).min())
    positions = torch.tensor(rng.random((40, 3))) @ box
    steps = rng.normal(size=positions.shape)
    steps *= 0.49 * 0.4 * cutoff * rng.random((40, 1)) / np.linalg.norm(steps, axis=1, keepdims=True)
    return box, cutoff, positions, positions + torch.tensor(steps)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_no_pair_is_missed_where_the_skin_does_not_fit_into_half_the_box(seed):
    box, cutoff, before, after = _narrow(seed)
    neighbors = NeighborList(cutoff, 0.4 * cutoff)
    for positions in (before, after):
        np.testing.assert_array_equal(neighbors(positions, box)[0].numpy(), _brute(positions, box, cutoff))
    assert neighbors.slack < neighbors.skin


def test_with_all_of_its_skin_the_list_would_miss_pairs_there():
    missed = 0
    for seed in range(40):
        box, cutoff, before, after = _narrow(seed)
        listed = pairs_within(before, box, 1.4 * cutoff)
        missed += not set(map(tuple, _brute(after, box, cutoff).T)) <= set(map(tuple, listed.T.tolist()))
    assert missed > 0


def test_a_box_of_just_twice_the_cutoff_is_searched_at_every_call():
    positions, box = _random(30, BOXES["cubic"])
    neighbors = NeighborList(1.0, 0.1)
    for calls in (1, 2, 3):
        neighbors(positions, box)
        assert neighbors.n_builds == calls
