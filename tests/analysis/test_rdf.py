import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.analysis.rdf import (
    add_distributions,
    combine_distributions,
    compute_pair_distributions,
    compute_rdf,
    count_pairs,
)
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import wrap

CUBIC = np.diag([3.0, 3.2, 3.5])
TRICLINIC = np.array([[3.0, 0.0, 0.0], [0.9, 2.9, 0.0], [-0.7, 1.1, 2.8]])
EDGES = np.arange(111) * 0.01


def brute_force_counts(positions, box, edges):
    """Counts over all pairs and all 27 images, without any of the code under test."""
    i, j = np.triu_indices(len(positions), 1)
    shifts = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]) @ box
    fractions = positions @ np.linalg.inv(box)
    inside = (fractions - np.floor(fractions)) @ box
    vectors = (inside[i] - inside[j])[:, None] + shifts
    distances = np.sqrt((vectors**2).sum(axis=2)).ravel()
    return np.histogram(distances[distances < edges[-1]], edges)[0]


@pytest.mark.parametrize("box", [CUBIC, TRICLINIC], ids=["orthorhombic", "triclinic"])
def test_pair_counts_equal_a_brute_force_count_and_mdanalysis(box):
    distances = pytest.importorskip("MDAnalysis.lib.distances")
    positions = np.random.default_rng(1).uniform(-9, 9, (150, 3))
    counts = count_pairs(positions, box, EDGES)
    np.testing.assert_array_equal(counts, brute_force_counts(positions, box, EDGES))
    from MDAnalysis.lib.mdamath import triclinic_box

    theirs = distances.self_distance_array(wrap(positions, box), box=triclinic_box(*box), backend="serial")
    # MDAnalysis keeps the box in single precision: bins may differ for pairs within its rounding of an edge
    near_edge = np.abs(theirs[:, None] - EDGES).min(axis=1) < 1e-6
    clear, _ = np.histogram(theirs[~near_edge & (theirs < EDGES[-1])], EDGES)
    assert np.all(np.abs(counts - clear) <= np.histogram(theirs[near_edge], EDGES + 1e-5)[0] + 1 * near_edge.any())
    assert abs(int(counts.sum()) - int((theirs < EDGES[-1]).sum())) <= near_edge.sum()


@pytest.mark.parametrize("box", [CUBIC, TRICLINIC], ids=["orthorhombic", "triclinic"])
def test_g_of_r_equals_freud(box):
    freud = pytest.importorskip("freud")
    rng = np.random.default_rng(2)
    frames = rng.uniform(0, 3, (3, 200, 3))
    ours = compute_rdf(frames, np.stack([box] * 3), r_max=1.1)
    theirs = freud.density.RDF(bins=110, r_max=1.1, normalization_mode="finite_size")
    freud_box = freud.box.Box.from_matrix(box.T)
    for frame in frames:
        centered = freud_box.wrap(frame - np.diagonal(box) / 2)
        theirs.compute((freud_box, centered), reset=False)
    # freud keeps positions and shells in single precision: a pair may fall into the neighboring bin
    difference = 2 * ours.counts - theirs.bin_counts.astype(int)
    assert np.abs(difference).sum() <= 4
    exact = difference == 0
    np.testing.assert_allclose(ours.g[exact], theirs.rdf[exact], rtol=5e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), images=st.integers(0, 50), skew=st.tuples(*[st.floats(-0.5, 0.5)] * 3))
def test_counts_do_not_depend_on_images_or_order(seed, images, skew):
    box = np.array([[2.5, 0, 0], [skew[0] * 2.5, 2.6, 0], [skew[1] * 2.5, skew[2] * 2.6, 2.4]])
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 2.5, (40, 3))
    edges = np.arange(81) * 0.01
    moved = positions + rng.integers(-images, images + 1, (40, 3)) @ box
    counts = count_pairs(positions, box, edges)
    # shifting rounds the distances by 1e-14, so at most a pair at an edge can change its bin
    assert np.abs(count_pairs(moved[rng.permutation(40)], box, edges) - counts).sum() <= 2
    np.testing.assert_array_equal(counts, brute_force_counts(positions, box, edges))


def test_pairs_without_a_box_are_counted():
    positions = np.array([[0.0, 0, 0], [0.55, 0, 0], [0, 0.35, 0]])
    counts = count_pairs(positions, None, np.arange(9) * 0.1)
    assert counts.tolist() == [0, 0, 0, 1, 0, 1, 1, 0]


def test_a_distance_on_an_edge_belongs_to_the_bin_that_begins_there():
    positions = np.array([[0.0, 0, 0], [0.5, 0, 0]])
    assert count_pairs(positions, np.eye(3) * 4, np.arange(9) * 0.125).tolist() == [0, 0, 0, 0, 1, 0, 0, 0]


def test_fcc_shells_hold_12_6_24_neighbors():
    a, n = 0.5, 4
    basis = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    cells = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    positions = ((cells + basis) * a).reshape(-1, 3)
    shells = a * np.sqrt([0.5, 1.0, 1.5])
    edges = np.arange(14) * 0.05
    counts = count_pairs(positions, np.eye(3) * a * n, edges) * 2 / len(positions)
    found = [counts[int(np.searchsorted(edges, shell * (1 + 1e-9))) - 1] for shell in shells]
    np.testing.assert_allclose(found, [12, 6, 24], atol=0)
    assert counts.sum() == 42


@pytest.mark.physics
def test_ideal_gas_has_g_of_one_within_three_standard_errors():
    rng = np.random.default_rng(5)
    box = np.stack([np.eye(3) * 3.0] * 60)
    rdf = compute_rdf(rng.uniform(0, 3, (60, 200, 3)), box, r_max=1.5, bin_width=0.05, n_blocks=20)
    wide = rdf.counts > 500
    deviations = (rdf.g - 1)[wide] / rdf.standard_error[wide]
    assert np.abs(deviations).max() < 4.5  # 28 bins, 20 blocks: Student's t
    assert np.mean(np.abs(deviations) < 3) > 0.9
    assert abs(np.average(rdf.g, weights=rdf.counts) - 1) < 0.005


@pytest.mark.physics
def test_a_lattice_is_not_taken_for_an_ideal_gas():
    grid = np.stack(np.meshgrid(*[np.arange(6) * 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(6)
    frames = grid + rng.normal(0, 0.05, (20, 216, 3))
    rdf = compute_rdf(frames, np.stack([np.eye(3) * 3.0] * 20), r_max=1.5, bin_width=0.05)
    assert np.abs((rdf.g - 1)[5:] / rdf.standard_error[5:].clip(1e-3)).max() > 20


def test_inter_and_intra_add_up_to_all_pairs_also_across_the_boundary():
    rng = np.random.default_rng(7)
    centers = rng.uniform(0, 3, (4, 30, 1, 3))
    beads = (centers + rng.normal(0, 0.15, (4, 30, 3, 3))).reshape(4, 90, 3)
    box = np.stack([np.eye(3) * 3.0] * 4)
    molecules, types = np.repeat(np.arange(30), 3), np.tile([0, 1, 1], 30)
    pairs = compute_pair_distributions(
        beads, box, bead_types=types, type_names=("A", "B"), molecules=molecules, r_max=1.4, n_blocks=2
    )
    total = sum(rdf.counts for part in (pairs.inter, pairs.intra) for rdf in part.values())
    np.testing.assert_array_equal(total, compute_rdf(beads, box, r_max=1.4).counts)
    assert set(pairs.inter) == {"A-A", "A-B", "B-B"}
    assert set(pairs.intra) == {"A-B", "B-B"}
    assert sum(rdf.counts.sum() for rdf in pairs.intra.values()) == 4 * 30 * 3
    assert [pairs.inter[name].n_pairs for name in ("A-A", "A-B", "B-B")] == [435, 1800, 1770]  # of all of these types
    assert (pairs.intra["A-B"].n_pairs, pairs.intra["B-B"].n_pairs) == (1800, 1770)
    whole = compute_rdf(beads, box, r_max=1.4, n_blocks=2)
    parts = [combine_distributions(part, 90) for part in (pairs.inter, pairs.intra)]
    np.testing.assert_allclose(parts[0].g + parts[1].g, whole.g, rtol=1e-12)
    np.testing.assert_allclose(parts[0].block_g + parts[1].block_g, whole.block_g, rtol=1e-12)
    with pytest.raises(InputError, match="at least one pair of types"):
        combine_distributions({}, 90)


@pytest.mark.parametrize("box", [CUBIC, TRICLINIC], ids=["orthorhombic", "triclinic"])
def test_a_chain_that_meets_its_own_image_meets_another_molecule(box):
    rng = np.random.default_rng(11)
    chains = np.cumsum(rng.normal(0, 0.35, (3, 2, 60, 3)), axis=2).reshape(3, 120, 3)  # longer than the box is wide
    molecules = np.repeat([0, 1], 60)
    edges = np.arange(101) * 0.013
    shifts = np.array([[a, b, c] for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1)]) @ box
    i, j = np.triu_indices(120, 1)
    intra, inter = np.zeros(100, int), np.zeros(100, int)
    for positions in chains:
        vectors = positions[j] - positions[i]
        fractions = vectors @ np.linalg.inv(box)
        images = ((fractions - np.rint(fractions)) @ box)[:, None] + shifts
        direct = (np.abs(images - vectors[:, None]).max(axis=2) < 1e-9) & (molecules[i] == molecules[j])[:, None]
        distances = np.linalg.norm(images, axis=2)
        intra += np.histogram(distances[direct], edges)[0]
        inter += np.histogram(distances[~direct], edges)[0]
    found = compute_pair_distributions(
        chains, np.stack([box] * 3), bead_types=np.zeros(120, int), type_names=("A",), molecules=molecules, r_max=1.3,
        bin_width=0.013,
    )  # fmt: skip
    np.testing.assert_array_equal(found.intra["A-A"].counts, intra)
    np.testing.assert_array_equal(found.inter["A-A"].counts, inter)
    one = compute_pair_distributions(
        chains[:, :60], np.stack([box] * 3), bead_types=np.zeros(60, int), type_names=("A",), molecules=molecules[:60],
        r_max=1.3,
    )  # fmt: skip
    assert one.inter["A-A"].counts.sum() > 0  # with itself alone, through the boundary


def test_excluded_pairs_are_left_out_within_and_kept_between_molecules():
    positions = np.array([[[0.2, 0, 0], [0.4, 0, 0], [0.6, 0, 0], [0.75, 0, 0], [3.1, 0, 0]]])
    box = np.eye(3)[None] * 3.0
    molecules = np.zeros(5, int)  # the last bead is at 2.5 nm from the third and at 0.1 nm from the first one's image
    options = {"bead_types": molecules, "type_names": ("A",), "molecules": molecules, "r_max": 1.4}
    full = compute_pair_distributions(positions, box, **options)
    fewer = compute_pair_distributions(positions, box, excluded=np.array([[1, 0], [2, 3], [0, 4]]), **options)
    assert full.intra["A-A"].counts.sum() - fewer.intra["A-A"].counts.sum() == 2
    np.testing.assert_array_equal(full.inter["A-A"].counts, fewer.inter["A-A"].counts)
    both = add_distributions(fewer.intra["A-A"], fewer.excluded["A-A"])
    np.testing.assert_array_equal(both.counts, full.intra["A-A"].counts)
    np.testing.assert_allclose(both.g, full.intra["A-A"].g, rtol=1e-12)
    assert full.excluded == {}
    assert np.flatnonzero(full.inter["A-A"].counts).tolist() == [10, 30, 50, 65]


def test_g_within_molecules_is_the_density_around_a_bead_over_that_of_all():
    rng = np.random.default_rng(12)
    trimers = (rng.uniform(0, 3, (50, 40, 1, 3)) + rng.normal(0, 0.1, (50, 40, 3, 3))).reshape(50, 120, 3)
    pairs = compute_pair_distributions(
        trimers, np.stack([np.eye(3) * 3.0] * 50), bead_types=np.zeros(120, int), type_names=("A",),
        molecules=np.repeat(np.arange(40), 3), r_max=1.5,
    )  # fmt: skip
    intra = pairs.intra["A-A"]
    neighbors = np.sum(intra.g * 4 / 3 * np.pi * np.diff(intra.bin_edges**3)) * 119 / 27
    assert neighbors == pytest.approx(2.0, abs=1e-9)
    assert intra.g[-20:].max() == 0.0


def test_intermolecular_g_of_random_molecules_is_one():
    rng = np.random.default_rng(8)
    beads = (rng.uniform(0, 3, (60, 60, 1, 3)) + rng.normal(0, 0.1, (60, 60, 3, 3))).reshape(60, 180, 3)
    pairs = compute_pair_distributions(
        beads,
        np.stack([np.eye(3) * 3.0] * 60),
        bead_types=np.zeros(180, int),
        type_names=("A",),
        molecules=np.repeat(np.arange(60), 3),
        r_max=1.5,
    )
    inter = pairs.inter["A-A"]
    assert abs(np.average(inter.g, weights=inter.counts) - 177 / 179) < 0.005  # two of 179 others are in the molecule
    assert pairs.intra["A-A"].g.max() > 1.5


def test_blocks_average_to_the_whole_and_give_halves():
    rng = np.random.default_rng(9)
    rdf = compute_rdf(rng.uniform(0, 3, (10, 80, 3)), np.stack([np.eye(3) * 3.0] * 10), r_max=1.4, n_blocks=5)
    np.testing.assert_allclose(rdf.block_g.mean(axis=0), rdf.g)
    first, second = rdf.halves()
    np.testing.assert_allclose(first, rdf.block_g[:2].mean(axis=0))
    np.testing.assert_allclose(second, rdf.block_g[3:].mean(axis=0))
    single = compute_rdf(rng.uniform(0, 3, (1, 80, 3)), np.eye(3)[None] * 3.0, r_max=1.4)
    assert single.standard_error is None
    assert single.halves() is None


@pytest.mark.parametrize(
    ("box", "r_max"), [(np.eye(3) * 3.0, 1.51), (TRICLINIC, 1.35)], ids=["cubic", "triclinic widths, not lengths"]
)
def test_r_max_beyond_half_the_smallest_width_is_refused(box, r_max):
    frames = np.zeros((2, 4, 3)) + np.arange(4)[:, None] * 0.3
    boxes = np.stack([np.eye(3) * 9.0, box])
    with pytest.raises(InputError, match=r"more than half the smallest box width.*frame 1"):
        compute_rdf(frames, boxes, r_max=r_max)


@pytest.mark.parametrize(
    ("shape", "bin_width"), [((0, 5, 3), 0.01), ((2, 1, 3), 0.01), ((2, 5, 3), 0.0), ((2, 5, 3), 2.0)]
)
def test_empty_input_and_bad_bins_are_refused(shape, bin_width):
    with pytest.raises(InputError):
        compute_rdf(np.zeros(shape), np.stack([np.eye(3) * 3.0] * shape[0]) if shape[0] else np.zeros((0, 3, 3)),
                    r_max=1.0, bin_width=bin_width)  # fmt: skip
