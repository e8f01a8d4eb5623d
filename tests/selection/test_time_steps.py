import pytest

from openmm_cgml.selection.time_steps import find_longest, judge

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
