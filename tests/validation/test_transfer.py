import dataclasses

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.validation.quantities import BONDS
from openmm_cgml.validation.quantities.distributions import Distributions
from openmm_cgml.validation.trajectory_summary import summarize_trajectory
from openmm_cgml.validation.transfer import Transfer, TransferLimits, _correct_holm, compare_transfer
from tests.analysis.chain_models import make_chains, phantom_melt

STRICT = TransferLimits(tolerance=1e-6)


def summarize(n_chains, n_beads, **settings):
    frames = phantom_melt(n_chains, n_beads, **settings)
    topology = make_chains(n_chains, n_beads)
    return summarize_trajectory(frames, topology, degrees_of_freedom=3 * topology.n_beads)


def with_bonds(summary, by_types):
    return dataclasses.replace(summary, parts={**summary.parts, "bonds": Distributions(by_types=by_types)})


@pytest.fixture(scope="module")
def base():
    return summarize(20, 40, seed=1)


@pytest.mark.slow
@pytest.mark.physics
def test_longer_chains_of_one_kind_have_the_same_statistics_per_segment(base):
    found = compare_transfer([("20 x 40", base), ("5 x 160", summarize(5, 160, seed=2))], STRICT)
    assert found.passed, found.table()
    assert set(found.groups()) == {
        "temperature",
        "bond length",
        "g(r), all pairs",
        "g(r) between chains",
        "internal distances",
    }
    assert "the same statistics per segment within error" in found.table()
    assert [run.chain_beads for run in found.runs] == [40, 160]
    assert Transfer.from_json(found.to_json()).to_json() == found.to_json()


@pytest.mark.slow
@pytest.mark.physics
@pytest.mark.parametrize(
    ("change", "group"),
    [
        ({"bond": 0.255}, "bond length"),
        ({"width": 0.013}, "bond length"),
        ({"cosine": 0.68}, "internal distances"),
        ({"density": 30.0}, None),
    ],
    ids=["bond mean", "bond width", "stiffness", "density"],
)
def test_a_chain_with_other_statistics_is_told_apart(base, change, group):
    found = compare_transfer([("a", base), ("b", summarize(5, 160, seed=2, **change))])
    if group is None:  # phantom chains pack the same at any density, but it is said
        assert any("densities differ" in note for note in found.notes)
        return
    assert not found.passed
    assert any(quantity.differs for quantity in found.groups()[group]), found.table()
    assert "differ in" in found.statement
    assert group in found.statement


@pytest.mark.slow
@pytest.mark.physics
def test_g_between_chains_depends_on_their_length_and_that_over_all_pairs_does_not(base):
    longer = summarize(5, 160, seed=2)
    found = compare_transfer([("a", base), ("b", longer)])
    between = found.groups()["g(r) between chains"]
    gaps = [quantity.values[0].value - quantity.values[1].value for quantity in between]
    assert np.mean(gaps) > 0.01  # the correlation hole
    assert all(test is None for quantity in between for test in quantity.tests)


@pytest.mark.slow
def test_displacements_of_inner_beads_are_compared_at_equal_times():
    melts = [summarize(20, 40, seed=1, step=0.02, n_frames=60), summarize(5, 160, seed=2, step=0.02, n_frames=60)]
    other = summarize(5, 160, seed=3, step=0.03, n_frames=60)
    same, different = (compare_transfer([("a", melts[0]), ("b", last)]) for last in (melts[1], other))
    rows = same.groups()["displacement of beads"]
    assert len(rows) == 4
    assert not any(row.differs for row in rows)
    assert all(row.differs for row in different.groups()["displacement of beads"])
    assert any("chains do not relax" in note for note in same.notes)


def test_a_resolved_but_small_difference_does_not_count(base):
    bonds = {
        name: dataclasses.replace(each, mean=each.mean * 1.005, standard_error=1e-6)
        for name, each in base.get(BONDS).by_types.items()
    }
    close = with_bonds(base, bonds)
    found = compare_transfer([("a", base), ("b", close)])
    assert found.passed
    assert [each.tests[0].verdict for each in found.groups()["bond length"]] == ["below tolerance", "same"]
    assert not compare_transfer([("a", base), ("b", close)], TransferLimits(tolerance=0.004)).passed


def test_corrected_p_values_are_holms():
    # S. Holm's procedure on an example that is easily done by hand
    np.testing.assert_allclose(_correct_holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])
    assert _correct_holm(np.zeros(0)).shape == (0,)


@pytest.mark.slow
@pytest.mark.physics
def test_equal_runs_are_hardly_ever_called_different():
    different = 0
    for seed in range(0, 16, 2):
        runs = [
            ("a", summarize(10, 20, seed=100 + seed, n_frames=20)),
            ("b", summarize(4, 50, seed=101 + seed, n_frames=20)),
        ]
        different += not compare_transfer(runs, STRICT).passed
    assert different <= 1


def test_runs_that_cannot_be_compared_are_refused(base, make_frames, make_topology):
    dumbbells = summarize_trajectory(make_frames(), make_topology())
    with pytest.raises(InputError, match="at least two"):
        compare_transfer([("a", base)])
    with pytest.raises(InputError, match="b: no linear chains"):
        compare_transfer([("a", base), ("b", dumbbells)])
    with pytest.raises(InputError, match="share no type of bond"):
        compare_transfer([("a", base), ("b", with_bonds(base, {"X-X": base.get(BONDS).by_types["M-M"]}))])
