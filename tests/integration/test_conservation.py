"""Energy and momentum of simulations without a thermostat."""

import numpy as np
import openmm
import pytest

from openmm_cgml.runs.checkpoint import find_checkpoint
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import SimulationConfig, simulate_system
from openmm_cgml.topology import CGTopology, ResidueTemplate

EDGE, N_PER_EDGE, CUTOFF = 2.5, 5, 0.72
MASS = 78.0


def make_liquid(smooth):
    """A dense liquid whose repulsion goes smoothly to zero at the cutoff, or is cut off there."""
    template = ResidueTemplate(name="BNZ", bead_names=("A",), bead_type_names=("A",), masses=(MASS,))
    topology = CGTopology.from_residues([(template, N_PER_EDGE**3)])
    force = openmm.CustomNonbondedForce("40*(0.4/r)^4")
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(CUTOFF)
    force.setUseSwitchingFunction(smooth)
    force.setSwitchingDistance(0.45)
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(EDGE * np.eye(3)))
    for _ in range(topology.n_beads):
        system.addParticle(MASS)
        force.addParticle([])
    system.addForce(force)
    grid = np.indices((N_PER_EDGE,) * 3).reshape(3, -1).T
    positions = (grid + 0.3 * np.random.default_rng(2).uniform(-0.5, 0.5, grid.shape)) * EDGE / N_PER_EDGE
    return system, topology, positions


def energy_fluctuation(folder, time_step, smooth):
    """Standard deviation of the total energy after a straight line is taken out [kJ/mol]."""
    config = SimulationConfig(
        temperature=300.0,
        duration=4.0,
        time_step=time_step,
        frame_interval=0.04,
        checkpoint_interval=10.0,
        ensemble="NVE",
        platform="Reference",
        minimize=True,
    )
    output = folder / f"{time_step}-{smooth}"
    system, topology, positions = make_liquid(smooth)
    simulate_system(system, topology, positions, EDGE * np.eye(3), output=output, config=config, progress=False)
    frames = FrameStore.open(output / "trajectory").read()
    total = (frames.energies["potential"] + frames.energies["kinetic"])[10:]
    line = np.polyfit(frames.times[10:], total, 1)
    return float(np.std(total - np.polyval(line, frames.times[10:])))


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("smooth", [True, False])
def test_energy_fluctuation_falls_with_the_square_of_the_time_step(tmp_path, smooth):
    coarse, fine = (energy_fluctuation(tmp_path, time_step, smooth) for time_step in (0.02, 0.01))
    falls = abs(coarse / fine / 4 - 1) < 0.25
    assert falls == smooth, f"ratio {coarse / fine:.2f}; 4 is that of a conservative force"


@pytest.mark.physics
@pytest.mark.slow
@pytest.mark.parametrize("conserving", [True, False])
def test_momentum_stays_zero(tmp_path, conserving):
    config = SimulationConfig(
        temperature=300.0, duration=2.0, time_step=0.01, frame_interval=1.0, ensemble="NVE", platform="Reference"
    )
    system, topology, positions = make_liquid(smooth=True)
    if not conserving:
        one_sided = openmm.CustomExternalForce("-0.1*x")
        one_sided.addParticle(0, [])
        system.addForce(one_sided)
    simulate_system(
        system, topology, positions, EDGE * np.eye(3), output=tmp_path / "run", config=config, progress=False
    )
    checkpoint, _ = find_checkpoint(tmp_path / "run" / "checkpoints")
    drift = np.linalg.norm(MASS * checkpoint.velocities.sum(axis=0))
    thermal = np.sqrt(topology.n_beads * 3 * MASS * 0.0083145 * 300.0)
    assert (drift < 1e-9 * thermal) == conserving
