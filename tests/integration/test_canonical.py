"""The thermostat samples the canonical ensemble: exact answers for free harmonic dimers."""

import numpy as np
import openmm
import pytest

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import SimulationConfig, simulate_system
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN

LENGTH, STIFFNESS, TEMPERATURE = 0.5, 50000.0, 300.0


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    template = ResidueTemplate(
        name="DIM", bead_names=("A", "B"), bead_type_names=("A", "A"), masses=(78.0, 39.0), bonds=((0, 1),)
    )
    topology = CGTopology.from_residues([(template, 100)])
    system = openmm.System()
    bonds = openmm.HarmonicBondForce()
    for mass in topology.masses:
        system.addParticle(mass)
    for i, j in topology.bonds.tolist():
        bonds.addBond(i, j, LENGTH, STIFFNESS)
    system.addForce(bonds)
    positions = np.zeros((200, 3))
    positions[1::2, 0] = LENGTH
    config = SimulationConfig(
        temperature=TEMPERATURE,
        duration=40.0,
        time_step=0.005,
        friction=10.0,
        frame_interval=0.1,
        checkpoint_interval=1000.0,
        platform="Reference",
        minimize=False,
        seed=1,
    )
    output = tmp_path_factory.mktemp("canonical") / "run"
    simulate_system(system, topology, positions, None, output=output, config=config, progress=False)
    return FrameStore.open(output / "trajectory").read()[20:]


def agrees(series, expected):
    average = compute_average(series)
    return abs(average.mean - expected) < 3 * average.standard_error


@pytest.mark.physics
@pytest.mark.parametrize(("factor", "right"), [(1.0, True), (1.05, False)])
def test_bonds_fluctuate_as_their_stiffness_says(frames, factor, right):
    lengths = np.linalg.norm(frames.positions[:, 1::2] - frames.positions[:, ::2], axis=-1)
    # With the Jacobian r^2 of a free dimer: <(r - r0)^2> = s^2 (r0^2 + 3 s^2) / (r0^2 + s^2), s^2 = kT/k.
    spread = BOLTZMANN * TEMPERATURE / (factor * STIFFNESS)
    expected = spread * (LENGTH**2 + 3 * spread) / (LENGTH**2 + spread)
    assert agrees(((lengths - LENGTH) ** 2).mean(axis=1), expected) == right


@pytest.mark.physics
@pytest.mark.parametrize(("temperature", "right"), [(300.0, True), (310.0, False)])
def test_kinetic_energy_has_its_canonical_mean(frames, temperature, right):
    assert agrees(frames.energies["kinetic"], 1.5 * 200 * BOLTZMANN * temperature) == right
