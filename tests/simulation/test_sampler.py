import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.simulation.preparation import prepare_start, start_of_atoms
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.topology import AtomTopology
from tests.reference import liquids
from tests.simulation.conftest import make_config, make_liquid


def atoms_of_benzene(**changes):
    topology, system = liquids.split_system()
    config = make_config(time_step="4 fs", friction="1 /ps", platform="Reference", **changes)
    return system, AtomTopology.from_openmm(topology), config


@pytest.mark.slow
def test_atoms_are_stepped_with_their_constraints_from_a_state_that_was_rounded():
    system, atoms, config = atoms_of_benzene()
    sampler = Sampler(start_of_atoms(system, atoms, config))
    rounded = np.round(liquids.positions(), 3)
    sampler.set_state(rounded, seed=7)
    pairs = [system.getConstraintParameters(index) for index in range(system.getNumConstraints())]
    i, j, lengths = (np.array(column) for column in zip(*((i, j, d._value) for i, j, d in pairs), strict=True))

    def largest_error(positions):
        return np.abs(np.linalg.norm(positions[i] - positions[j], axis=1) / lengths - 1).max()

    assert largest_error(rounded) > 1e-4
    assert largest_error(sampler.take_snapshot().positions) < 2e-6
    assert 0.7 * 300 < sampler.take_snapshot().temperature < 1.3 * 300
    sampler.step(5)
    assert sampler.step_count == 5
    assert largest_error(sampler.take_snapshot().positions) < 1e-4


def test_the_bonds_of_atoms_are_not_judged_as_those_of_beads():
    system, atoms, config = atoms_of_benzene(minimize=False)
    with pytest.raises(InputError, match="too long for the stiffest term"):
        prepare_start(system, atoms.to_beads(), liquids.positions(), np.full(3, liquids.LENGTH), config)
    assert start_of_atoms(system, atoms, config).bonds is None


def test_drawn_velocities_follow_the_seed_that_is_given():
    liquid = make_liquid()
    sampler = Sampler.create(liquid.system, liquid.topology, liquid.positions, liquid.box, make_config())

    def velocities(**seed):
        sampler.set_state(liquid.positions, **seed)
        return sampler.take_snapshot().velocities

    first = velocities(seed=3)
    np.testing.assert_array_equal(velocities(seed=3), first)
    assert not np.allclose(velocities(seed=4), first)
    assert not np.allclose(velocities(), first)
