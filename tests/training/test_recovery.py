"""The test that matters most: data from a known pair potential give that potential back, forces and structure."""

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import DatasetWarning
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.training import fit
from openmm_cgml.training.config import DataConfig, FitConfig

pytestmark = [pytest.mark.physics, pytest.mark.slow]

N_BEADS, EDGE, CUTOFF, TEMPERATURE = 64, 3.0, 0.9, 300.0
TEMPLATE = ResidueTemplate(name="BALL", bead_names=("X",), bead_type_names=("X",), masses=(50.0,))
# A soft shell, a well and an outer barrier: nothing a prior or a Lennard-Jones fit could give by accident [kJ/mol, nm].
ENERGY = "30*exp(-(r/0.25)^2) - 2.5*exp(-((r-0.5)/0.06)^2) + 1.5*exp(-((r-0.68)/0.05)^2)"
DISTANCES = np.linspace(0.36, 0.85, 50)


def known_force(r):
    """Minus dE/dr [kJ/mol/nm]."""
    return (
        30 * 2 * r / 0.25**2 * np.exp(-((r / 0.25) ** 2))
        - 2.5 * 2 * (r - 0.5) / 0.06**2 * np.exp(-(((r - 0.5) / 0.06) ** 2))
        + 1.5 * 2 * (r - 0.68) / 0.05**2 * np.exp(-(((r - 0.68) / 0.05) ** 2))
    )


def _topology(n_beads=N_BEADS):
    return CGTopology.from_residues([(TEMPLATE, n_beads)])


def _known_system():
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * EDGE))
    force = openmm.CustomNonbondedForce(ENERGY)
    for _ in range(N_BEADS):
        system.addParticle(50.0)
        force.addParticle([])
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(CUTOFF)
    system.addForce(force)
    return system


def _simulate(system, n_frames, steps_per_frame, seed):
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE, 5.0, 0.005)
    integrator.setRandomNumberSeed(seed)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    grid = np.stack(np.meshgrid(*3 * [np.arange(4)]), -1).reshape(-1, 3) * EDGE / 4
    context.setPositions(grid)
    openmm.LocalEnergyMinimizer.minimize(context)
    context.setVelocitiesToTemperature(TEMPERATURE, seed)
    integrator.step(10 * steps_per_frame)
    positions, forces = [], []
    for _ in range(n_frames):
        integrator.step(steps_per_frame)
        state = context.getState(getPositions=True, getForces=True)
        positions.append(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        forces.append(state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer))
    return np.array(positions), np.array(forces)


@pytest.fixture(scope="module")
def data():
    return _simulate(_known_system(), n_frames=260, steps_per_frame=150, seed=1)


def _fit(folder, positions, forces):
    dataset = ForceMatchingDataset.create(
        folder / "data",
        [Frames(positions=positions, forces=forces, box=np.tile(np.eye(3) * EDGE, (len(positions), 1, 1)))],
        topology=_topology(),
        temperature=TEMPERATURE,
        mapping_fingerprint="known",
        source={"energy": ENERGY},
        templates=[TEMPLATE],
    )
    config = FitConfig(
        name="known",
        data=DataConfig(datasets=dataset.path),
        priors={"repulsion": {"sigma": 0.25, "epsilon": 4.184, "cutoff": CUTOFF}},
        network={"cutoff": CUTOFF, "n_features": 24, "n_filters": 24, "n_inter_blocks": 1, "n_basis": 50},
        training={"epochs": 40, "batch_size": 4, "learning_rate": 1e-2, "threads": 1},
    )
    return fit(config, folder / "fit", progress=False)


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    return _fit(tmp_path_factory.mktemp("known"), *data)


def _learned_force(force_field):
    """Force between two lone beads at `DISTANCES` [kJ/mol/nm]."""
    topology = _topology(2)
    deployed, potentials = force_field.deploy(topology), force_field.bind(topology)
    box = torch.eye(3, dtype=torch.float64) * 10
    forces = []
    for r in DISTANCES:
        positions = torch.tensor([[0.0, 0, 0], [r, 0, 0]], dtype=torch.float64, requires_grad=True)
        prior = sum(potential.energy(positions, box) for potential in potentials)
        gradient = torch.autograd.grad(prior, positions)[0]
        forces.append(float(deployed(positions.detach(), box)[1][1, 0] - gradient[1, 0]))
    return np.array(forces)


def _curve_error(force_field, known):
    """RMSE of the force curve in units of the known curve's RMS."""
    return float(np.sqrt(np.mean((_learned_force(force_field) - known) ** 2) / np.mean(known**2)))


def _rdf(positions):
    difference = positions[:, :, None] - positions[:, None]
    difference -= np.round(difference / EDGE) * EDGE
    i, j = np.triu_indices(N_BEADS, 1)
    distances = np.linalg.norm(difference[:, i, j], axis=-1)
    counts, edges = np.histogram(distances, bins=np.arange(0.3, 1.2, 0.05))
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    return counts / (len(positions) * N_BEADS * (N_BEADS - 1) / 2 / EDGE**3 * shells)


def test_the_force_curve_of_a_known_potential_is_recovered(fitted):
    known = known_force(DISTANCES)
    error = _curve_error(fitted.force_field, known)
    assert error < 0.12
    assert fitted.metrics["test"]["r2"] > 0.98
    assert _curve_error(fitted.force_field, -known) > 1.5  # control: the check notices a flipped sign


def test_flipped_labels_are_not_recovered(data, tmp_path):
    """The control: a fit that is given forces of the wrong sign must fail the same check."""
    positions, forces = data
    with pytest.warns(DatasetWarning, match=r"forces times lengths are -.* times what equilibrium at 300 K gives"):
        result = _fit(tmp_path, positions[:60], -forces[:60])
    assert _curve_error(result.force_field, known_force(DISTANCES)) > 1.5


def test_simulation_of_the_fitted_force_field_has_the_known_structure(fitted, data):
    system = fitted.force_field.create_system(_topology(), box=[EDGE] * 3, ml_backend="PythonForce")
    positions, _ = _simulate(system, n_frames=80, steps_per_frame=50, seed=2)
    known, learned = _rdf(data[0]), _rdf(positions)
    uncorrelated = np.random.default_rng(0).uniform(0, EDGE, positions.shape)
    rmse = np.sqrt(np.mean((learned - known) ** 2))
    assert rmse < 0.1
    assert np.sqrt(np.mean((_rdf(uncorrelated) - known) ** 2)) > 3 * rmse  # control
