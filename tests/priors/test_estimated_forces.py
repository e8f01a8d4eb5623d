import numpy as np
import pytest

from openmm_cgml.errors import PriorWarning
from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorConfig, fit_bonded_priors, fit_priors
from openmm_cgml.priors.estimated_forces import with_intermolecular_forces
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.trajectories.liquid import BONDS, LENGTH, N_FRAMES, N_MOLECULES, run_liquid

MOLECULE = ResidueTemplate(
    name="CO", bead_names=("C", "O"), bead_type_names=("C", "O"), masses=(12.011, 15.999), bonds=((0, 1),)
)
TOPOLOGY = CGTopology.from_residues([(MOLECULE, N_MOLECULES)])


@pytest.fixture(scope="module")
def frames():
    """Total forces of a liquid, and those between its molecules, which only the test knows."""
    run = run_liquid()
    vectors = run.positions[:, BONDS[:, 1]] - run.positions[:, BONDS[:, 0]]
    lengths = np.linalg.norm(vectors, axis=2, keepdims=True)
    pull = 150_000 * (lengths - LENGTH) * vectors / lengths
    inter = run.forces.copy()
    inter[:, 0::2] -= pull
    inter[:, 1::2] += pull
    total = Frames(positions=run.positions, box=np.tile(run.box, (N_FRAMES, 1, 1)), forces=run.forces)
    return total, inter


@pytest.mark.physics
def test_what_bonded_priors_leave_is_what_acts_between_molecules(frames):
    total, inter = frames
    config = PriorConfig(bonds={"length": LENGTH, "stiffness": 150_000.0}, repulsion=None)
    bonded = fit_bonded_priors(config.bonds, TOPOLOGY, total, 300.0)
    with pytest.warns(PriorWarning, match="total forces only.*--rerun"):
        found = with_intermolecular_forces(total, TOPOLOGY, bonded)
    np.testing.assert_allclose(found.forces_inter, inter, atol=0.1)
    assert np.abs(total.forces - inter).max() > 100  # the forces of bonds, were they left in


def test_recorded_forces_between_molecules_are_kept_and_lone_beads_need_none(frames):
    total, inter = frames
    known = total.replace(forces_inter=inter)
    assert with_intermolecular_forces(known, TOPOLOGY, ()) is known
    lone = CGTopology.from_residues(
        [(ResidueTemplate(name="A", bead_names=("A",), bead_type_names=("A",), masses=(12.0,)), 128)]
    )
    assert with_intermolecular_forces(total, lone, ()) is total


def test_splines_of_total_forces_are_fitted_with_a_warning(frames):
    total, inter = frames
    config = PriorConfig(pairs={"form": "spline", "cutoff": 0.8}, repulsion=None)
    with pytest.warns(PriorWarning, match="total forces only"):
        fitted = fit_priors(config, TOPOLOGY, total, 300.0)
    forces = fitted.forces(TOPOLOGY, total, part="inter")
    assert 1 - np.mean((forces - inter) ** 2) / np.mean(inter**2) > 0.8
