import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmm_cgml.dataset import split_blocks
from openmm_cgml.errors import InputError


@given(
    n_frames=st.integers(12, 3000),
    n_blocks=st.integers(1, 60),
    gap=st.integers(0, 3),
    seed=st.integers(0, 5),
    shares=st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.5), (1.0,), (0.6, 0.0, 0.4), (0.3, 0.3, 0.2)]),
)
def test_parts_are_disjoint_ascending_and_apart(n_frames, n_blocks, gap, seed, shares):
    if n_blocks < sum(share > 0 for share in shares):
        return
    parts = split_blocks(n_frames, shares, n_blocks=n_blocks, seed=seed, gap=gap)
    assert list(parts) == ["train", "validation", "test"][: len(shares)]
    owner = np.full(n_frames, -1)
    for number, (indices, share) in enumerate(zip(parts.values(), shares, strict=True)):
        assert (np.diff(indices) > 0).all()
        assert (owner[indices] == -1).all()
        assert (len(indices) > 0) == (share > 0)
        owner[indices] = number
    used = np.flatnonzero(owner >= 0)
    changes = owner[used][1:] != owner[used][:-1]
    assert (np.diff(used)[changes] > gap).all()


def test_shares_are_kept():
    parts = split_blocks(2000, (0.8, 0.1, 0.1), n_blocks=20)
    sizes = [len(indices) / 2000 for indices in parts.values()]
    assert np.allclose(sizes, (0.8, 0.1, 0.1), atol=0.01)


def test_the_seed_decides():
    one, same, other = (split_blocks(500, seed=seed)["test"] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_frames": 5}, "5 frames are too few to split into 3 parts with 1 left out between them; at least 6"),
        ({"n_frames": 100, "fractions": (0.8, 0.3)}, "sum to at most 1"),
        ({"n_frames": 100, "fractions": (0.8, -0.1)}, "sum to at most 1"),
        ({"n_frames": 100, "fractions": (0.7, 0.1, 0.1, 0.1)}, "1 to 3 numbers"),
        ({"n_frames": 100, "n_blocks": 0}, "at least 1 block"),
    ],
)
def test_splits_that_cannot_be_made_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        split_blocks(**arguments)
