from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from openmm_cgml.builder import push_off
from openmm_cgml.builder.growth import grow_chains
from openmm_cgml.builder.packing import spread_molecules
from openmm_cgml.dataset.conformations import conformations_of
from tests.builder.chains import chain_force_field, chain_statistics, chain_topology, internal_distances

EDGE = 3.0282  # of 1000 beads at 0.84 g/cm^3


def overlapping(n_chains=10, monomers=50):
    force_field = chain_force_field()
    rng = np.random.default_rng(0)
    chains = grow_chains(chain_topology(force_field, monomers, 1), n_chains, chain_statistics(), rng)
    positions = spread_molecules(list(chains), EDGE, rng)
    return force_field, chain_topology(force_field, monomers, n_chains), positions


def closest(topology, positions):
    wrapped = positions % EDGE
    pairs = cKDTree(wrapped, boxsize=EDGE).query_pairs(0.5, output_type="ndarray")
    pairs = pairs[topology.molecules[pairs[:, 0]] != topology.molecules[pairs[:, 1]]]
    vectors = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    return np.linalg.norm(vectors - EDGE * np.round(vectors / EDGE), axis=1).min()


def pushed(schedule=None, keep=True, monkeypatch=None, seed=1):
    force_field, topology, positions = overlapping()
    statistics = chain_statistics(conformations=keep)
    distances = np.full((2, 2), 0.3)
    bound = force_field.bind(topology)
    after = push_off.push_apart(topology, positions, EDGE, bound, distances, statistics, seed=seed, schedule=schedule)
    return topology, positions, after


def torsion_error(topology, positions):
    found = conformations_of(topology, positions[None]).torsions[("CH2",) * 4]
    known = chain_statistics().conformations.torsions[("CH2",) * 4]
    return 0.5 * np.abs(found / found.sum() - known / known.sum()).sum()


@pytest.mark.slow
@pytest.mark.physics
def test_overlaps_go_and_the_chains_keep_their_distances_and_torsions():
    topology, before, after = pushed()
    assert closest(topology, before) < 0.1
    assert closest(topology, after) > 0.3
    separations = [1, 2, 3, 5, 10, 20, 40]
    given, kept = (internal_distances(x.reshape(10, 100, 3), separations) for x in (before, after))
    assert np.abs(kept / given - 1).max() < 0.04
    assert torsion_error(topology, after) < 0.2
    # The control: without a soft beginning and without what keeps angles and torsions, chains are distorted.
    _, _, fast = pushed(push_off.PushOff(soft_steps=0), keep=False)
    assert np.abs(internal_distances(fast.reshape(10, 100, 3), separations) / given - 1).max() > 0.04
    assert torsion_error(topology, fast) > 0.25


@pytest.mark.slow
def test_the_same_seed_gives_the_same_positions_to_the_last_digit():
    schedule = push_off.PushOff(soft_steps=30, prior_steps=5)
    one, again, other = (pushed(schedule, seed=seed)[2] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("exclude_bonds", [1, 2, 4])
def test_priors_may_exclude_other_pairs_than_the_push_off(exclude_bonds):
    force_field, topology, positions = overlapping(n_chains=4, monomers=20)
    bound = replace(force_field.priors, exclude_bonds=exclude_bonds).bind(topology)
    after = push_off.push_apart(topology, positions, EDGE, bound, np.full((2, 2), 0.3), chain_statistics(), seed=1)
    assert closest(topology, after) > 0.3


def test_steps_at_the_wall_are_short_enough_for_the_lightest_beads():
    topology = chain_topology(chain_force_field(), 5, 1)
    heavier = replace(topology, masses=4 * topology.masses)
    frequency = np.sqrt(push_off._WALL_STIFFNESS / (topology.masses.min() / 2))
    assert push_off._wall_step(topology) < 1 / frequency  # leapfrog is unstable from twice this on
    assert push_off._wall_step(heavier) == pytest.approx(2 * push_off._wall_step(topology))
