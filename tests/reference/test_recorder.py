import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.reference import (
    ForceRecorder,
    IsolatedMolecules,
    read_frame,
    recording_metadata,
    split_interactions,
)
from openmm_cgml.reference.force_components import read_components
from openmm_cgml.reference.interaction_split import intramolecular_pairs
from openmm_cgml.reference.recording_checks import check_components, check_extent
from openmm_cgml.shards import FrameStore, FrameWriter
from tests.reference import boxes, chains, liquids


def record(tmp_path, simulation, *, n_steps=6, interval=2, **options):
    with FrameWriter(tmp_path / "frames", metadata={"kind": "test"}, frames_per_shard=2) as writer:
        simulation.reporters.append(ForceRecorder(writer, interval, **options))
        simulation.step(n_steps)
    return FrameStore.open(tmp_path / "frames").read()


def test_records_positions_forces_energies_box_and_times(tmp_path):
    topology, system = liquids.split_system()
    simulation = liquids.simulation(system, topology)
    frames = record(tmp_path, simulation)
    state = simulation.context.getState(positions=True, forces=True, energy=True)
    np.testing.assert_allclose(frames.times, [0.008, 0.016, 0.024], atol=1e-12)
    np.testing.assert_allclose(frames.positions[-1], state.getPositions(asNumpy=True)._value, atol=1e-6)
    np.testing.assert_allclose(frames.forces[-1], state.getForces(asNumpy=True)._value, rtol=1e-4, atol=0.2)
    assert frames.box[-1, 0, 0] == pytest.approx(liquids.LENGTH)
    total = sum(frames.energies[name][-1] for name in ("inter", "bonded", "intra_nonbonded"))
    assert total == pytest.approx(state.getPotentialEnergy()._value, rel=1e-4)
    assert frames.energies["kinetic"][-1] == pytest.approx(state.getKineticEnergy()._value, rel=1e-4)


@pytest.mark.physics
def test_intermolecular_forces_sum_to_the_total_force_on_each_molecule(tmp_path):
    topology, system = liquids.split_system()
    frames = record(tmp_path, liquids.simulation(system, topology))
    by_molecule = frames.forces.reshape(-1, liquids.N_MOLECULES, 12, 3).astype(float).sum(axis=2)
    inter = frames.forces_inter.reshape(-1, liquids.N_MOLECULES, 12, 3).astype(float).sum(axis=2)
    np.testing.assert_allclose(inter, by_molecule, atol=0.05)
    assert np.abs(frames.forces_inter - frames.forces).max() > 100.0  # control: atom by atom they differ


def test_unsplit_system_is_refused_with_the_way_out(tmp_path):
    simulation = liquids.simulation(liquids.plain_system())
    with pytest.raises(InputError, match=r"split_interactions.*require_split=False"):
        record(tmp_path, simulation)


def test_unsplit_system_is_recorded_with_total_forces_when_asked(tmp_path):
    frames = record(tmp_path, liquids.simulation(liquids.plain_system()), require_split=False)
    assert frames.forces is not None
    assert frames.forces_inter is None
    assert set(frames.energies) == {"kinetic", "potential"}


def test_excluded_force_groups_are_not_recorded(tmp_path):
    topology, system = liquids.split_system()
    pull = openmm.CustomExternalForce("1000*x")
    pull.setForceGroup(7)
    for atom in range(system.getNumParticles()):
        pull.addParticle(atom)
    system.addForce(pull)
    simulation = liquids.simulation(system, topology)
    with_pull = record(tmp_path / "with", simulation)
    simulation.reporters.clear()
    without = record(tmp_path / "without", simulation, n_steps=2, exclude_groups=[7])
    assert with_pull.forces[-1, :, 0].mean() == pytest.approx(-1000.0, abs=1.0)
    assert without.forces[-1, :, 0].mean() == pytest.approx(0.0, abs=1.0)


def test_interval_must_be_positive(tmp_path):
    with pytest.raises(InputError, match="at least 1 step, got 0"):
        ForceRecorder(None, 0)


@pytest.mark.physics
def test_forces_between_chains_are_those_of_the_box_less_each_chain_alone():
    box, length = chains.box(), 2.2  # dense enough that chains feel each other and their images
    platform = openmm.Platform.getPlatform("Reference")
    context = openmm.Context(box.create_system(chains.SETTINGS, length), openmm.VerletIntegrator(0.001), platform)
    positions = box.polymer.grow(chains.N_CHAINS, chains.MONOMERS, length, np.random.default_rng(1))
    context.setPositions(positions)
    isolated = box.isolated(chains.SETTINGS, length, platform, {})
    frame = read_frame(context, isolated=isolated)
    total, nonbonded = (
        np.asarray(context.getState(forces=True, groups=groups).getForces(asNumpy=True)._value) for groups in (-1, {1})
    )
    energy, alone = isolated.evaluate(positions)
    scale = np.abs(total).max()
    np.testing.assert_allclose(frame.forces[0], total, atol=1e-6 * scale)
    np.testing.assert_allclose(frame.forces_inter[0], nonbonded - alone, atol=1e-6 * scale)
    assert frame.energies["intra_nonbonded"][0] == pytest.approx(energy)
    assert np.abs(alone).max() > 1e-3 * scale  # control: leaving the chains out would show


def argon(n=2, *, edge=None, mass=39.948):
    topology, system, force = app.Topology(), openmm.System(), openmm.NonbondedForce()
    chain = topology.addChain()
    for _ in range(n):
        topology.addAtom("AR", app.Element.getBySymbol("Ar"), topology.addResidue("AR", chain))
        system.addParticle(mass)
        force.addParticle(0, 0.34, 1.0)
    if edge:
        force.setNonbondedMethod(force.CutoffPeriodic)
        system.setDefaultPeriodicBoxVectors([edge, 0, 0], [0, edge, 0], [0, 0, edge])
    system.addForce(force)
    return topology, system


def simulate(topology, system, integrator=None):
    integrator = integrator or openmm.LangevinMiddleIntegrator(50, 1, 0.002)
    simulation = app.Simulation(topology, system, integrator, boxes.PLATFORM)
    simulation.context.setPositions(1.7 * np.eye(len(list(topology.atoms())), 3))
    return simulation


@pytest.mark.parametrize("edge", [None, 4.0])
def test_vacuum_has_no_box(tmp_path, edge):
    frames = record(tmp_path, simulate(*argon(edge=edge)), require_split=False)
    assert (frames.box is None) == (edge is None)
    if edge:
        assert frames.box[0, 0, 0] == pytest.approx(edge)


def test_virtual_sites_are_left_out_of_the_recording(tmp_path):
    modeller = app.Modeller(app.Topology(), [])
    force_field = app.ForceField("tip4pew.xml")
    modeller.addSolvent(force_field, model="tip4pew", numAdded=5)
    system = force_field.createSystem(modeller.topology, nonbondedMethod=app.NoCutoff)
    split_interactions(system)
    metadata = recording_metadata(modeller.topology, system, temperature=300.0, source={})
    assert metadata["atoms"]["names"] == ["O", "H1", "H2"] * 5
    assert np.sum(metadata["atoms"]["masses"]) == pytest.approx(5 * 18.0154, abs=1e-3)
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.001)
    simulation = app.Simulation(modeller.topology, system, integrator, boxes.PLATFORM)
    simulation.context.setPositions(modeller.positions)
    frames = record(tmp_path, simulation)
    total = simulation.context.getState(forces=True).getForces(asNumpy=True)._value.reshape(5, 4, 3)
    found = frames.forces[-1].reshape(5, 3, 3)
    np.testing.assert_allclose(found, total[:, :3], atol=1e-3 * np.abs(total).max())
    assert np.abs(found.sum(axis=1) - total.sum(axis=1)).max() > 0.1 * np.abs(total).max()  # control: they count twice


def test_recording_of_another_temperature_than_the_thermostat_is_refused(tmp_path):
    topology, system = argon()
    with FrameWriter(tmp_path / "r", metadata=recording_metadata(topology, system, temperature=300.0, source={})) as w:
        simulation = simulate(topology, system)
        simulation.reporters.append(ForceRecorder(w, 1, require_split=False))
        with pytest.raises(InputError, match=r"holds 50 K, the recording's metadata say 300 K"):
            simulation.step(1)


def test_going_on_from_before_the_end_of_a_recording_is_refused(tmp_path):
    topology, system = argon()
    record(tmp_path, simulate(topology, system), n_steps=6, require_split=False)
    again = simulate(topology, system)
    again.context.setTime(0.005)
    with FrameWriter(tmp_path / "frames", metadata={"kind": "test"}, resume=True) as writer:
        again.reporters.append(ForceRecorder(writer, 2, require_split=False))
        with pytest.raises(InputError, match=r"ends at 0.012 ps, the run goes on from 0.009 ps.*truncate\(2\)"):
            again.step(2)
        writer.truncate(2)
        again.step(2)
    assert FrameStore.open(tmp_path / "frames").n_frames == 3


def test_integrator_that_leaves_out_a_force_group_is_refused(tmp_path):
    system, positions = boxes.chains("NoCutoff")
    split_interactions(system)
    topology = app.Topology()
    residue = topology.addResidue("C", topology.addChain())
    for _ in positions:
        topology.addAtom("C", app.Element.getBySymbol("C"), residue)
    partial = openmm.MTSIntegrator(0.001, [(1, 1), (0, 2)])  # bonded and non-bonded, as before the split
    whole = openmm.MTSIntegrator(0.001, [(1, 1), (2, 1), (0, 2)])
    for integrator in (partial, whole):
        simulation = app.Simulation(topology, system, integrator, boxes.PLATFORM)
        simulation.context.setPositions(positions)
        if integrator is partial:
            with pytest.raises(InputError, match=r"leaves out force group 2 with intramolecular non-bonded"):
                record(tmp_path / "partial", simulation)
        else:
            assert len(record(tmp_path / "whole", simulation)) == 3


def test_model_forces_cannot_be_excluded():
    system, positions = boxes.chains()
    split_interactions(system)
    with pytest.raises(InputError, match=r"force group 1 holds the inter forces and cannot be excluded"):
        read_frame(boxes.context(system, positions), exclude_groups=(1,))


def test_molecule_longer_than_half_the_box_is_no_split(tmp_path):
    system, positions = boxes.chains()
    split_interactions(system)
    frame = read_frame(boxes.context(system, positions))
    check_extent(frame, intramolecular_pairs(system))  # control: 1.3 nm in a box of 4 nm
    narrow = frame.replace(box=frame.box * 0.6)
    with pytest.raises(SimulationError, match=r"atoms 0 and 5 of one molecule are 1.3.* more than half the box"):
        check_extent(narrow, intramolecular_pairs(system))


def test_force_between_molecules_among_the_bonded_ones_is_noticed():
    system, positions = boxes.chains(nonbonded_group=1)
    between = openmm.CustomCompoundBondForce(2, "1000*distance(p1,p2)")
    between.addBond([0, 6], [])
    isolated = IsolatedMolecules.from_system(system, boxes.PLATFORM)
    parts, _ = read_components(boxes.context(system, positions), isolated=isolated)
    check_components(parts, boxes.CHAINS)  # control
    system.addForce(between)
    parts, _ = read_components(boxes.context(system, positions), isolated=isolated)
    with pytest.raises(InputError, match=r"forces within molecule 0 .* add up to 1e\+03 kJ/mol/nm instead of 0"):
        check_components(parts, boxes.CHAINS)


def test_reciprocal_space_in_a_group_of_its_own_is_recorded():
    system, positions = boxes.chains("PME")
    forces = boxes.state(system, positions)[1]
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setReciprocalSpaceForceGroup(7)
    scale = np.abs(forces).max()
    assert np.abs(boxes.state(system, positions, {0})[1] - forces).max() > 1e-2 * scale  # control
    unsplit = read_frame(boxes.context(system, positions))
    np.testing.assert_allclose(unsplit.forces[0], forces, atol=1e-5 * scale)
    split_interactions(system)
    split = read_frame(boxes.context(system, positions))
    np.testing.assert_allclose(split.forces[0], forces, atol=1e-5 * scale)
    assert "other" not in split.energies
