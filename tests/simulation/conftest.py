"""A small liquid whose forces are plain OpenMM, so that the simulation code is tested without a network."""

from dataclasses import dataclass

import numpy as np
import openmm
import pytest

from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.topology import CGTopology, ResidueTemplate


@dataclass(frozen=True)
class Liquid:
    system: openmm.System
    topology: CGTopology
    positions: np.ndarray
    box: np.ndarray


def make_liquid(n_per_edge=4, spacing=0.5, bonded=False, smooth=True):
    """Beads on a lattice with a soft repulsion, optionally bonded in pairs."""
    n = n_per_edge**3
    template = ResidueTemplate(
        name="DIM" if bonded else "BNZ",
        bead_names=("A", "B") if bonded else ("A",),
        bead_type_names=("A", "A") if bonded else ("A",),
        masses=(78.0, 78.0) if bonded else (78.0,),
        bonds=((0, 1),) if bonded else (),
    )
    topology = CGTopology.from_residues([(template, n // len(template.bead_names))])
    box = np.eye(3) * n_per_edge * spacing
    repulsion = openmm.CustomNonbondedForce("4.184*(0.4/r)^12")
    repulsion.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    repulsion.setCutoffDistance(0.45 * n_per_edge * spacing if smooth else 0.46)
    repulsion.setUseSwitchingFunction(smooth)
    repulsion.setSwitchingDistance(0.3 * n_per_edge * spacing)
    repulsion.setName("repulsion")
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*box)
    for mass in topology.masses:
        system.addParticle(mass)
        repulsion.addParticle()
    if bonded:
        bonds = openmm.HarmonicBondForce()
        bonds.setUsesPeriodicBoundaryConditions(True)
        for i, j in topology.bonds.tolist():
            bonds.addBond(i, j, spacing, 50000.0)
            repulsion.addExclusion(i, j)
        system.addForce(bonds)
    system.addForce(repulsion)
    grid = np.array([(x, y, z) for x in range(n_per_edge) for y in range(n_per_edge) for z in range(n_per_edge)])
    return Liquid(system, topology, grid * spacing + 0.1, box)


def make_config(**changes):
    settings = {
        "temperature": 300.0,
        "duration": "0.4 ps",
        "time_step": "5 fs",
        "frame_interval": "25 fs",
        "checkpoint_interval": "100 fs",
        "seed": 3,
        "platform": "Reference",
        "minimize": False,
    }
    return SimulationConfig(**{**settings, **changes})


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch):
    """A killed process loses nothing that it has written; only a power cut needs fsync."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture
def liquid():
    return make_liquid()


@pytest.fixture
def dimers():
    return make_liquid(bonded=True)


@pytest.fixture
def config():
    return make_config()
