import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.validation.quantities import BONDS, DENSITY, ENERGY, MOBILITY, STRUCTURE, TEMPERATURE
from openmm_cgml.validation.trajectory import find_interval
from openmm_cgml.validation.trajectory_summary import TrajectorySummary, summarize_trajectory


def test_a_trajectory_is_summarized(make_frames, make_topology):
    summary = summarize_trajectory(make_frames(), make_topology(), degrees_of_freedom=240)
    assert (summary.n_frames, summary.n_beads, summary.n_molecules, summary.duration) == (30, 80, 40, 14.5)
    assert summary.get(DENSITY).mean == pytest.approx(40 * 70.0 / 2.6**3 * 0.00166054, rel=1e-4)
    assert summary.get(TEMPERATURE).mean == pytest.approx(300, abs=5)
    assert summary.get(ENERGY).per_bead["potential"].mean == pytest.approx(-5.0, abs=0.05)
    structure = summary.get(STRUCTURE)
    assert set(structure.inter) == {"A-A", "A-B", "B-B"}
    assert set(structure.intra) == set(summary.get(BONDS).by_types) == {"A-B"}
    assert structure.com.bin_edges[-1] == pytest.approx(1.3)
    assert summary.get(MOBILITY).diffusion.time_scale == "CG time"


def test_json_brings_the_summary_back(make_frames, make_topology):
    summary = summarize_trajectory(make_frames(), make_topology(), degrees_of_freedom=240)
    again = TrajectorySummary.from_json(summary.to_json())
    first, second = again.get(STRUCTURE), summary.get(STRUCTURE)
    np.testing.assert_allclose(first.inter["A-B"].g, second.inter["A-B"].g, rtol=1e-8)
    np.testing.assert_array_equal(first.com.counts, second.com.counts)
    assert again.get(MOBILITY).diffusion.value == summary.get(MOBILITY).diffusion.value
    assert again.to_json() == summary.to_json()


def test_centers_of_mass_are_enough_where_molecules_are_single_beads(make_frames):
    bead = ResidueTemplate(name="BNZ", bead_names=("B",), bead_type_names=("B",), masses=(78.0,))
    summary = summarize_trajectory(make_frames(n_molecules=20), CGTopology.from_residues([(bead, 40)]))
    structure = summary.get(STRUCTURE)
    assert structure.com is not None
    assert structure.inter == structure.intra == summary.get(BONDS).by_types == {}
    assert summary.get(TEMPERATURE) is None


def test_long_trajectories_are_thinned_for_the_distributions_only(make_frames, make_topology):
    summary = summarize_trajectory(make_frames(), make_topology(), max_structure_frames=8)
    assert summary.n_structure_frames == 8
    assert summary.get(STRUCTURE).com.n_frames == 8
    assert len(summary.get(MOBILITY).msd.times) == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frames: frames.replace(box=None), "no box"),
        (lambda frames: frames[:1], "at least two"),
        (lambda frames: frames.replace(positions=frames.positions[:, :20]), "20 beads and a topology of 80"),
        (lambda frames: frames.replace(positions=frames.positions % 2.6), "wrapped into the box"),
    ],
)
def test_frames_that_cannot_be_analyzed_are_refused(make_frames, make_topology, change, message):
    frames = make_frames(step=0.15)
    if message.startswith("wrapped"):
        bead = ResidueTemplate(name="X", bead_names=("X",), bead_type_names=("X",), masses=(1.0,))
        topology = CGTopology.from_residues([(bead, 80)])
    else:
        topology = make_topology()
    with pytest.raises(InputError, match=message):
        summarize_trajectory(change(frames), topology)


def test_uneven_times_have_no_interval():
    assert find_interval(np.array([0.0, 1.0, 2.0])) == 1.0
    assert find_interval(np.array([0.0, 1.0, 3.0])) is None
    assert find_interval(np.array([0.0, 1.0, 1.0])) is None
    assert find_interval(None) is None
