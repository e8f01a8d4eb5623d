import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference import ForceRecorder, read_frame
from openmm_cgml.shards import FrameStore, FrameWriter
from tests.reference import chains, liquids


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
