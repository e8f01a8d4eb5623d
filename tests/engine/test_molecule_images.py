"""Chains longer than their box: every engine tells a chain from its own periodic images."""

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.engine import DeployedNetwork, create_ml_force, operators, pair_lists
from openmm_cgml.engine.cpu import TabulatedNetwork
from openmm_cgml.engine.pair_lists import PairLists
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.portable import pack
from openmm_cgml.engine.torchforce import exact_module
from openmm_cgml.engine.warp_network import WarpNetwork
from openmm_cgml.potentials import PowerRepulsion, evaluate
from openmm_cgml.topology import CGTopology
from tests.engine.test_backends import WITH_TORCHFORCE
from tests.long_chains import (
    BOX,
    WRAPPINGS,
    chain_network,
    chain_topology,
    doubled,
    grown_chains,
    reference,
    rewrapped,
)


def _exact(deployed, x, box):
    return deployed(torch.tensor(x), torch.tensor(box))


def _scripted(deployed, x, box):
    return exact_module(deployed)(torch.tensor(x), torch.tensor(box))


def _tabulated(deployed, x, box):
    return TabulatedNetwork(deployed, n_threads=2)(x, box)


def _sorted(deployed, x, box):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_lists, "SORTED_FROM", 1)
        return TabulatedNetwork(deployed)(x, box)


def _operator(deployed, x, box):
    packed = torch.frombuffer(bytearray(pack(deployed)), dtype=torch.uint8)
    return operators.evaluate(packed, torch.tensor(x), torch.tensor(box))


def _warp(deployed, x, box):
    return WarpNetwork(deployed)(torch.tensor(x), torch.tensor(box))


ENGINES = {
    "exact": (_exact, 1e-9),
    "scripted": (_scripted, 1e-9),
    "tabulated": (_tabulated, 1e-3),
    "sorted": (_sorted, 1e-3),
    "operator": (_operator, 1e-3),
    "warp": (_warp, 1e-3),
}
"""What evaluates, and its largest error as a fraction of the root mean square force."""


def _check(found, expected, tolerance):
    energy, forces = expected
    scale = float(np.sqrt(np.mean(forces**2)))
    assert abs(float(found[0]) - energy) < tolerance * scale
    assert np.abs(np.asarray(found[1]) - forces).max() < tolerance * scale


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_sum_over_images_in_any_wrapping(engine, wrapping):
    topology, whole, network = chain_topology(), grown_chains(), chain_network()
    evaluate_with, tolerance = ENGINES[engine]
    found = evaluate_with(DeployedNetwork(network, topology), rewrapped(whole, wrapping), BOX)
    expected = reference(network, topology, whole)
    _check(found, expected, tolerance)
    wrong = reference(network, topology, whole, by_index=True)
    assert abs(wrong[0] - expected[0]) > 1.0, "the control must fail"
    assert np.abs(wrong[1] - expected[1]).max() > 0.1 * np.sqrt(np.mean(expected[1] ** 2)), "the control must fail"


@pytest.mark.parametrize("engine", ["exact", "tabulated", "warp"])
def test_bonded_pairs_are_left_out_within_chains_alone(engine):
    topology, whole, network = chain_topology(), grown_chains(), chain_network(include_bonded=False)
    evaluate_with, tolerance = ENGINES[engine]
    found = evaluate_with(DeployedNetwork(network, topology, exclude_bonds=2), rewrapped(whole, "wrapped"), BOX)
    _check(found, reference(network, topology, whole, exclude_bonds=2), tolerance)


@pytest.mark.physics
@pytest.mark.parametrize("engine", ["exact", "tabulated", "warp"])
def test_a_box_of_two_copies_has_twice_the_energy(engine):
    """In the box of two copies the image that a chain met before is another chain: nothing changes."""
    topology, whole, network = chain_topology(), grown_chains(), chain_network()
    evaluate_with, tolerance = ENGINES[engine]
    energy, forces = evaluate_with(DeployedNetwork(network, topology), whole, BOX)
    many, box = doubled(whole)
    found = evaluate_with(DeployedNetwork(network, topology.repeated(2)), many, box)
    _check(found, (2 * float(energy), np.tile(np.asarray(forces), (2, 1))), max(1e-2 * tolerance, 1e-9))
    wrong = [reference(network, t, x, box=b, by_index=True)[0] for t, x, b in
             ((topology, whole, BOX), (topology.repeated(2), many, box))]  # fmt: skip
    assert abs(wrong[1] - 2 * wrong[0]) > 1.0, "the control must fail"


@pytest.mark.parametrize("engine", ["exact", "tabulated", "warp"])
def test_replicas_have_images_of_their_own(engine):
    topology, network = chain_topology(), chain_network()
    copies = [grown_chains(seed=0), grown_chains(seed=1)]
    expected = [reference(network, topology, whole) for whole in copies]
    evaluate_with, tolerance = ENGINES[engine]
    deployed = DeployedNetwork(network, topology.repeated(2), n_replicas=2)
    found = evaluate_with(deployed, rewrapped(np.concatenate(copies), "wrapped"), BOX)
    _check(found, (expected[0][0] + expected[1][0], np.concatenate([forces for _, forces in expected])), tolerance)


def _repulsion(topology, exclude_bonds):
    return PowerRepulsion(
        bead_types=topology.bead_types,
        sigma=np.array([[0.3, 0.28], [0.28, 0.25]]),
        epsilon=np.full((2, 2), 2.0),
        exponent=8,
        cutoff=0.75,
        switch_distance=0.6,
        exclusions=topology.exclusions(exclude_bonds),
    )


@pytest.mark.parametrize("engine", ["exact", "sorted", "warp"])
def test_a_pair_prior_acts_on_every_pair_of_any_image(engine):
    topology, whole, network = chain_topology(), grown_chains(), chain_network()
    prior = _repulsion(topology, 2)
    evaluate_with, tolerance = ENGINES[engine]
    found = evaluate_with(
        DeployedNetwork(network, topology, pair_table=tabulate_pairs([prior])), rewrapped(whole, "wrapped"), BOX
    )
    energy, forces = evaluate([prior], torch.tensor(whole), torch.tensor(BOX))
    expected = reference(network, topology, whole)
    _check(found, (expected[0] + float(energy), expected[1] + forces.numpy()), max(tolerance, 1e-7))  # a table


@pytest.mark.parametrize("engine", ["exact", "tabulated", "warp"])
def test_an_exclusion_of_the_prior_holds_for_images_too(engine):
    """OpenMM's own exclusions know no images; where bonds are as long as the box is narrow, it matters."""
    chain = chain_topology(1, 3)
    prior, network = _repulsion(chain, 2), chain_network()
    whole = np.array([[0.0, 0, 0], [0.75, 0.1, 0], [1.5, 0, 0]])
    box = np.diag([1.9, 1.9, 1.9])  # the ends are 0.4 nm apart at the nearest image
    lists = PairLists(DeployedNetwork(network, chain, pair_table=tabulate_pairs([prior])).listing(), 1)
    lists.update(whole, box)
    assert not lists.prior_sees_inter
    evaluate_with, tolerance = ENGINES[engine]
    found = evaluate_with(DeployedNetwork(network, chain, pair_table=tabulate_pairs([prior])), whole, box)
    energy = evaluate([prior], torch.tensor(whole), torch.tensor(box))[0]
    assert float(energy) == 0.0
    _check(found, reference(network, chain, whole, box=box), tolerance)


@pytest.mark.parametrize("engine", [TabulatedNetwork, WarpNetwork])
def test_lists_that_are_kept_tell_pairs_apart_as_new_ones_do(engine):
    topology, network = chain_topology(), chain_network()
    deployed, x = DeployedNetwork(network, topology), grown_chains()
    kept, rng = engine(deployed), np.random.default_rng(0)
    convert = torch.tensor if engine is WarpNetwork else np.array
    for _ in range(4):
        x = x + rng.normal(scale=0.015, size=x.shape)
        found = kept(convert(rewrapped(x, "wrapped")), convert(BOX))
        _check(found, reference(network, topology, x), 1e-3)


def test_without_a_box_a_chain_has_no_images():
    topology, whole, network = chain_topology(), grown_chains(), chain_network()
    expected = reference(network, topology, whole, box=100 * np.eye(3))
    deployed = DeployedNetwork(network, topology)
    _check(deployed(torch.tensor(whole), None), expected, 1e-9)
    _check(TabulatedNetwork(deployed)(whole, None), expected, 1e-3)
    _check(WarpNetwork(deployed)(torch.tensor(whole), None), expected, 1e-3)


@pytest.mark.parametrize("backend", ["PythonForce", "TorchForce"])
@pytest.mark.parametrize("exact", [True, False])
def test_openmm_gives_the_sum_over_images(backend, exact):
    if backend == "TorchForce" and not WITH_TORCHFORCE:
        pytest.skip("openmmtorch is not installed")
    topology, whole, network = chain_topology(), grown_chains(), chain_network()
    deployed = DeployedNetwork(network, topology)
    system = openmm.System()
    for mass in topology.masses:
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*BOX)
    system.addForce(create_ml_force(deployed, backend=backend, periodic=True, exact=exact))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    for wrapping in WRAPPINGS:
        context.setPositions(rewrapped(whole, wrapping))
        state = context.getState(energy=True, forces=True)
        found = state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value
        _check(found, reference(network, topology, whole), 1e-3)


def test_beads_that_no_bond_joins_are_placed_beside_the_first_of_their_molecule():
    bonded = chain_topology(1, 3)
    loose = CGTopology(**{**vars(bonded), "bonds": np.zeros((0, 2), int)})
    x, box = np.array([[0.1, 0, 0], [0.5, 0, 0], [1.6, 0, 0]]), np.diag([2.0, 2.0, 2.0])
    network = chain_network(intra_cutoff=0.95, cutoff=0.95)
    expected = reference(network, loose, x - [[0, 0, 0], [0, 0, 0], [2.0, 0, 0]], box=box)
    for evaluate_with, tolerance in (ENGINES[name] for name in ("exact", "tabulated", "warp")):
        _check(evaluate_with(DeployedNetwork(network, loose), x, box), expected, tolerance)
