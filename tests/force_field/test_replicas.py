"""Replicas in one System against so many Systems of one."""

import copy
import importlib.util
from dataclasses import replace

import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.priors import PriorSet
from openmm_cgml.topology import CGTopology
from tests.fixtures import benzene_box, displaced, tiny_force_field

REPLICAS = 3
WITH_TORCHFORCE = importlib.util.find_spec("openmmtorch") is not None
pytestmark = pytest.mark.backend

BACKENDS = [
    pytest.param({"ml_backend": "PythonForce", "exact": True}, id="PythonForce exact"),
    pytest.param({"ml_backend": "PythonForce"}, id="PythonForce"),
    pytest.param(
        {"ml_backend": "TorchForce"},
        id="TorchForce",
        marks=pytest.mark.skipif(not WITH_TORCHFORCE, reason="openmmtorch is not installed"),
    ),
]


def evaluate(system, positions, platform="Reference"):  # native forces in double precision
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def copies_of(n_beads, n_molecules=40):
    """A topology, its box, and different positions for each replica, shape (REPLICAS, n_beads, 3)."""
    topology, positions, box = benzene_box(n_beads, n_molecules)
    return topology, box, np.stack([displaced(positions, box, seed=seed) for seed in range(REPLICAS)])


def with_cutoff(force_field, cutoff):
    """The force field with another cutoff of the excluded volume."""
    terms = tuple(
        replace(term, parameters={**term.parameters, "cutoff": cutoff, "switch_distance": 0.8 * cutoff})
        if term.form == "power_repulsion"
        else term
        for term in force_field.priors.terms
    )
    return replace(force_field, priors=PriorSet(terms=terms, exclude_bonds=force_field.priors.exclude_bonds))


def assert_like_singles(force_field, topology, box, positions, **options):
    single = force_field.create_system(topology, box=box, **options)
    expected = [evaluate(single, x) for x in positions]
    system = force_field.create_system(topology, box=box, replicas=len(positions), **options)
    energy, forces = evaluate(system, np.concatenate(positions))
    total = sum(e for e, _ in expected)
    rms = np.sqrt(np.mean([f**2 for _, f in expected]))
    assert energy == pytest.approx(total, abs=2e-6 * sum(abs(e) for e, _ in expected))
    np.testing.assert_allclose(forces.reshape(positions.shape), [f for _, f in expected], atol=5e-6 * rms)
    return energy, rms


@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("n_beads", [1, 3])
def test_replicas_are_so_many_single_systems(n_beads, options):
    force_field = tiny_force_field(n_beads, include_bonded=False)
    topology, box, positions = copies_of(n_beads)
    energy, rms = assert_like_singles(force_field, topology, box, positions, **options)
    # The control: the same beads as one system, in which copies do see each other.
    crowd = force_field.create_system(topology.repeated(REPLICAS), box=box, **options)
    crowded, forces = evaluate(crowd, np.concatenate(positions))
    assert abs(crowded - energy) > 0.1 * abs(energy)
    assert np.sqrt((forces**2).mean()) > 1.5 * rms


@pytest.mark.parametrize("options", BACKENDS)
def test_replicas_at_the_same_place_do_not_feel_each_other(options):
    force_field = tiny_force_field(3)
    topology, box, positions = copies_of(3)
    assert_like_singles(force_field, topology, box, np.stack([positions[0]] * REPLICAS), **options)


@pytest.mark.parametrize("options", BACKENDS)
@pytest.mark.parametrize("cutoff", [0.5, 0.85])
def test_the_excluded_volume_may_reach_less_or_more_far_than_the_network(cutoff, options):
    force_field = with_cutoff(tiny_force_field(3), cutoff)
    topology, box, positions = copies_of(3, 60)
    assert_like_singles(force_field, topology, box, positions, **options)


def test_priors_alone_are_kept_apart_by_native_forces():
    force_field = tiny_force_field(3, network=False)
    topology, box, positions = copies_of(3)
    assert_like_singles(force_field, topology, box, positions)


def test_the_excluded_volume_of_the_engine_is_the_native_one():
    """The network's share is the same in both, so the difference is the pair prior's."""
    force_field = tiny_force_field(3)
    priors = replace(force_field, network=None)
    topology, box, positions = copies_of(3)
    options = {"box": box, "replicas": REPLICAS}
    both = evaluate(
        force_field.create_system(topology, ml_backend="PythonForce", exact=True, **options), np.concatenate(positions)
    )
    native = evaluate(priors.create_system(topology, **options), np.concatenate(positions))
    deployed = force_field.deploy(topology)
    network = [deployed_evaluation(deployed, x, box) for x in positions]
    assert both[0] - native[0] == pytest.approx(sum(e for e, _ in network), abs=1e-5 * abs(both[0]))
    rms = np.sqrt((both[1] ** 2).mean())
    np.testing.assert_allclose(both[1] - native[1], np.concatenate([f for _, f in network]), atol=1e-5 * rms)


def deployed_evaluation(deployed, positions, box):
    import torch

    energy, forces = deployed(torch.tensor(positions), torch.tensor(np.asarray(box)))
    return float(energy), forces.numpy()


def test_a_copied_system_keeps_its_replicas():
    force_field = tiny_force_field(3)
    topology, box, positions = copies_of(3)
    system = force_field.create_system(topology, box=box, replicas=REPLICAS, ml_backend="PythonForce")
    expected, found = (evaluate(s, np.concatenate(positions)) for s in (system, copy.deepcopy(system)))
    assert found[0] == pytest.approx(expected[0], rel=1e-6)


def test_forces_are_added_to_a_system_of_all_replicas():
    force_field = tiny_force_field(1)
    topology, box, positions = copies_of(1)
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*[openmm.Vec3(*row) for row in np.asarray(box)])
    for mass in np.tile(topology.masses, REPLICAS):
        system.addParticle(mass)
    force_field.add_forces(system, topology, replicas=REPLICAS, ml_backend="PythonForce")
    made = force_field.create_system(topology, box=box, replicas=REPLICAS, ml_backend="PythonForce")
    expected, found = (evaluate(s, np.concatenate(positions)) for s in (made, system))
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    with pytest.raises(InputError, match="120 particles and the topology 160 beads in 4 replicas"):
        force_field.add_forces(system, topology, replicas=4)


def test_the_drift_of_all_replicas_together_is_not_removed():
    topology, _, box = benzene_box(1)
    with pytest.raises(InputError, match="center of mass of all 2 replicas"):
        tiny_force_field(1).create_system(topology, box=box, replicas=2, remove_cm_motion=True)


@pytest.mark.parametrize("replicas", [0, -1, 1.5])
def test_a_number_of_replicas_is_a_positive_integer(replicas):
    topology, _, box = benzene_box(1)
    with pytest.raises(InputError, match="positive integer"):
        tiny_force_field(1).create_system(topology, box=box, replicas=replicas)


def test_beads_that_are_no_copies_are_refused():
    from openmm_cgml.engine import DeployedNetwork

    force_field = tiny_force_field(3)
    topology = CGTopology.from_residues([(force_field.templates[0], 3)])
    with pytest.raises(InputError, match="9 beads cannot be 2 copies"):
        DeployedNetwork(force_field.network, topology, n_replicas=2)
    with pytest.raises(InputError, match="not 9 times the same beads"):
        DeployedNetwork(force_field.network, topology, n_replicas=9)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("sorted_from", [0, 10**6])
@pytest.mark.parametrize("cutoff", [0.5, 0.85])
def test_threads_and_the_order_of_beads_change_nothing(monkeypatch, sorted_from, n_threads, cutoff):
    import torch

    from openmm_cgml.engine import DeployedNetwork, pair_lists
    from openmm_cgml.engine.cpu import TabulatedNetwork
    from openmm_cgml.engine.pair_tables import tabulate_pairs

    monkeypatch.setattr(pair_lists, "SORTED_FROM", sorted_from)
    force_field = with_cutoff(tiny_force_field(3, include_bonded=False), cutoff)
    topology, box, positions = copies_of(3, 60)
    beads = topology.repeated(REPLICAS)
    prior = force_field.bind(beads)[-1]
    deployed = DeployedNetwork(
        force_field.network, beads, exclude_bonds=2, n_replicas=REPLICAS, pair_table=tabulate_pairs([prior])
    )
    x = np.concatenate(positions)
    energy, forces = deployed(torch.tensor(x), torch.tensor(np.asarray(box)))
    found, found_forces = TabulatedNetwork(deployed, n_threads=n_threads)(x, np.asarray(box))
    assert found == pytest.approx(float(energy), rel=1e-6)
    np.testing.assert_allclose(found_forces, forces.numpy(), atol=1e-5 * float((forces**2).mean().sqrt()))
