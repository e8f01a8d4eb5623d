import numpy as np
import pytest

from openmm_cgml.analysis.compare import (
    compare_rdf,
    compute_fraction_outside,
    compute_gr_rmse,
    compute_half_rmse,
    compute_js_divergence,
    compute_mass_below,
    compute_mean_error,
    compute_std_ratio,
)
from openmm_cgml.analysis.distributions import compute_distribution
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.errors import InputError


def rdf_of(g, width=0.01):
    return RadialDistribution(
        bin_edges=np.arange(len(g) + 1) * width,
        counts=np.rint(np.asarray(g) * 1000).astype(int),
        g=np.asarray(g, float),
        block_g=np.stack([g, g]).astype(float),
        n_frames=2,
        n_pairs=10,
    )


def test_rmse_covers_the_range_and_nothing_else():
    edges = np.arange(151) * 0.01
    g = np.ones(150)
    shifted = g.copy()
    shifted[:30] = 9.0  # below 0.3 nm
    shifted[120:] = 9.0  # beyond 1.2 nm
    assert compute_gr_rmse(shifted, g, edges) == 0.0
    shifted[30:120] += 0.05
    assert compute_gr_rmse(shifted, g, edges) == pytest.approx(0.05)
    shifted[30] += 1
    assert compute_gr_rmse(shifted, g, edges) > 0.1


def test_distributions_that_end_at_different_distances_are_compared_where_both_are():
    assert compare_rdf(rdf_of(np.ones(150)), rdf_of(np.full(130, 1.1))) == pytest.approx(0.1)


def test_too_short_or_differently_binned_distributions_are_refused():
    with pytest.raises(InputError, match="larger r_max"):
        compare_rdf(rdf_of(np.ones(100)), rdf_of(np.ones(150)))
    with pytest.raises(InputError, match="same bin_width"):
        compare_rdf(rdf_of(np.ones(150)), rdf_of(np.ones(75), width=0.02))


def test_mass_below_the_reference_shows_a_false_peak():
    reference, good, bad = np.ones(150), np.ones(150), np.ones(150)
    reference[:40] = good[:40] = bad[:40] = 0
    bad[23] = 0.5
    assert compute_mass_below(rdf_of(good), rdf_of(reference)) == 0.0
    assert compute_mass_below(rdf_of(bad), rdf_of(reference)) == pytest.approx(0.5 / 110.5)


def test_halves_of_equal_blocks_do_not_differ():
    assert compute_half_rmse(rdf_of(np.ones(150))) == 0.0


def test_bond_figures():
    rng = np.random.default_rng(0)
    reference = compute_distribution(rng.normal(0.25, 0.005, (10, 2000)), bin_width=0.002)
    wide = compute_distribution(rng.normal(0.255, 0.01, (10, 2000)), bin_width=0.002)
    assert compute_mean_error(wide, reference) == pytest.approx(0.02, abs=0.002)
    assert compute_std_ratio(wide, reference) == pytest.approx(2.0, abs=0.05)
    assert 0.005 < compute_fraction_outside(wide, reference) < 0.2
    assert compute_fraction_outside(reference, reference) == 0.0
    with pytest.raises(InputError, match="no width"):
        compute_std_ratio(wide, compute_distribution(np.full((2, 3), 0.25), bin_width=0.002))


def test_divergence_equals_scipys_squared_distance():
    distance = pytest.importorskip("scipy.spatial.distance")
    rng = np.random.default_rng(0)
    a = compute_distribution(rng.normal(0.5, 0.05, (10, 200)), bin_width=0.02)
    b = compute_distribution(rng.normal(0.55, 0.08, (10, 200)), bin_width=0.02)
    edges = np.arange(0, 101) * 0.02
    p, q = (
        np.histogram(np.repeat((d.bin_edges[1:] + d.bin_edges[:-1]) / 2, 1), edges, weights=d.density)[0]
        for d in (a, b)
    )
    assert compute_js_divergence(a, b) == pytest.approx(distance.jensenshannon(p, q, base=2) ** 2, rel=1e-9)
    assert compute_js_divergence(a, b) == pytest.approx(compute_js_divergence(b, a))


def test_divergence_is_zero_of_itself_and_one_bit_of_something_else():
    a = compute_distribution(np.full((2, 3), 0.31), bin_width=0.02)
    b = compute_distribution(np.full((2, 3), 0.77), bin_width=0.02)
    assert (compute_js_divergence(a, a), compute_js_divergence(a, b)) == (0.0, 1.0)
    with pytest.raises(InputError, match="one bin_width"):
        compute_js_divergence(a, compute_distribution(np.full((2, 3), 0.31), bin_width=0.01))
