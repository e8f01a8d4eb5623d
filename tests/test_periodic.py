import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import find_pairs


def brute_force(positions: np.ndarray, box: np.ndarray | None, cutoff: float) -> set[tuple[int, int]]:
    i, j = np.triu_indices(len(positions), 1)
    delta = positions[j] - positions[i]
    if box is not None:
        shifts = np.array(np.meshgrid(*[(-2, -1, 0, 1, 2)] * 3)).reshape(3, -1).T @ box
        delta -= np.round(delta @ np.linalg.inv(box)) @ box
        distance = np.linalg.norm(delta[:, None] + shifts, axis=2).min(axis=1)
    else:
        distance = np.linalg.norm(delta, axis=1)
    return set(zip(i[distance < cutoff].tolist(), j[distance < cutoff].tolist(), strict=True))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 60),
    widths=st.tuples(*[st.floats(1.0, 2.0)] * 3),
    tilts=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    kind=st.sampled_from(["open", "orthorhombic", "triclinic"]),
)
def test_pairs_equal_brute_force(
    seed: int, n: int, widths: tuple[float, ...], tilts: tuple[float, ...], kind: str
) -> None:
    a, b, c = widths
    box = np.diag(widths)
    if kind == "triclinic":
        box = np.array([[a, 0, 0], [tilts[0] * a, b, 0], [tilts[1] * a, tilts[2] * b, c]])
    positions = np.random.default_rng(seed).uniform(-2, 3, (n, 3)) @ box
    cell = None if kind == "open" else box
    pairs = find_pairs(positions, cell, 0.5)
    found = list(zip(*pairs.tolist(), strict=True))
    assert len(set(found)) == len(found)
    assert set(found) == brute_force(positions, cell, 0.5)


def test_excluded_pairs_are_left_out() -> None:
    positions = np.arange(5)[:, None] * [0.1, 0, 0]
    pairs = find_pairs(positions, None, 0.15, exclusions=np.array([[0, 1], [2, 3], [0, 4]]))
    assert sorted(pairs.T.tolist()) == [[1, 2], [3, 4]]


def test_beads_on_the_faces_of_the_box_are_found() -> None:
    positions = np.array([[0.0, 0, 0], [2.0, 2.0, 2.0], [-1e-18, 0.1, 0.0]])
    assert sorted(find_pairs(positions, 2 * np.eye(3), 0.5).T.tolist()) == [[0, 1], [0, 2], [1, 2]]


def test_position_that_is_not_finite_is_named() -> None:
    with pytest.raises(InputError, match="bead 1 is"):
        find_pairs(np.array([[0.0, 0, 0], [np.nan, 0, 0]]), None, 0.5)
