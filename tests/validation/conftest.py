"""A small liquid of dumbbells that the tests of summaries, validations and reports share."""

import numpy as np
import pytest

from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, ResidueTemplate

BOX = 2.6
DUMBBELL = ResidueTemplate(
    name="DMB", bead_names=("A1", "B1"), bead_type_names=("A", "B"), masses=(30.0, 40.0), bonds=((0, 1),)
)


def make_topology(n_molecules=40):
    return CGTopology.from_residues([(DUMBBELL, n_molecules)])


def make_frames(n_frames=30, n_molecules=40, seed=0, bond=0.2, spread=0.01, energy=-5.0, temperature=300.0, step=0.02):
    """Dumbbells that walk at random without seeing one another: g(r) between molecules is one."""
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, BOX, (1, n_molecules, 3)) + np.cumsum(
        rng.normal(0, step, (n_frames, n_molecules, 3)), axis=0
    )
    directions = rng.normal(size=(n_frames, n_molecules, 3))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    lengths = rng.normal(bond, spread, (n_frames, n_molecules, 1))
    positions = np.stack([centers - directions * lengths / 2, centers + directions * lengths / 2], axis=2)
    n = 2 * n_molecules
    kinetic = 0.5 * 3 * n * 0.00831446261815324 * temperature * (1 + rng.normal(0, 0.01, n_frames))
    return Frames(
        positions=positions.reshape(n_frames, n, 3).astype(np.float32),
        box=np.stack([np.eye(3) * BOX] * n_frames),
        times=np.arange(n_frames) * 0.5,
        energies={"potential": n * (energy + rng.normal(0, 0.02, n_frames)), "kinetic": kinetic},
    )


@pytest.fixture(name="make_frames")
def make_frames_fixture():
    return make_frames


@pytest.fixture(name="make_topology")
def make_topology_fixture():
    return make_topology


@pytest.fixture
def reference():
    from openmm_cgml.validation.reference_summary import summarize_reference

    return summarize_reference(make_frames(n_frames=60), make_topology(), system="dumbbells", temperature=300.0)
