"""The engine for pair priors between sites against their potentials, in boxes of any shape and as time goes on."""

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.engine import DeployedNetwork, DeployedSites, choose_backend, create_ml_force
from openmm_cgml.engine.cell_list import find_pairs, find_places
from openmm_cgml.engine.pair_parity import measure_pair_parity
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.portable import pack_sites, unpack_sites
from openmm_cgml.engine.sites import TabulatedSites
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.potentials import evaluate
from tests.site_models import site_fluid, site_priors, site_topology

RELATIVE = 1e-5  # of the root mean square force


def deploy(kind, side, n_replicas=1, exclude_bonds=2, **options):
    topology = site_topology(kind, side**3).repeated(n_replicas)
    *_, bound = site_priors(kind, exclude_bonds=exclude_bonds).bind(topology)
    table = tabulate_pairs([bound.pairs])
    return bound, DeployedSites(sites=bound.sites, pair_table=table, n_replicas=n_replicas, **options)


def expected(potential, positions, box):
    cell = None if box is None else torch.tensor(box)
    energy, forces = evaluate([potential], torch.tensor(positions), cell)
    return float(energy), forces.numpy()


def assert_close(found, wanted):
    scale = np.sqrt((wanted[1] ** 2).mean())
    assert scale > 10
    assert found[0] == pytest.approx(wanted[0], rel=1e-6, abs=1e-3)
    assert np.abs(found[1] - wanted[1]).max() < RELATIVE * scale


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
@pytest.mark.parametrize("shape", ["cubic", "tilted", "open"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_engine_computes_what_the_potential_says(kind, shape, n_threads):
    frames = site_fluid(kind, 4 if kind == "R" else 3, 1, tilted=shape == "tilted")
    potential, deployed = deploy(kind, 4 if kind == "R" else 3)
    box = None if shape == "open" else frames.box[0]
    positions = frames.positions[0]
    if box is not None:
        positions = positions + np.random.default_rng(0).integers(-3, 4, positions.shape) @ box
    wanted = expected(potential, positions, box)
    engine = TabulatedSites(deployed, n_threads=n_threads)
    assert_close(engine(positions, box), wanted)
    assert engine(positions, box)[0] == pytest.approx(wanted[0], rel=1e-6)
    assert engine.lists.n_searches == 1
    # The control: a molecule that is turned has other forces.
    size = 3 if kind == "R" else 4
    turned = positions.copy()
    turned[:size] = frames.positions[0][:size][:, [1, 0, 2]] - frames.positions[0][:size].mean(0)[[1, 0, 2]]
    turned[:size] += frames.positions[0][:size].mean(0)
    assert np.abs(expected(potential, turned, box)[1] - wanted[1]).max() > 1


@pytest.mark.physics
def test_the_list_is_made_again_in_time_as_sites_move():
    frames, rng = site_fluid("R", 4, 1), np.random.default_rng(1)
    potential, deployed = deploy("R", 4, skin=0.06)
    engine, positions, box = TabulatedSites(deployed, n_threads=1), frames.positions[0].copy(), frames.box[0].copy()
    for step in range(12):
        positions += rng.normal(0, 0.004, positions.shape)
        if step == 8:
            box *= 1.01
        assert_close(engine(positions, box), expected(potential, positions, box))
    assert 2 <= engine.lists.n_searches < 12
    # The control: with a list that is never made again, pairs are missed.
    stale = TabulatedSites(deployed, n_threads=1)
    stale(frames.positions[0], frames.box[0])
    stale.lists._half_skin = np.inf
    moved = frames.positions[0].reshape(-1, 3, 3).copy()
    moved[::2] += 0.15
    moved = moved.reshape(-1, 3)
    wanted = expected(potential, moved, frames.box[0])
    assert np.abs(stale(moved, frames.box[0])[1] - wanted[1]).max() > 1e-3 * np.sqrt((wanted[1] ** 2).mean())


def test_many_sites_are_sorted_and_come_back_in_order():
    frames = site_fluid("R", 5, 1)
    potential, deployed = deploy("R", 5)
    assert deployed.sites.n_sites >= 1000
    engine = TabulatedSites(deployed, n_threads=1)
    assert_close(engine(frames.positions[0], frames.box[0]), expected(potential, frames.positions[0], frames.box[0]))
    assert not np.array_equal(engine.lists.order, np.arange(deployed.sites.n_sites))


def test_copies_do_not_see_each_other():
    frames = site_fluid("C", 3, 2)
    potential, _ = deploy("C", 3)
    _, deployed = deploy("C", 3, n_replicas=2)
    energy, forces = TabulatedSites(deployed, n_threads=1)(frames.positions.reshape(-1, 3), frames.box[0])
    each = [expected(potential, positions, frames.box[0]) for positions in frames.positions]
    assert_close((energy, forces), (each[0][0] + each[1][0], np.concatenate([each[0][1], each[1][1]])))


def test_a_range_by_types_lists_what_is_within_it():
    rng = np.random.default_rng(0)
    positions, types, box = rng.uniform(0, 3, (400, 3)), rng.integers(0, 2, 400), 3.0 * np.eye(3)
    reaches = np.array([[0.9, 0.6], [0.6, 0.4]])
    order, places = find_places(positions, box, 0.9, types=types, reaches=reaches)
    owners, partners = order[places]
    vectors = positions[owners] - positions[partners]
    distances = np.linalg.norm(vectors - 3.0 * np.rint(vectors / 3.0), axis=1)
    everything = {tuple(sorted(pair)) for pair in np.stack(find_pairs(positions, box, 0.9)).T.tolist()}
    found = {tuple(sorted(pair)) for pair in np.stack([owners, partners]).T.tolist()}
    assert (distances < reaches[types[owners], types[partners]]).all() and found < everything
    for i, j in everything - found:
        vector = positions[i] - positions[j]
        assert np.linalg.norm(vector - 3.0 * np.rint(vector / 3.0)) >= reaches[types[i], types[j]]


def test_positions_and_boxes_that_make_no_sense_are_refused():
    frames = site_fluid("R", 3, 1)
    _, deployed = deploy("R", 3)
    positions = frames.positions[0].copy()
    with pytest.raises(SimulationError, match=r"less than twice the cutoff of 0.65 nm between sites"):
        TabulatedSites(deployed, n_threads=1)(positions, 1.2 * np.eye(3))
    positions[7] = np.nan
    with pytest.raises(SimulationError, match=r"a site of bead [678] has no finite position"):
        TabulatedSites(deployed, n_threads=1)(positions, frames.box[0])


def test_what_does_not_fit_together_is_refused():
    _, deployed = deploy("R", 2)
    _, other = deploy("R", 1)
    with pytest.raises(InputError, match="cannot be 5 copies"):
        DeployedSites(sites=deployed.sites, pair_table=deployed.pair_table, n_replicas=5)
    with pytest.raises(InputError, match="bound to 12 sites, and there are 96"):
        DeployedSites(sites=deployed.sites, pair_table=other.pair_table)
    with pytest.raises(InputError, match="bound to 3 beads, and the sites belong to 24"):
        DeployedSites(sites=deployed.sites, pair_table=deployed.pair_table, network=make_network(1))


def make_network(n_molecules):
    torch.manual_seed(0)
    config = SchNetConfig(n_features=16, n_inter_blocks=1, n_intra_blocks=0, cutoff=0.6, energy_scale=100)
    network = SchNet(config, 1)
    return DeployedNetwork(network, site_topology("R", n_molecules), exclude_bonds=2)


def energy_and_forces(force, frames, topology):
    system = openmm.System()
    for mass in topology.masses:
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*frames.box[0])
    system.addForce(force)
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(frames.positions[0])
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


@pytest.mark.physics
def test_a_network_on_the_beads_is_added_and_survives_copies():
    frames, topology = site_fluid("R", 3, 1), site_topology("R", 27)
    potential, deployed = deploy("R", 3)
    network = make_network(27)
    both = DeployedSites(sites=deployed.sites, pair_table=deployed.pair_table, network=network)
    alone = energy_and_forces(create_ml_force(network, periodic=True), frames, topology)
    wanted = expected(potential, frames.positions[0], frames.box[0])
    found = energy_and_forces(create_ml_force(both, periodic=True), frames, topology)
    assert np.abs(alone[1]).max() > 1
    assert found[0] == pytest.approx(wanted[0] + alone[0], rel=1e-5)
    np.testing.assert_allclose(found[1], wanted[1] + alone[1], atol=1e-4 * np.abs(wanted[1]).max())
    again = unpack_sites(pack_sites(both))
    assert again.network is not None and again.skin == both.skin
    np.testing.assert_array_equal(again.sites.local, both.sites.local)
    np.testing.assert_array_equal(again.pair_table.cutoffs, both.pair_table.cutoffs)
    force = create_ml_force(deployed, periodic=True)
    assert force.getName() == "pair priors" and create_ml_force(both, periodic=True).getName() == "network"


def test_parity_is_measured_and_required():
    frames = site_fluid("R", 3, 1)
    potential, deployed = deploy("R", 3)
    assert measure_pair_parity(deployed, [potential], frames.positions[0], frames.box[0]) < 1e-4
    other, _ = deploy("R", 3, exclude_bonds=0)
    with pytest.raises(SimulationError, match=r"differ from them by .* start from positions without overlaps"):
        measure_pair_parity(deployed, [other], frames.positions[0], frames.box[0])


def test_sites_go_with_a_pythonforce():
    assert choose_backend("auto", has_sites=True).name == "PythonForce"
    assert "sites" in choose_backend("auto", has_sites=True).reason
    assert choose_backend("PythonForce", has_sites=True).name == "PythonForce"
    with pytest.raises(InputError, match='use ml_backend="PythonForce" or "auto"'):
        choose_backend("TorchForce", has_sites=True)
