import numpy as np
import pytest

from openmm_cgml.selection.time_steps import find_longest, judge, measure_drift
from openmm_cgml.units import BOLTZMANN

FIRST = {"gr_com_rmse": 0.03}
GOOD = {
    "status": "complete",
    "nve_status": "complete",
    "temperature": 302.0,
    "temperature_error": 0.5,
    "gr_com_rmse": 0.033,
    "drift_kT_per_ns_per_dof": 0.004,
    "drift_error": 0.001,
}


def test_a_good_row_keeps_everything():
    assert judge(GOOD, FIRST, 0.001, 300.0) == {"temperature": True, "gr": True, "energy": True}


@pytest.mark.parametrize(
    ("key", "value", "lost"),
    [
        ("temperature", 296.0, "temperature"),
        ("gr_com_rmse", 0.037, "gr"),
        ("drift_kT_per_ns_per_dof", -0.013, "energy"),
        ("status", "unstable", "stable"),
        ("nve_status", "unstable", "stable"),
    ],
)
def test_what_a_bad_row_loses_is_named(key, value, lost):
    assert judge({**GOOD, key: value}, FIRST, 0.001, 300.0)[lost] is False


def test_the_largest_step_is_the_last_before_the_first_failure():
    rows = [{"network_step_fs": step, "kept": {"gr": kept}} for step, kept in ((8, True), (2, True), (4, False))]
    assert find_longest(rows) == 2
    assert find_longest(rows[:2]) == 8
    assert find_longest(rows[2:]) is None


@pytest.mark.physics
def test_drift_is_the_slope_of_the_energy_with_its_error():
    times = np.arange(0.0, 50.0, 0.1)
    noise = np.random.default_rng(0).normal(0, 0.5, len(times))
    unit = BOLTZMANN * 300.0 * (3 * 100 - 3)
    measured = measure_drift(times, 0.02 * times * unit + noise, 300.0, 100)
    assert measured["drift_kT_per_ns_per_dof"] == pytest.approx(20.0, abs=3 * measured["drift_error"])
    assert measured["drift_error"] < 0.1
    assert measured["energy_fluctuation_kT"] == pytest.approx(0.5 / (BOLTZMANN * 300.0), rel=0.1)
    none = measure_drift(times, noise, 300.0, 100)
    assert abs(none["drift_kT_per_ns_per_dof"]) < 3 * none["drift_error"], "the control drifts nowhere"
