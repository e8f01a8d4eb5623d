import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from multiple_time_steps import judge, largest

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
    assert largest(rows) == 2
    assert largest(rows[:2]) == 8
    assert largest(rows[2:]) is None
