import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.training.batches import BatchLoader
from openmm_cgml.training.pairs import PairFinder
from tests.training.dimers import NETWORK, dimer_frames
from tests.training.test_pair_slopes import dimer_store


class _Keys:
    """Stands for the frames; a batch is its keys."""

    def batch(self, keys):
        return tuple(keys)


def _loader(n_frames, batch_size, seed=3):
    return BatchLoader(_Keys(), [(0, i) for i in range(n_frames)], batch_size, seed)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 30), st.integers(1, 7), st.integers(0, 1000))
def test_every_epoch_holds_every_frame_once(n_frames, batch_size, epoch):
    loader = _loader(n_frames, batch_size)
    loader.set_epoch(epoch)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(key for batch in batches for key in batch) == [(0, i) for i in range(n_frames)]


def test_the_order_depends_on_seed_and_epoch_alone():
    one, two = _loader(20, 3), _loader(20, 3)
    list(one)  # earlier epochs leave no trace
    for loader in (one, two):
        loader.set_epoch(5)
    assert list(one) == list(two)
    two.set_epoch(6)
    assert list(one) != list(two)
    assert not np.array_equal(one.order(5), _loader(20, 3, seed=4).order(5))


def test_a_loader_goes_on_where_another_stood():
    whole, interrupted = _loader(20, 3), _loader(20, 3)
    iterator = iter(interrupted)
    first = [next(iterator) for _ in range(4)]
    resumed = _loader(20, 3)
    resumed.load_state_dict(interrupted.state_dict())
    assert first + list(resumed) == list(whole)
    assert list(resumed) == list(whole)  # only the resumed epoch is shorter


def test_without_a_seed_the_order_is_kept():
    assert [key for batch in BatchLoader(_Keys(), [(0, 4), (1, 2)], 1) for key in batch] == [(0, 4), (1, 2)]


def test_pairs_of_a_frame_are_searched_once_in_all_epochs(monkeypatch):
    searches, find = [], PairFinder.find
    monkeypatch.setattr(PairFinder, "find", lambda *args: searches.append(1) or find(*args))
    loader = BatchLoader(dimer_store(dimer_frames(5), NETWORK), [(0, i) for i in range(5)], 2, seed=1)
    for epoch in range(3):
        loader.set_epoch(epoch)
        assert sum(batch.n_frames for batch in loader) == 5
    assert len(searches) == 5
