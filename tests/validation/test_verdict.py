import dataclasses

import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.metric import Metric, format_value
from openmm_cgml.validation.quantities import BONDS, QUANTITIES
from openmm_cgml.validation.quantities.structure import Structure
from openmm_cgml.validation.trajectory_summary import summarize_trajectory
from openmm_cgml.validation.verdict import (
    Validation,
    ValidationResult,
    compare_across,
    compare_with_reference,
)

WIDE = ValidationLimits(gr_com_rmse=0.5, gr_inter_rmse=0.5, gr_below_first_bin=0.2)  # few frames, much noise


def summarize(make_frames, make_topology, **settings):
    n = settings.get("n_molecules", 40)
    return summarize_trajectory(make_frames(n_frames=60, **settings), make_topology(n), degrees_of_freedom=6 * n)


def test_a_run_like_the_reference_passes(make_frames, make_topology, reference):
    result = compare_with_reference(summarize(make_frames, make_topology, seed=1), reference, limits=WIDE)
    assert result.passed, result.table()
    keys = [metric.key for metric in result.metrics]
    assert {"temperature_mean", "gr_com_rmse", "gr_inter_rmse", "gr_below_first_bin", "energy_per_bead"} <= set(keys)
    assert {"bond_mean_error", "bond_std_ratio", "diffusion"} <= set(keys)
    assert "worst of 3" in result.metric("gr_inter_rmse").label
    assert ValidationResult.from_json(result.to_json()).to_json() == result.to_json()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"temperature": 310.0}, "temperature_mean"),
        ({"bond": 0.21}, "bond_mean_error"),
        ({"spread": 0.02}, "bond_std_ratio"),
        ({"step": 0.0005}, "diffusion"),
    ],
)
def test_each_fault_fails_its_own_metric(make_frames, make_topology, reference, change, key):
    result = compare_with_reference(summarize(make_frames, make_topology, seed=1, **change), reference, limits=WIDE)
    assert result.metric(key).verdict == "fail"
    assert not result.passed
    assert "fail" in result.table()


def test_an_unstable_run_never_passes(make_frames, make_topology, reference):
    summary = summarize(make_frames, make_topology, seed=1)
    result = compare_with_reference(summary, reference, status="unstable", limits=WIDE)
    assert not result.passed
    assert "unstable" in result.notes[0]


def test_another_system_is_refused(make_frames, make_topology, reference):
    summary = summarize(make_frames, make_topology, seed=1)
    with pytest.raises(InputError, match="different systems"):
        compare_with_reference(
            dataclasses.replace(
                summary, parts={**summary.parts, "bonds": dataclasses.replace(summary.get(BONDS), by_types={})}
            ),
            reference,
        )


def test_a_small_box_is_compared_as_far_as_it_goes(make_frames, make_topology, reference):
    short = [Structure(r_max=1.0) if quantity.key == "structure" else quantity for quantity in QUANTITIES]
    summary = summarize_trajectory(make_frames(seed=1), make_topology(), quantities=short)
    result = compare_with_reference(summary, reference, limits=WIDE)
    assert "up to 1 nm" in result.notes[0]


def test_energies_per_bead_of_different_sizes_are_compared(make_frames, make_topology, reference):
    small, large = (summarize(make_frames, make_topology, n_molecules=n) for n in (40, 60))
    off = summarize(make_frames, make_topology, n_molecules=60, energy=-5.2)
    assert compare_across([small, small], reference) == ()
    assert [metric.verdict for metric in compare_across([small, large], reference)] == ["pass"]
    assert [metric.verdict for metric in compare_across([small, off], reference)] == ["fail"]
    assert [m.verdict for m in compare_across([small, off], reference, limits={"energy_spread": 0.5})] == ["pass"]


def test_several_runs_pass_together_or_not_at_all():
    good = ValidationResult(name="a", status="complete", metrics=(Metric(key="k", label="k", value=1.0, highest=2.0),))
    bad = ValidationResult(name="b", status="complete", metrics=(Metric(key="k", label="k", value=3.0, highest=2.0),))
    killed = dataclasses.replace(good, name="c", status="interrupted")
    assert Validation(system="s", runs=(good, good)).passed
    assert not Validation(system="s", runs=(good, bad)).passed
    both = Validation(system="s", runs=(good, killed))
    assert (both.passed, both.n_complete) == (False, 1)
    assert "fail" in Validation(system="s", runs=(good, bad)).table()


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [(300.123, 0.45, "300.12 ± 0.45"), (1.83, None, "1.83"), (1234.5, 20.0, "1234 ± 20"), (0.01, 0.0, "0.01")],
)
def test_values_show_the_digits_that_their_error_allows(value, error, text):
    assert format_value(value, error) == text
