import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.engine import cell_list
from openmm_cgml.engine.cell_list import find_pairs, has_moved, perpendicular_widths

IMAGES = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)])


def _by_brute_force(positions, box, reach, n_replicas, images=IMAGES):
    inside = positions - np.floor(positions @ np.linalg.inv(box)) @ box
    vectors = inside[:, None] - inside[None]
    shifts = (images @ box)[:, None, None]
    near = (((vectors + shifts) ** 2).sum(-1) < reach**2).any(0)
    replicas = np.arange(len(positions)) // (len(positions) // n_replicas)
    near &= replicas[:, None] == replicas[None]
    return {(i, j) for i, j in np.argwhere(near).tolist() if i < j}


def _found(owners, partners):
    pairs = [(min(i, j), max(i, j)) for i, j in zip(owners.tolist(), partners.tolist(), strict=True)]
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


@settings(max_examples=60, deadline=None)
@given(
    edges=st.tuples(*[st.floats(1.0, 4.0)] * 3),
    tilts=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    share=st.floats(0.1, 1.0),
    n_replicas=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 1000),
)
def test_pairs_are_those_of_brute_force_in_any_reduced_box(edges, tilts, share, n_replicas, seed):
    a, b, c = edges
    box = np.array([[a, 0, 0], [tilts[0] * a, b, 0], [tilts[1] * a, tilts[2] * b, c]])
    reach = share * float(perpendicular_widths(box).min()) / 2 * (1 - 1e-9)
    rng = np.random.default_rng(seed)
    positions = rng.normal(scale=3.0, size=(60, 3)) @ box
    expected = _by_brute_force(positions, box, reach, n_replicas)
    owners, partners = find_pairs(positions, box, reach, n_replicas=n_replicas)
    assert _found(owners, partners) == expected
    assert (np.diff(owners) >= 0).all()
    assert all((np.diff(partners[owners == i]) > 0).all() for i in range(60))


@pytest.mark.parametrize(("cells_per_reach", "n_cells"), [(0.4, 1), (1, 2), (1.5, 3), (2, 4), (3, 6)])
def test_a_pair_is_listed_once_however_few_cells_there_are(monkeypatch, cells_per_reach, n_cells):
    """With one or two cells along a vector, a cell meets another, or itself, at several images of it."""
    monkeypatch.setattr(cell_list, "_CELLS_PER_REACH", cells_per_reach)
    monkeypatch.setattr(cell_list, "_MAX_CELLS_PER_BEAD", 10)
    box, reach = np.array([[2.0, 0, 0], [0.2, 2.0, 0], [-0.3, 0.1, 1.95]]), 0.95
    assert cell_list.sort_into_cells(np.zeros((80, 3)), box, reach, 1)[0].tolist() == [n_cells] * 3
    positions = np.random.default_rng(0).random((80, 3)) @ box
    found = _found(*find_pairs(positions, box, reach))
    assert found == _by_brute_force(positions, box, reach, 1)
    assert found != _by_brute_force(positions, box, reach, 1, images=np.zeros((1, 3)))  # the control: images matter


@pytest.mark.parametrize("is_periodic", [True, False])
def test_beads_that_are_crowded_in_a_corner_are_all_found(is_periodic):
    """Many more pairs than the mean density has: the list grows."""
    positions, box = np.random.default_rng(0).random((300, 3)) * 0.6, np.eye(3) * 8.0
    owners, partners = find_pairs(positions, box, 0.9, is_periodic=is_periodic)
    assert len(owners) > 300 * 100
    assert _found(owners, partners) == _by_brute_force(positions, box, 0.9, 1)


def test_without_periodic_boundaries_images_do_not_count():
    positions = np.array([[0.1, 0.1, 0.1], [2.9, 0.1, 0.1], [0.4, 0.1, 0.1]])
    box = np.eye(3) * 3.0
    assert _found(*find_pairs(positions, box, 0.5)) == {(0, 1), (0, 2)}
    assert _found(*find_pairs(positions, box, 0.5, is_periodic=False)) == {(0, 2)}


def test_beads_far_apart_need_no_more_memory_than_beads_close_by():
    positions = np.array([[0.0, 0, 0], [1e6, 1e6, 1e6], [1e6, 1e6, 1e6 + 0.3]])
    assert _found(*find_pairs(positions, np.eye(3) * 1e7, 0.5)) == {(1, 2)}


def test_every_bead_owns_about_as_many_pairs():
    rng = np.random.default_rng(0)
    owners, _ = find_pairs(rng.random((1000, 3)) * 3.0, np.eye(3) * 3.0, 0.7)
    halves = [(owners < 500).sum(), (owners >= 500).sum()]
    assert max(halves) < 1.05 * min(halves)


@pytest.mark.parametrize(("step", "expected"), [(0.049, False), (0.051, True), (np.nan, True)])
def test_a_bead_that_moved_or_is_nowhere_is_noticed(step, expected):
    before = np.zeros((5, 3))
    after = before.copy()
    after[3, 1] = step
    assert has_moved(after, before, 0.05) is expected
