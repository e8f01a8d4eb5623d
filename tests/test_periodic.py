import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import (
    bond_angles,
    bond_lengths,
    box_widths,
    find_pairs,
    image_counts,
    minimum_image,
    pair_distances,
    pair_vectors,
    periodic_tree,
    torsion_angles,
    wrap,
)
from tests.atoms import TRICLINIC


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


def shortest_images(vectors: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Lengths of the shortest of all images."""
    shifts = np.array(np.meshgrid(*[(-2, -1, 0, 1, 2)] * 3)).reshape(3, -1).T @ box
    inside = vectors - np.floor(vectors @ np.linalg.inv(box)) @ box
    return np.linalg.norm(inside[:, None] + shifts, axis=2).min(axis=1)


boxes = st.builds(
    lambda widths, tilts: np.array(
        [
            [widths[0], 0, 0],
            [tilts[0] * widths[0], widths[1], 0],
            [tilts[1] * widths[0], tilts[2] * widths[1], widths[2]],
        ]
    ),
    st.tuples(*[st.floats(1.0, 2.0)] * 3),
    st.tuples(*[st.floats(-0.5, 0.5)] * 3),
)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), box=boxes)
def test_distances_below_half_the_smallest_diagonal_are_the_shortest(seed: int, box: np.ndarray) -> None:
    positions = np.random.default_rng(seed).uniform(-3, 3, (40, 3))
    i, j = np.triu_indices(40, 1)
    expected = shortest_images(positions[j] - positions[i], box)
    near = expected < 0.5 * np.diag(box).min()  # further than half the smallest width of a skewed box
    i, j = i[near], j[near]
    np.testing.assert_allclose(pair_distances(positions, box, i, j), expected[near], atol=1e-12)
    vectors = pair_vectors(positions, box, i, j)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), expected[near], atol=1e-12)
    np.testing.assert_allclose(vectors, -minimum_image(positions[i] - positions[j], box), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), box=boxes)
def test_image_counts_lead_to_the_shortest_image_in_boxes_of_any_orientation(seed: int, box: np.ndarray) -> None:
    rng = np.random.default_rng(seed)
    turned = box @ np.linalg.qr(rng.normal(size=(3, 3)))[0]
    short = rng.normal(size=(30, 3))
    short *= rng.uniform(0, 0.499, (30, 1)) * box_widths(turned).min() / np.linalg.norm(short, axis=1, keepdims=True)
    counts = rng.integers(-5, 6, (30, 3))
    np.testing.assert_array_equal(image_counts(short + counts @ turned, turned), counts)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), box=boxes)
def test_wrapped_positions_are_inside_and_whole_images_away(seed: int, box: np.ndarray) -> None:
    positions = np.random.default_rng(seed).uniform(-9, 9, (2, 20, 3))
    wrapped = wrap(positions, np.stack([box, box]))
    fractions = wrapped @ np.linalg.inv(box)
    assert fractions.min() > -1e-12
    assert fractions.max() < 1 + 1e-12
    moved = (wrapped - positions) @ np.linalg.inv(box)
    np.testing.assert_allclose(moved, np.rint(moved), atol=1e-9)
    np.testing.assert_array_equal(wrap(positions, None), positions)


def test_widths_are_distances_between_faces() -> None:
    sheared = np.array([[2.0, 0, 0], [1.0, 1.0, 0], [0, 0, 5.0]])
    np.testing.assert_allclose(box_widths(np.stack([np.diag([1.0, 2, 3]), sheared])), [[1, 2, 3], [2**0.5, 1, 5]])


@pytest.mark.parametrize("tilt", [0.0, 0.6], ids=["orthorhombic", "triclinic"])
def test_a_pair_half_the_box_apart_is_found_once(tilt: float) -> None:
    box = np.array([[2.0, 0, 0], [tilt, 2.0, 0], [0, 0, 2.0]])
    pairs = find_pairs(np.array([[0.1, 0, 0], [1.1, 0, 0]]), box, 1.0 * (1 + 1e-9))
    assert pairs.T.tolist() == [[0, 1]]
    with pytest.raises(InputError, match="2 nm wide"):
        find_pairs(np.zeros((2, 3)), box, 1.001)


def test_a_tree_of_points_outside_the_cube_finds_them_through_its_faces() -> None:
    tree = periodic_tree([np.array([[-1e-20, 0.1, 0.1]]), np.array([[3.9, 0.1, 0.1]])], 2.0)
    assert sorted(tree.query_ball_point([0.05, 0.1, 0.1], 0.2)) == [0, 1]
    assert periodic_tree([], 2.0).n == 0


def test_minimum_images_are_the_shortest():
    rng = np.random.default_rng(10)
    vectors = rng.uniform(-8, 8, (300, 3))
    shifts = np.array([[a, b, c] for a in range(-6, 7) for b in range(-6, 7) for c in range(-6, 7)]) @ TRICLINIC
    shortest = np.sqrt(((vectors[:, None] + shifts) ** 2).sum(axis=2)).min(axis=1)
    found = np.linalg.norm(minimum_image(vectors, TRICLINIC), axis=1)
    near = shortest < 1.2
    assert near.sum() > 20
    np.testing.assert_allclose(found[near], shortest[near], atol=1e-12)


def test_bonds_and_angles_are_right_across_the_boundary():
    positions = np.array([[[0.1, 0, 0], [2.9, 0, 0], [2.9, 0.3, 0]]])
    box = np.eye(3)[None] * 3.0
    np.testing.assert_allclose(bond_lengths(positions, box, np.array([[0, 1], [1, 2]])), [[0.2, 0.3]], rtol=1e-12)
    np.testing.assert_allclose(bond_angles(positions, box, np.array([[0, 1, 2]])), [[np.pi / 2]], rtol=1e-12)
    np.testing.assert_allclose(bond_lengths(positions, None, np.array([[0, 1]])), [[2.8]], rtol=1e-12)


@given(st.floats(0, np.pi))
def test_angles_keep_their_accuracy_near_0_and_180_degrees(angle):
    positions = np.array([[[1.0, 0, 0], [0, 0, 0], [np.cos(angle), np.sin(angle), 0]]])
    assert bond_angles(positions, None, np.array([[0, 1, 2]]))[0, 0] == pytest.approx(angle, abs=1e-12)


def test_torsions_follow_the_sign_convention_across_the_boundary():
    def four(angle):
        return [[1.0, 0, 0], [0, 0, 0], [0, 0, 1.0], [np.cos(angle), np.sin(angle), 1.0]]

    angles = np.array([0.0, 0.3, -0.3, 2.0, np.pi, -3.0])
    positions = np.array([four(angle) for angle in angles])
    quadruple = np.array([[0, 1, 2, 3]])
    found = torsion_angles(positions, None, quadruple)[:, 0]
    np.testing.assert_allclose(np.abs(found), np.abs(angles), atol=1e-12)
    inner = np.abs(angles) < 3.1
    np.testing.assert_allclose(found[inner], angles[inner], atol=1e-12)
    box = np.stack([np.eye(3) * 2.3] * len(angles))
    np.testing.assert_allclose(np.abs(torsion_angles(positions % 2.3, box, quadruple)[:, 0]), np.abs(angles), atol=1e-9)


def test_bonds_angles_and_torsions_equal_mdtraj():
    mdtraj = pytest.importorskip("mdtraj")
    positions = np.random.default_rng(1).normal(size=(20, 12, 3)).astype(np.float32)
    trajectory = mdtraj.Trajectory(positions, None)
    quadruples = np.arange(12).reshape(3, 4)
    theirs = mdtraj.compute_dihedrals(trajectory, quadruples)
    np.testing.assert_allclose(torsion_angles(positions, None, quadruples), theirs, atol=2e-5)
    theirs = mdtraj.compute_angles(trajectory, quadruples[:, :3], opt=False)
    np.testing.assert_allclose(bond_angles(positions, None, quadruples[:, :3]), theirs, atol=1e-3)
    theirs = mdtraj.compute_distances(trajectory, quadruples[:, :2])
    np.testing.assert_allclose(bond_lengths(positions, None, quadruples[:, :2]), theirs, rtol=1e-5)


@pytest.mark.parametrize("degrees", [-170.0, -60.0, 0.0, 75.0, 180.0])
def test_a_torsion_is_measured_from_cis_and_with_its_sign(degrees):
    phi = np.deg2rad(degrees)
    positions = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [0, np.cos(phi), np.sin(phi)]], dtype=float)[[0, 1, 2, 3]]
    measured = torsion_angles(positions, None, np.array([[0, 1, 2, 3], [3, 2, 1, 0]]))
    assert np.cos(measured) == pytest.approx(np.cos(phi), abs=1e-12)
    assert measured[0] == pytest.approx(measured[1])  # the same from both ends
    mirrored = torsion_angles(positions * [1, 1, -1], None, np.array([[0, 1, 2, 3]]))
    assert np.sin(mirrored[0]) == pytest.approx(-np.sin(measured[0]), abs=1e-12)


def test_angles_are_those_at_the_middle_bead():
    positions = np.array([[1.0, 0, 0], [0, 0, 0], [np.cos(2.0), np.sin(2.0), 0]])
    assert bond_angles(positions, None, np.array([[0, 1, 2]])) == pytest.approx([2.0])


@pytest.mark.parametrize("box", [np.roll(np.diag([2.0, 2.2, 2.4]), 1, axis=1), np.diag([2.0, -2.0, 2.0])])
def test_boxes_in_another_orientation_are_refused(box: np.ndarray) -> None:
    positions = np.array([[0.1, 0, 0], [1.9, 0, 0]])
    with pytest.raises(InputError, match=r"not of the form \(ax, 0, 0\), \(bx, by, 0\)"):
        find_pairs(positions, box, 0.5)
    with pytest.raises(InputError, match="rotate the system"):
        bond_lengths(positions[None], box[None], np.array([[0, 1]]))
