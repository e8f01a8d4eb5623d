import numpy as np
import pytest

from openmm_cgml.analysis.diffusion import CG_TIME, check_unwrapped, compute_msd, fit_diffusion
from openmm_cgml.errors import InputError


def walk(n_frames, n, step, seed=0):
    return np.cumsum(np.random.default_rng(seed).normal(0, step, (n_frames, n, 3)), axis=0)


def test_msd_equals_the_double_sum():
    positions = walk(40, 7, 0.1)
    relative = positions - positions.mean(axis=1, keepdims=True)
    direct = [0.0] + [np.mean(np.sum((relative[lag:] - relative[:-lag]) ** 2, axis=2)) for lag in range(1, 21)]
    msd = compute_msd(positions, interval=2.0)
    np.testing.assert_allclose(msd.msd, direct, rtol=1e-10)
    np.testing.assert_allclose(msd.times, np.arange(21) * 2.0)
    assert msd.time_scale == CG_TIME


def test_msd_equals_mdanalysis():
    MDAnalysis = pytest.importorskip("MDAnalysis")
    from MDAnalysis.analysis.msd import EinsteinMSD

    positions = walk(60, 12, 0.1, seed=3)
    positions -= positions.mean(axis=1, keepdims=True)
    universe = MDAnalysis.Universe.empty(12, trajectory=True)
    universe.load_new(positions.astype(np.float32))
    theirs = EinsteinMSD(universe, select="all", msd_type="xyz", fft=False).run().results.timeseries
    ours = compute_msd(universe.trajectory.timeseries(order="fac").astype(float), interval=1.0, max_lag=59)
    np.testing.assert_allclose(ours.msd, theirs, rtol=1e-5, atol=1e-8)


@pytest.mark.physics
def test_diffusion_of_a_random_walk_is_the_known_one():
    step, interval = 0.05, 0.5
    exact = step**2 / (2 * interval)
    d = fit_diffusion(compute_msd(walk(400, 300, step), interval=interval))
    assert abs(d.value - exact) < 4 * d.standard_error
    assert d.value == pytest.approx(exact, rel=0.05)
    assert 0 < d.standard_error < 0.05 * exact


@pytest.mark.physics
def test_a_caged_particle_does_not_diffuse():
    positions = np.random.default_rng(1).normal(0, 0.05, (400, 300, 3))
    free = fit_diffusion(compute_msd(walk(400, 300, 0.05), interval=0.5))
    caged = fit_diffusion(compute_msd(positions, interval=0.5))
    assert abs(caged.value) < 0.01 * free.value


def test_drift_of_the_whole_does_not_count():
    positions = walk(100, 20, 0.05)
    drift = np.arange(100)[:, None, None] * np.array([0.3, 0.0, -0.1])
    np.testing.assert_allclose(
        compute_msd(positions + drift, interval=1.0).msd,
        compute_msd(positions, interval=1.0).msd,
        rtol=1e-8,
        atol=1e-12,
    )


def test_wrapped_positions_are_refused_and_unwrapped_ones_are_not():
    box = np.stack([np.eye(3) * 2.0] * 200)
    positions = 1.0 + walk(200, 20, 0.1)
    check_unwrapped(positions, box)
    with pytest.raises(InputError, match="wrapped into the box"):
        check_unwrapped(positions % 2.0, box)


@pytest.mark.parametrize("arguments", [{"interval": 0.0}, {"interval": 1.0, "max_lag": 10}, {"interval": -1.0}])
def test_bad_lags_and_intervals_are_refused(arguments):
    with pytest.raises(InputError):
        compute_msd(walk(10, 2, 0.1), **arguments)


def test_a_fit_range_without_points_is_refused():
    with pytest.raises(InputError, match="a line needs two"):
        fit_diffusion(compute_msd(walk(10, 2, 0.1), interval=1.0), fit_start=100.0, fit_end=200.0)
