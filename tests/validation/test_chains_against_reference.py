import dataclasses

import numpy as np
import pytest

from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.quantities import ANGLES, CHAINS, STRUCTURE, TORSIONS
from openmm_cgml.validation.reference_summary import ReferenceSummary, summarize_reference
from openmm_cgml.validation.trajectory_summary import summarize_trajectory
from openmm_cgml.validation.verdict import compare_with_reference
from tests.analysis.chain_models import make_chains, phantom_melt

KEYS = {
    "temperature_mean", "density", "gr_inter_rmse", "gr_inter_pairs_rmse", "gr_intra_rmse", "gr_intra_far_rmse",
    "gr_com_rmse", "gr_below_first_bin", "bond_mean_error", "bond_std_ratio", "angle_js", "torsion_js", "rg_ratio",
    "end_to_end_ratio", "internal_distance_error",
}  # fmt: skip
TYPES = [1, *[0] * 18, 1]
LOOSE = ValidationLimits(gr_inter_rmse=1.0, gr_below_first_bin=1.0)  # phantom chains overlap, in tiny shells by chance


def summarize(n_chains=16, *, seed, n_beads=20, **settings):
    topology = make_chains(n_chains, n_beads, types=[1, *[0] * (n_beads - 2), 1])
    frames = phantom_melt(n_chains, n_beads, seed=seed, **settings)
    return summarize_trajectory(frames, topology, degrees_of_freedom=3 * topology.n_beads)


@pytest.fixture(scope="module")
def reference():
    frames = phantom_melt(16, 20, seed=1)
    return summarize_reference(
        frames, make_chains(16, 20, types=TYPES), system="phantom", temperature=300.0,
        degrees_of_freedom=960, limits=LOOSE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def alike(reference):
    return compare_with_reference(summarize(seed=2), reference)


@pytest.mark.slow
def test_chains_like_the_reference_pass_and_have_all_metrics(alike):
    assert alike.passed, alike.table()
    assert {metric.key for metric in alike.metrics} >= KEYS
    assert alike.metric("rg_ratio").value == pytest.approx(1.0, abs=4 * alike.metric("rg_ratio").error)
    assert alike.metric("angle_js").value < 0.01
    assert alike.metric("internal_distance_error").value < 0.05
    assert "all beads, up to 1.25 nm" in alike.metric("gr_inter_rmse").label  # half of this box


@pytest.mark.slow
@pytest.mark.physics
@pytest.mark.parametrize(
    ("change", "keys"),
    [
        ({"bond": 0.26}, ["bond_mean_error", "gr_intra_rmse"]),
        ({"width": 0.02}, ["bond_std_ratio"]),
        ({"cosine": 0.75}, ["angle_js", "rg_ratio", "end_to_end_ratio", "internal_distance_error"]),
    ],
    ids=["bond", "width", "stiffness"],
)
def test_each_fault_moves_its_own_metrics(reference, alike, change, keys):
    result = compare_with_reference(summarize(seed=2, **change), reference)
    for key in keys:
        neutral = 1.0 if key.endswith("ratio") else 0.0
        off, usual = (abs(each.metric(key).value - neutral) for each in (result, alike))
        error = result.metric(key).error or 0.0
        assert off > 3 * max(usual, error), f"{key}: {off} against {usual}\n{result.table()}"


@pytest.mark.slow
def test_other_chain_lengths_are_compared_by_internal_distances(reference):
    result = compare_with_reference(summarize(4, seed=3, n_beads=80), reference)
    keys = {metric.key for metric in result.metrics}
    assert "internal_distance_error" in keys
    assert "rg_ratio" not in keys
    assert any("chains of 80 beads are compared with a reference of 20" in note for note in result.notes)


@pytest.mark.slow
def test_a_reference_of_chains_is_written_and_read(reference):
    again = ReferenceSummary.from_json(reference.to_json())
    assert again.to_json() == reference.to_json()
    assert "M-M-M" in again.trajectory.get(ANGLES).half_js
    assert "M-M-M-M" in again.trajectory.get(TORSIONS).half_js
    gyration = [each.trajectory.get(CHAINS).by_length["20"].gyration.root for each in (again, reference)]
    assert gyration[0] == pytest.approx(gyration[1])
    structure = again.trajectory.get(STRUCTURE)
    whole, near = structure.intra_all, structure.intra_far
    assert np.all(whole.counts >= near.counts)
    assert whole.counts.sum() - near.counts.sum() == 40 * 16 * (19 + 18)


def test_unrelaxed_chains_are_noted_and_mobility_is_compared():
    topology = make_chains(16, 20)
    walks = [phantom_melt(16, 20, seed=seed, step=0.005) for seed in (1, 2)]
    reference = summarize_reference(walks[0], topology, system="phantom", temperature=300.0)
    result = compare_with_reference(summarize_trajectory(walks[1], topology), reference)
    assert sum("chains do not relax in this run" in note for note in result.notes) == 2
    assert result.metric("bead_msd_ratio").value == pytest.approx(1.0, abs=0.1)
    others = {key: part for key, part in reference.trajectory.parts.items() if key != "chains"}
    dumb = dataclasses.replace(
        reference, trajectory=dataclasses.replace(reference.trajectory, chain_lengths=(), parts=others)
    )
    assert "rg_ratio" not in {
        metric.key for metric in compare_with_reference(summarize_trajectory(walks[1], topology), dumb).metrics
    }
