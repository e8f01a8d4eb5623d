import numpy as np
import pytest

from benchmarks.speed_dynamics import fit_slope, unit_drift
from benchmarks.speed_evaluate import check_evaluation
from openmm_cgml.units import BOLTZMANN


def test_the_slope_of_a_noisy_line_is_found_within_its_error():
    times = np.linspace(0, 40, 1000)
    noise = np.random.default_rng(0).normal(scale=0.5, size=1000)
    slope, error = fit_slope(times, 3.0 + 0.1 * times + noise)
    assert abs(slope - 0.1) < 4 * error
    assert 0 < error < 0.01


def test_drift_is_per_nanosecond_and_degree_of_freedom():
    assert unit_drift(BOLTZMANN * 300.0, 10) == pytest.approx(100.0)


def test_a_method_that_computes_something_else_is_refused():
    forces = np.random.default_rng(0).normal(size=(50, 3))
    exact = (10.0, forces)
    assert check_evaluation("same", (10.0, forces + 1e-5), exact) == pytest.approx(1e-5, rel=0.2)
    with pytest.raises(RuntimeError, match="forces differ"):
        check_evaluation("other forces", (10.0, forces * 1.01), exact)
    with pytest.raises(RuntimeError, match="nothing was timed"):
        check_evaluation("other energy", (11.0, forces), exact)
    with pytest.raises(RuntimeError, match="nothing was timed"):
        check_evaluation("not a number", (10.0, forces * np.nan), exact)
