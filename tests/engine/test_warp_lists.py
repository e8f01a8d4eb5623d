import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.engine import warp_search
from openmm_cgml.engine.neighbors import perpendicular_widths
from openmm_cgml.engine.warp_lists import PairKind, WarpLists
from openmm_cgml.errors import SimulationError
from openmm_cgml.wholeness import BondForest
from tests.engine.test_neighbors import BOXES, _narrow

CPU = torch.device("cpu")
NONE = np.zeros((0, 2), dtype=np.int64)


def _lists(n, cutoff, *, skin=0.1, kind=warp_search.ALL, molecules=None, bonds=None, excluded=NONE, n_replicas=1):
    molecules = np.arange(n) if molecules is None else molecules
    kinds = (PairKind(kind=kind, cutoff=cutoff, n_knots=64, excluded=excluded),)
    forest = BondForest.from_bonds(np.zeros((0, 2), int) if bonds is None else bonds, n, molecules)
    return WarpLists(kinds, forest, n // n_replicas, skin, CPU)


def _update(lists, positions, box):
    lists.update(positions, box)
    while lists.grow():
        lists.update(positions, box)


def _near(lists):
    """Partners and distances by bead, as the rows have them now."""
    rows = lists.rows[0]
    found = {}
    for i, (start, length) in enumerate(zip(rows.starts.tolist(), rows.n_near.tolist(), strict=True)):
        partners = rows.near[start : start + length].tolist()
        place = (rows.knots + rows.offsets)[start : start + length].tolist()
        assert partners == sorted(set(partners))
        found |= {(i, j): p for j, p in zip(partners, place, strict=True)}
    return found


def _expected(positions, box, cutoff):
    """Distances of all pairs, from both sides, by a search over images."""
    x = positions.numpy()
    shifts = np.zeros((1, 3))
    if box is not None:
        cell = box.numpy()
        x = x - np.floor(x @ np.linalg.inv(cell)) @ cell
        shifts = np.stack(np.meshgrid(*[[-2, -1, 0, 1, 2]] * 3), axis=-1).reshape(-1, 3) @ cell
    best = np.full((len(x), len(x)), np.inf)
    for shift in shifts:
        best = np.minimum(best, np.linalg.norm(x[:, None] - x[None] + shift, axis=-1))
    np.fill_diagonal(best, np.inf)
    return {(int(i), int(j)): best[i, j] for i, j in np.argwhere(best < cutoff)}


def _check(lists, positions, box, cutoff):
    found, expected = _near(lists), _expected(positions, box, cutoff)
    assert found.keys() == expected.keys()
    for pair, place in found.items():
        assert abs(place * cutoff / 63 - expected[pair]) < 1e-5 * cutoff


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60),
    st.sampled_from([*sorted(BOXES), "none"]),
    st.floats(0.05, 0.5),
    st.floats(0.5, 8.0),
    st.integers(0, 10_000),
)
def test_rows_are_those_of_a_search_over_images(n, name, fraction, size, seed):
    """Boxes from a few to hundreds of cutoffs wide, beads anywhere in space."""
    rng = np.random.default_rng(seed)
    box = None if name == "none" else torch.tensor(BOXES[name] * size)
    cutoff = fraction * (size if box is None else float(perpendicular_widths(box).min()))
    frame = size * np.eye(3) if box is None else box.numpy()
    positions = torch.tensor((rng.random((n, 3)) * 5 - 2) @ frame)
    lists = _lists(n, cutoff, skin=0.3 * cutoff)
    _update(lists, positions, box)
    _check(lists, positions, box, cutoff)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_no_partner_is_missed_where_the_skin_does_not_fit_into_half_the_box(seed):
    box, cutoff, before, after = _narrow(seed)
    lists = _lists(len(before), cutoff, skin=0.4 * cutoff)
    for positions in (before, after):
        _update(lists, positions, box)
        _check(lists, positions, box, cutoff)


@pytest.mark.parametrize("name", ["triclinic", "none"])
def test_rows_are_right_while_beads_move_and_searches_are_few(name):
    rng = np.random.default_rng(0)
    box = None if name == "none" else torch.tensor(BOXES[name])
    positions = torch.tensor(rng.random((120, 3)) @ BOXES["triclinic"])
    lists = _lists(120, 0.6)
    for _ in range(12):
        positions = positions + torch.tensor(rng.normal(scale=0.01, size=positions.shape))
        _update(lists, positions, box)
        _check(lists, positions, box, 0.6)
    searches = lists.n_searches
    assert 1 < searches < 10
    _update(lists, positions, box)
    assert lists.n_searches == searches
    if box is not None:
        _update(lists, positions, box * 1.001)
        assert lists.n_searches > searches
        _check(lists, positions, box * 1.001, 0.6)


def test_kinds_of_pairs_and_exclusions():
    rng = np.random.default_rng(1)
    positions, box = torch.tensor(rng.random((60, 3)) @ BOXES["cubic"]), torch.tensor(BOXES["cubic"])
    molecules = np.repeat(np.arange(20), 3)
    excluded = np.array([[0, 1], [4, 5], [10, 50]])
    gone = {(i, j) for a, b in excluded.tolist() for i, j in ((a, b), (b, a))}
    expected = set(_expected(positions, box, 0.9))
    assert gone & expected
    same = {(i, j) for i, j in expected if molecules[i] == molecules[j]}
    for kind, pairs in (
        (warp_search.ALL, expected),
        (warp_search.WITHIN, same),
        (warp_search.BETWEEN, expected - same),
    ):
        lists = _lists(60, 0.9, kind=kind, molecules=molecules, excluded=excluded)
        _update(lists, positions, box)
        assert set(_near(lists)) == pairs - gone


@pytest.mark.parametrize("periodic", [True, False])
def test_beads_of_different_replicas_are_no_partners(periodic):
    rng = np.random.default_rng(2)
    box = torch.tensor(BOXES["triclinic"]) if periodic else None
    positions = torch.tensor(rng.random((90, 3)) @ BOXES["triclinic"])
    lists = _lists(90, 0.7, n_replicas=3)
    _update(lists, positions, box)
    expected = {(i, j) for i, j in _expected(positions, box, 0.7) if i // 30 == j // 30}
    assert set(_near(lists)) == expected
    assert len(expected) < len(_expected(positions, box, 0.7))


def test_a_row_without_room_is_never_used():
    """What a CUDA graph sees, where nobody can make room: NaN instead of energies without some of the pairs."""
    rng = np.random.default_rng(3)
    box = torch.tensor(BOXES["cubic"])
    positions = torch.tensor(rng.random((80, 3)) @ BOXES["cubic"])
    lists = _lists(80, 0.5)
    lists.update(positions, box)
    assert torch.isnan(lists.verdict).all()
    assert lists.grow()
    lists.update(positions, box)
    assert float(lists.verdict) == 0.0
    assert not lists.grow()
    room = lists.rows[0].room
    denser = positions * 0.5
    lists.update(denser, box)
    assert torch.isnan(lists.verdict).all()
    _update(lists, denser, box)
    assert lists.rows[0].room > room
    assert float(lists.verdict) == 0.0
    _check(lists, denser, box, 0.5)


def test_a_narrow_box_and_positions_that_are_not_finite_are_found():
    positions = torch.tensor(np.random.default_rng(4).random((20, 3)))
    box = torch.tensor(BOXES["cubic"])
    _update(_lists(20, 1.0), positions, box)
    for wrong, where, message in (
        (positions, box * 0.99, "twice the cutoff"),
        (torch.where(positions == positions[3, 0], torch.nan, positions), box, "not finite"),
        (torch.where(positions == positions[3, 0], torch.inf, positions), None, "not finite"),
    ):
        lists = _lists(20, 1.0)
        lists.update(wrong, where)
        assert torch.isnan(lists.verdict).all()
        with pytest.raises(SimulationError, match=message):
            lists.grow()


def test_without_a_box_and_with_one_are_told_apart():
    """A list that was made without a box is not used in one."""
    positions = torch.tensor(np.random.default_rng(5).random((40, 3)))
    lists = _lists(40, 0.4)
    for box in (None, torch.eye(3, dtype=torch.float64), None):
        _update(lists, positions, box)
        _check(lists, positions, box, 0.4)
