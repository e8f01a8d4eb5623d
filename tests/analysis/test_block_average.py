import numpy as np
import pytest
from scipy.signal import lfilter

from openmm_cgml.analysis.block_average import (
    block_means,
    compute_average,
    detect_equilibration,
    estimate_correlation_time,
)
from openmm_cgml.errors import InputError


def ar1(phi, n, rng):
    return lfilter([1], [1, -phi], rng.normal(size=n + 1000))[1000:]


@pytest.mark.physics
@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_correlation_time_of_an_ar1_series_is_the_exact_one(phi):
    exact = (1 + phi) / (2 * (1 - phi))
    series = ar1(phi, 200_000, np.random.default_rng(1))
    assert estimate_correlation_time(series) == pytest.approx(exact, rel=0.08)
    average = compute_average(series, interval=0.5)
    assert average.correlation_time == pytest.approx(0.5 * exact, rel=0.08)
    assert average.n_effective == pytest.approx(200_000 / (2 * exact), rel=0.1)


@pytest.mark.physics
def test_standard_error_is_the_scatter_of_means_and_the_naive_one_is_not():
    rng = np.random.default_rng(2)
    series = [ar1(0.9, 4000, rng) for _ in range(200)]
    scatter = np.std([s.mean() for s in series], ddof=1)
    errors = np.mean([compute_average(s).standard_error for s in series])
    naive = np.mean([s.std() / np.sqrt(len(s)) for s in series])
    assert errors == pytest.approx(scatter, rel=0.15)
    assert naive < 0.4 * scatter


def test_a_constant_series_has_no_error():
    average = compute_average(np.full(50, 3.0))
    assert (average.mean, average.standard_error, average.n_effective) == (3.0, 0.0, 50)


def test_block_means_cover_every_sample():
    means = block_means(np.arange(10.0), 3)
    np.testing.assert_allclose(means, [1.5, 5.0, 8.0])
    with pytest.raises(InputError, match="11 blocks of 10"):
        block_means(np.arange(10.0), 11)


def test_equilibration_is_cut_and_a_stationary_series_is_kept():
    rng = np.random.default_rng(3)
    noise = rng.normal(size=1000)
    start = detect_equilibration(noise + 30 * np.exp(-np.arange(1000) / 20))
    assert 50 < start < 350
    assert detect_equilibration(noise) < 200


@pytest.mark.parametrize("values", [[1.0], [1.0, np.nan, 2.0], [[1.0, 2.0]]])
def test_series_without_an_error_are_refused(values):
    with pytest.raises(InputError):
        compute_average(np.array(values))
