import numpy as np
import pytest

from openmm_cgml.analysis.relaxation import compute_relaxation
from openmm_cgml.errors import InputError


def ornstein_uhlenbeck(n_frames, n_chains, time, seed=0):
    """Gaussian vectors whose autocorrelation is exp(-t / time)."""
    rng = np.random.default_rng(seed)
    decay = np.exp(-1 / time)
    vectors = np.empty((n_frames, n_chains, 3))
    vectors[0] = rng.normal(size=(n_chains, 3))
    for frame in range(1, n_frames):
        vectors[frame] = decay * vectors[frame - 1] + np.sqrt(1 - decay**2) * rng.normal(size=(n_chains, 3))
    return vectors


def test_correlation_equals_the_double_sum():
    vectors = ornstein_uhlenbeck(40, 5, 4.0)
    found = compute_relaxation(vectors, interval=2.0, time_scale="CG time")
    direct = [np.mean(np.sum(vectors[lag:] * vectors[: 40 - lag], axis=2)) for lag in range(21)]
    np.testing.assert_allclose(found.correlation, np.array(direct) / direct[0], rtol=1e-10)
    np.testing.assert_allclose(found.times, np.arange(21) * 2.0)
    assert (found.correlation[0], found.duration) == (pytest.approx(1.0), 78.0)


@pytest.mark.physics
def test_relaxation_time_of_a_known_decay():
    found = compute_relaxation(ornstein_uhlenbeck(2000, 100, 20.0), interval=0.5, time_scale="CG time")
    assert found.relaxation_time == pytest.approx(10.0, rel=0.05)
    assert np.all(
        np.abs(found.correlation - np.exp(-found.times / 10.0))[:100] < 4 * found.standard_error[:100] + 1e-12
    )
    assert found.is_relaxed
    assert "relax in 10" in found.statement.replace("9.9", "10.")


@pytest.mark.physics
def test_a_run_that_is_too_short_says_so():
    frozen = compute_relaxation(ornstein_uhlenbeck(100, 50, 5000.0), interval=1.0, time_scale="CG time")
    assert frozen.relaxation_time is None
    assert not frozen.is_relaxed
    assert "chains do not relax in this run" in frozen.statement
    short = compute_relaxation(ornstein_uhlenbeck(100, 50, 20.0), interval=1.0, time_scale="CG time")
    assert short.relaxation_time is not None
    assert not short.is_relaxed
    assert "too short" in short.statement


def test_too_little_is_refused_and_one_chain_has_no_error():
    assert compute_relaxation(ornstein_uhlenbeck(10, 1, 5.0), interval=1.0, time_scale="CG time").standard_error is None
    for vectors, interval in ((np.ones((1, 3, 3)), 1.0), (np.ones((5, 0, 3)), 1.0), (np.ones((5, 2, 3)), 0.0)):
        with pytest.raises(InputError, match="needs two frames"):
            compute_relaxation(vectors, interval=interval, time_scale="CG time")
