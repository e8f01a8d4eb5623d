import json
from dataclasses import replace

import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.runs.checkpoint import find_checkpoint, read_checkpoint
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import (
    SimulationConfig,
    SimulationResult,
    UnstableSimulationError,
    simulate,
    simulate_system,
)
from openmm_cgml.simulation.replicas import ReplicaMonitors, repeat_positions
from openmm_cgml.simulation.stability import StabilityMonitor
from openmm_cgml.units import BOLTZMANN
from openmm_cgml.validation.simulation_run import find_replicas, read_run
from tests.fixtures import benzene_box, tiny_force_field
from tests.simulation.test_run import changed, interrupt_at, read_all

CONFIG = SimulationConfig(
    temperature=300.0,
    duration="0.08 ps",
    time_step="4 fs",
    frame_interval="8 fs",
    checkpoint_interval="16 fs",
    platform="Reference",
    seed=2,
    replicas=3,
)


@pytest.fixture(scope="module")
def start():
    return benzene_box(3, 60)


def run(start, output, config=CONFIG, force_field=None, **options):
    force_field = force_field or tiny_force_field(3, network=False)
    return simulate(force_field, *start, output=output, config=config, progress=False, **options)


def frames_of(folder, name="replica-1"):
    return FrameStore.open(folder / name / "trajectory").read()


def test_each_replica_has_the_files_of_a_run_of_its_own(start, tmp_path):
    result = run(start, tmp_path / "run")
    assert (result.status, result.steps, result.n_frames, result.n_replicas) == ("complete", 20, 10, 3)
    assert result == SimulationResult.read(tmp_path / "run")
    folders = find_replicas(tmp_path / "run")
    assert [folder.name for folder in folders] == ["replica-1", "replica-2", "replica-3"]
    each = [SimulationResult.read(folder) for folder in folders]
    assert result.ns_per_day == pytest.approx(3 * each[0].ns_per_day)
    assert result.mean_temperature == pytest.approx(np.mean([one.mean_temperature for one in each]))
    for folder, number in zip(folders, (1, 2, 3), strict=True):
        assert find_replicas(folder) == [folder]
        assert json.loads((folder / "simulation.json").read_text())["replica"] == number
        found = read_run(folder)
        assert (found.status, found.n_beads, len(found.times)) == ("complete", 180, 10)
    with pytest.raises(InputError, match=r"holds 3 replicas; read each of them"):
        read_run(tmp_path / "run")


def test_the_energies_of_a_replica_are_those_of_its_own_beads(start, tmp_path):
    run(start, tmp_path / "run", changed(CONFIG, checkpoint_interval=0.08))
    topology, _, box = start
    context = openmm.Context(
        tiny_force_field(3, network=False).create_system(topology, box=box),
        openmm.VerletIntegrator(0.001),
        openmm.Platform.getPlatform("Reference"),
    )
    checkpoint, _ = find_checkpoint(tmp_path / "run" / "checkpoints")
    kinetic = (0.5 * np.tile(topology.masses, 3)[:, None] * checkpoint.velocities**2).reshape(3, -1).sum(axis=1)
    for r in range(3):
        frames = frames_of(tmp_path / "run", f"replica-{r + 1}")
        context.setPositions(checkpoint.positions.reshape(3, -1, 3)[r])
        expected = context.getState(energy=True).getPotentialEnergy()._value
        assert frames.energies["potential"][-1] == pytest.approx(expected, rel=1e-9)
        assert frames.energies["kinetic"][-1] == pytest.approx(kinetic[r], rel=1e-9)
    assert np.ptp(kinetic) > 1.0


@pytest.mark.physics
def test_replicas_start_with_velocities_of_their_own(start, tmp_path):
    run(start, tmp_path / "run", changed(CONFIG, time_step=1e-5, frame_interval=2e-5, duration=4e-5, minimize=False))
    at_start = read_checkpoint(tmp_path / "run" / "checkpoints" / "step-000000000000")
    velocities = at_start.velocities.reshape(3, -1)
    correlation = np.corrcoef(velocities)
    assert np.abs(correlation - np.eye(3)).max() < 5 / np.sqrt(velocities.shape[1])
    masses = np.repeat(start[0].masses, 3)
    for own in velocities:
        temperature = (masses * own**2).sum() / (BOLTZMANN * len(own))
        assert temperature == pytest.approx(300, rel=6 * np.sqrt(2 / len(own)))


@pytest.mark.slow
@pytest.mark.physics
def test_without_a_thermostat_each_replica_stands_still_and_keeps_its_energy(start, tmp_path):
    config = changed(CONFIG, ensemble="NVE", duration=0.2, time_step=0.001, frame_interval=0.02)
    run(start, tmp_path / "run", config)
    masses = start[0].masses
    checkpoint, _ = find_checkpoint(tmp_path / "run" / "checkpoints")
    velocities = checkpoint.velocities.reshape(3, -1, 3)
    drift = np.abs((masses[:, None] * velocities).sum(axis=1)).max()
    assert drift < 1e-9 * np.abs(masses[:, None] * velocities).sum()
    for r in range(1, 4):
        energies = frames_of(tmp_path / "run", f"replica-{r}").energies
        total = energies["potential"] + energies["kinetic"]
        assert np.ptp(total) < 0.02 * np.ptp(energies["kinetic"])  # would not hold for velocities half a step late
        assert np.ptp(energies["kinetic"]) > 10


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 10])
def test_an_interrupted_run_of_replicas_resumes_bit_identically_on_reference(start, tmp_path, monkeypatch, step):
    run(start, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            run(start, tmp_path / "parts")
    assert SimulationResult.read(tmp_path / "parts" / "replica-2").status == "interrupted"
    assert run(start, tmp_path / "parts", resume=True).status == "complete"
    for name in ("replica-1", "replica-2", "replica-3"):
        first, second = (frames_of(tmp_path / folder, name) for folder in ("whole", "parts"))
        np.testing.assert_array_equal(first.positions, second.positions)
        np.testing.assert_array_equal(first.energies["potential"], second.energies["potential"])
        assert (tmp_path / "whole" / name / "trajectory.xtc").read_bytes() == (
            tmp_path / "parts" / name / "trajectory.xtc"
        ).read_bytes()
    assert not np.array_equal(frames_of(tmp_path / "whole").positions, frames_of(tmp_path / "whole", name).positions)
    with pytest.raises(InputError, match=r"replicas was 3, now 2"):
        run(start, tmp_path / "parts", changed(CONFIG, replicas=2), resume=True)


def test_a_run_from_before_there_were_replicas_resumes(liquid, config, tmp_path):
    arguments = (liquid.system, liquid.topology, liquid.positions, liquid.box)
    simulate_system(*arguments, output=tmp_path / "run", config=config, progress=False)
    record = json.loads((tmp_path / "run" / "simulation.json").read_text())
    for name in ("replicas", "network_interval"):
        del record["config"][name]
    for name in ("content_sha256", "sealed"):  # nor were records sealed then
        del record[name]
    (tmp_path / "run" / "simulation.json").write_text(json.dumps(record))
    longer = changed(config, duration=0.5)
    result = simulate_system(*arguments, output=tmp_path / "run", config=longer, progress=False, resume=True)
    assert result.steps == 100
    assert len(read_all(tmp_path / "run")[0]) == 20


def test_replicas_may_start_from_places_of_their_own(start, tmp_path):
    topology, positions, box = start
    starts = np.stack([positions + 0.01 * r for r in range(3)])
    force_field = tiny_force_field(3, network=False)
    config = changed(CONFIG, minimize=False, duration=0.008)
    simulate(force_field, topology, starts, box, output=tmp_path / "run", config=config, progress=False)
    found = read_checkpoint(tmp_path / "run" / "checkpoints" / "step-000000000000").positions.reshape(3, -1, 3)
    np.testing.assert_allclose(found - found[0], starts - starts[0], atol=1e-9)
    for wrong in (positions[:10], starts[:2]):
        with pytest.raises(InputError, match=r"3 replicas of 180 beads start from \(180, 3\)"):
            repeat_positions(wrong, 180, 3)


def test_a_system_whose_replicas_see_each_other_is_refused(start, tmp_path):
    topology, positions, box = start
    force_field = tiny_force_field(3, network=False)
    crowd = force_field.create_system(topology.repeated(3), box=box)
    options = {"output": tmp_path / "run", "config": changed(CONFIG, minimize=False), "progress": False}
    shifted = np.stack([positions + 0.1 * r for r in range(3)])
    one = force_field.create_system(topology, box=box)
    with pytest.raises(SimulationError, match="not made of independent copies"):
        simulate_system(crowd, topology, shifted, box, system_of_one=one, **options)
    with pytest.raises(InputError, match="pass system_of_one"):
        simulate_system(crowd, topology, positions, box, **options)
    other = force_field.create_system(topology.repeated(2), box=box)
    with pytest.raises(InputError, match="not 3 times the 360"):
        simulate_system(crowd, topology, positions, box, system_of_one=other, **options)


def test_an_unstable_replica_is_named():
    monitors = ReplicaMonitors([StabilityMonitor(300.0, 3000) for _ in range(2)], ["replica 1", "replica 2"])
    fine = Snapshot(
        step=7,
        time=0.1,
        positions=np.zeros((2, 3)),
        velocities=np.zeros((2, 3)),
        box=None,
        potential_energy=0.0,
        kinetic_energy=0.0,
        temperature=300.0,
    )
    monitors.check([fine, fine])
    with pytest.raises(UnstableSimulationError, match=r"unstable after 7 steps: in replica 2, temperature 2000 K.*Try"):
        monitors.check([fine, replace(fine, temperature=2000.0)])


@pytest.mark.backend
def test_a_network_runs_with_replicas(start, tmp_path):
    config = changed(CONFIG, platform="CPU", threads=1, ml_backend="PythonForce", duration=0.04)
    result = run(start, tmp_path / "run", config, tiny_force_field(3))
    assert (result.status, result.n_replicas) == ("complete", 3)
