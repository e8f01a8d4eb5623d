import json
import os
import resource
import signal

import mdtraj
import numpy as np
import openmm
import pytest

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError, SimulationError
from openmm_cgml.runs.checkpoint import find_checkpoint
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import SimulationConfig, SimulationResult, UnstableSimulationError, simulate_system
from openmm_cgml.simulation.recorder import Recorder
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.storage import lock_directory
from openmm_cgml.topology import CGTopology, ResidueTemplate


def run(liquid, output, config, **options):
    return simulate_system(
        liquid.system,
        liquid.topology,
        liquid.positions,
        liquid.box,
        output=output,
        config=config,
        progress=False,
        **options,
    )


def changed(config, **changes):
    return SimulationConfig(**{**config.model_dump(), **changes})


def interrupt_at(monkeypatch, step, number=signal.SIGINT):
    """Send a signal to this process once, when a run reaches a step."""
    advance = Sampler._advance

    def send(self, n):
        before = self.step_count
        advance(self, n)
        if before < step <= self.step_count:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Sampler, "_advance", send)


def fail_at(monkeypatch, owner, name, step):
    """Raise from a method of a run once it has reached a step, as a full disk would."""
    method = getattr(owner, name)

    def fail(self, *args):
        sampler = next(part for part in (self, *args) if isinstance(part, Sampler))
        if sampler.step_count >= step:
            raise OSError(28, "No space left on device")
        return method(self, *args)

    monkeypatch.setattr(owner, name, fail)


def read_all(folder):
    """Everything that a run computed, without times of day and speeds."""
    frames = FrameStore.open(folder / "trajectory").read()
    log = [line.rsplit(",", 1)[0] for line in (folder / "log.csv").read_text().splitlines()]
    checkpoint, _ = find_checkpoint(folder / "checkpoints")
    return frames, log, (folder / "trajectory.xtc").read_bytes(), checkpoint


def assert_identical(first, second):
    frames, log, xtc, checkpoint = read_all(first)
    frames_2, log_2, xtc_2, checkpoint_2 = read_all(second)
    assert log == log_2
    assert xtc == xtc_2
    np.testing.assert_array_equal(frames.positions, frames_2.positions)
    np.testing.assert_array_equal(frames.times, frames_2.times)
    np.testing.assert_array_equal(frames.energies["potential"], frames_2.energies["potential"])
    np.testing.assert_array_equal(checkpoint.positions, checkpoint_2.positions)
    np.testing.assert_array_equal(checkpoint.velocities, checkpoint_2.velocities)


def test_a_run_writes_frames_a_trajectory_a_log_and_a_result(dimers, config, tmp_path):
    result = run(dimers, tmp_path / "run", config)
    assert (result.status, result.steps, result.n_frames) == ("complete", 80, 16)
    assert result == SimulationResult.read(tmp_path / "run")
    assert 0 < result.largest_bond_deviation < 0.25
    frames, log, _, checkpoint = read_all(tmp_path / "run")
    np.testing.assert_allclose(frames.times, 0.025 * np.arange(1, 17))
    assert frames.positions.dtype == np.float32
    assert [int(line.split(",")[0]) for line in log[1:]] == list(range(5, 81, 5))
    assert checkpoint.step == 80
    record = json.loads((tmp_path / "run" / "simulation.json").read_text())
    assert record["config"]["seed"] == 3
    assert CGTopology.from_dict(json.loads((tmp_path / "run" / "topology.json").read_text())).n_beads == 64


def test_mdtraj_reads_the_trajectory(dimers, config, tmp_path):
    run(dimers, tmp_path / "run", config)
    topology = mdtraj.Topology.from_openmm(dimers.topology.to_openmm())
    trajectory = mdtraj.load_xtc(str(tmp_path / "run" / "trajectory.xtc"), top=topology)
    frames, *_ = read_all(tmp_path / "run")
    np.testing.assert_allclose(trajectory.time, frames.times, atol=1e-5)
    np.testing.assert_allclose(trajectory.xyz, frames.positions, atol=1e-3)
    np.testing.assert_allclose(trajectory.unitcell_vectors[-1], dimers.box, atol=1e-6)


def test_the_given_system_and_positions_are_left_as_they_were(liquid, config, tmp_path):
    before = openmm.XmlSerializer.serialize(liquid.system)
    positions = liquid.positions.copy()
    run(liquid, tmp_path / "run", config)
    assert openmm.XmlSerializer.serialize(liquid.system) == before
    np.testing.assert_array_equal(liquid.positions, positions)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(liquid, config, tmp_path):
    short = changed(config, duration=0.2)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(liquid, tmp_path / name, changed(short, seed=seed))
    assert_identical(tmp_path / "a", tmp_path / "b")
    with pytest.raises(AssertionError):
        assert_identical(tmp_path / "a", tmp_path / "c")


@pytest.mark.parametrize("step", [1, 20, 37])
def test_an_interrupted_run_resumes_bit_identically_on_reference(dimers, config, tmp_path, monkeypatch, step):
    run(dimers, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            run(dimers, tmp_path / "parts", config)
    interrupted = SimulationResult.read(tmp_path / "parts")
    assert interrupted.status == "interrupted"
    assert step <= interrupted.steps < 80
    result = run(dimers, tmp_path / "parts", config, resume=True)
    assert (result.status, result.steps, result.n_frames) == ("complete", 80, 16)
    assert_identical(tmp_path / "whole", tmp_path / "parts")
    segments = json.loads((tmp_path / "parts" / "simulation.json").read_text())["segments"]
    assert [segment["mode"] for segment in segments] == ["start", "bit-identical"]


def test_sigterm_leaves_with_status_143_and_a_checkpoint(liquid, config, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 30, signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        run(liquid, tmp_path / "run", config)
    assert caught.value.code == 143
    assert SimulationResult.read(tmp_path / "run").status == "interrupted"
    assert find_checkpoint(tmp_path / "run" / "checkpoints")[0].step >= 30


@pytest.mark.parametrize(
    ("owner", "name"), [(Recorder, "append"), (Recorder, "write_checkpoint"), (Sampler, "take_snapshot")]
)
@pytest.mark.parametrize("step", [0, 45, 80])
def test_a_run_that_failed_to_write_resumes_bit_identically(liquid, config, tmp_path, monkeypatch, owner, name, step):
    run(liquid, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        fail_at(patch, owner, name, step)
        with pytest.raises(OSError, match=r"No space"):
            run(liquid, tmp_path / "parts", config)
    run(liquid, tmp_path / "parts", config, resume=True)
    assert_identical(tmp_path / "whole", tmp_path / "parts")


def test_a_longer_duration_extends_a_finished_run(liquid, config, tmp_path):
    run(liquid, tmp_path / "whole", config)
    run(liquid, tmp_path / "parts", changed(config, duration=0.2))
    run(liquid, tmp_path / "parts", config, resume=True)
    assert_identical(tmp_path / "whole", tmp_path / "parts")


def test_resuming_a_finished_run_changes_nothing(liquid, config, tmp_path):
    first = run(liquid, tmp_path / "run", config)
    stamp = (tmp_path / "run" / "log.csv").stat().st_mtime_ns
    assert run(liquid, tmp_path / "run", config, resume=True) == first
    assert (tmp_path / "run" / "log.csv").stat().st_mtime_ns == stamp


def test_resuming_where_nothing_was_started_starts(liquid, config, tmp_path):
    assert run(liquid, tmp_path / "run", config, resume=True).status == "complete"


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_the_run_says_so(liquid, config, tmp_path):
    run(liquid, tmp_path / "whole", config)
    run(liquid, tmp_path / "parts", changed(config, duration=0.2))
    newest = max((tmp_path / "parts" / "checkpoints").iterdir())
    data = bytearray((newest / "context.chk").read_bytes())
    data[len(data) // 2] ^= 1
    (newest / "context.chk").write_bytes(data)
    result = run(liquid, tmp_path / "parts", config, resume=True)
    assert any(newest.name in note and "damaged" in note for note in result.notes)
    assert_identical(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("name", ["trajectory.xtc", "log.csv"])
def test_lines_and_frames_after_the_checkpoint_are_cut_off(liquid, config, tmp_path, name):
    run(liquid, tmp_path / "whole", config)
    run(liquid, tmp_path / "parts", changed(config, duration=0.2))
    with open(tmp_path / "parts" / name, "ab") as file:
        file.write(b"a torn frame")
    run(liquid, tmp_path / "parts", config, resume=True)
    assert_identical(tmp_path / "whole", tmp_path / "parts")


def test_an_edited_trajectory_is_refused_by_name(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", changed(config, duration=0.2))
    path = tmp_path / "run" / "trajectory.xtc"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArtifactError, match=r"trajectory.xtc was changed after the checkpoint"):
        run(liquid, tmp_path / "run", config, resume=True)
    assert path.read_bytes() == data


def test_a_trajectory_shorter_than_the_checkpoint_falls_back_to_the_one_before(liquid, config, tmp_path):
    run(liquid, tmp_path / "whole", config)
    run(liquid, tmp_path / "parts", changed(config, duration=0.225))
    path = tmp_path / "parts" / "trajectory.xtc"
    os.truncate(path, path.stat().st_size - 10)
    result = run(liquid, tmp_path / "parts", config, resume=True)
    assert any("it was cut" in note for note in result.notes)
    assert_identical(tmp_path / "whole", tmp_path / "parts")


def test_other_settings_are_refused_when_resuming(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", changed(config, duration=0.2))
    with pytest.raises(InputError, match=r"temperature was 300.0, now 310.0"):
        run(liquid, tmp_path / "run", changed(config, temperature=310.0), resume=True)


def test_another_system_of_the_same_size_is_refused_when_resuming(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", changed(config, duration=0.2))
    liquid.system.getForce(0).setEnergyFunction("4.2*(0.4/r)^12")
    with pytest.raises(InputError, match=r"another System"):
        run(liquid, tmp_path / "run", config, resume=True)


def test_another_force_field_is_refused_when_resuming(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", changed(config, duration=0.2), identity="one")
    with pytest.raises(InputError, match=r"force field have changed"):
        run(liquid, tmp_path / "run", config, resume=True, identity="two")


def test_another_platform_continues_and_says_that_it_is_not_bit_identical(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", changed(config, duration=0.2))
    before, _ = find_checkpoint(tmp_path / "run" / "checkpoints")
    result = run(liquid, tmp_path / "run", changed(config, platform="CPU", threads=1), resume=True)
    assert result.status == "complete"
    assert any("not bit-identical" in note for note in result.notes)
    frames, *_ = read_all(tmp_path / "run")
    np.testing.assert_allclose(frames.times, 0.025 * np.arange(1, 17))
    # Beads of 78 Da at 300 K move 0.2 nm/ps along each axis, so 0.005 nm per interval of 0.025 ps.
    assert np.abs(frames.positions[8] - before.positions).max() < 0.03


def test_an_output_that_holds_something_is_refused(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", changed(config, duration=0.1))
    with pytest.raises(OutputExistsError, match=r"--resume to go on or --overwrite"):
        run(liquid, tmp_path / "run", config)


@pytest.mark.parametrize("option", ["resume", "overwrite"])
def test_a_folder_that_is_no_run_is_never_emptied(liquid, config, tmp_path, option):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(OutputExistsError, match=r"thesis.tex"):
        run(liquid, tmp_path, config, **{option: True})
    assert (tmp_path / "thesis.tex").exists()


def test_an_old_run_is_kept_until_the_new_start_has_passed_its_checks(liquid, config, tmp_path):
    first = run(liquid, tmp_path / "run", changed(config, duration=0.2))
    liquid.positions[5] = liquid.positions[6] + 0.02
    with pytest.raises(InputError, match=r"bead 5 is"):
        run(liquid, tmp_path / "run", config, overwrite=True)
    assert SimulationResult.read(tmp_path / "run") == first
    liquid.positions[5] = liquid.positions[6] + [0.4, 0, 0]
    assert run(liquid, tmp_path / "run", changed(config, minimize=True), overwrite=True).n_frames == 16


def test_two_runs_do_not_share_a_folder(liquid, config, tmp_path):
    (tmp_path / "run").mkdir()
    held = pytest.raises(OutputExistsError, match=f"in use by process {os.getpid()}")
    with lock_directory(tmp_path / "run"), held:
        run(liquid, tmp_path / "run", config, resume=True)


def test_wrong_input_leaves_no_folder_behind(liquid, config, tmp_path):
    with pytest.raises(InputError, match=r"box"):
        simulate_system(
            liquid.system,
            liquid.topology,
            liquid.positions,
            None,
            output=tmp_path / "run",
            config=config,
            progress=False,
        )
    assert not (tmp_path / "run").exists()


class Failing:
    """A force that is zero, and after some calls what it is told."""

    def __init__(self, calls, energy):
        self.calls, self.energy = calls, energy

    def __call__(self, state):
        self.calls -= 1
        if self.calls < 0 and isinstance(self.energy, str):
            raise RuntimeError(self.energy)
        return (0.0 if self.calls >= 0 else self.energy), np.full((64, 3), 0.0 if self.calls >= 0 else self.energy)


def test_nan_is_noticed_on_the_reference_platform_and_the_last_good_state_is_kept(liquid, config, tmp_path):
    force = openmm.PythonForce(Failing(33, float("nan")))
    liquid.system.addForce(force)
    with pytest.raises(UnstableSimulationError, match=r"unstable after (25|30|35) steps") as caught:
        run(liquid, tmp_path / "run", config)
    result = SimulationResult.read(tmp_path / "run")
    assert (result.status, result.n_frames) == ("unstable", caught.value.step // 5 - 1)
    assert str(caught.value) == result.reason
    assert (tmp_path / "run" / "last_good.safetensors").exists()
    assert find_checkpoint(tmp_path / "run" / "checkpoints")[0].step == 20
    with pytest.raises(InputError, match=r"became unstable"):
        run(liquid, tmp_path / "run", config, resume=True)


def test_an_error_in_a_force_ends_the_run_with_its_message_and_step(liquid, config, tmp_path):
    liquid.system.addForce(openmm.PythonForce(Failing(33, "the accelerator fell off")))
    with pytest.raises(SimulationError, match=r"after \d+ steps: .*the accelerator fell off"):
        run(liquid, tmp_path / "run", config)
    assert SimulationResult.read(tmp_path / "run").steps >= 20


def test_a_start_that_a_force_cannot_evaluate_is_an_error_and_leaves_nothing_behind(liquid, config, tmp_path):
    liquid.system.addForce(openmm.PythonForce(Failing(0, "no such pair")))
    with pytest.raises(SimulationError, match=r"starting structure cannot be evaluated: .*no such pair"):
        run(liquid, tmp_path / "run", config)
    assert not [path for path in (tmp_path / "run").iterdir() if path.name != ".lock"]


def test_a_system_that_openmm_refuses_is_an_error(liquid, config, tmp_path):
    liquid.system.getForce(0).addExclusion(0, 999)
    with pytest.raises(InputError, match=r"OpenMM cannot simulate this System on the Reference platform"):
        run(liquid, tmp_path / "run", config)


@pytest.mark.physics
def test_a_time_step_that_is_too_long_is_noticed_and_a_shorter_one_is_not(liquid, config, tmp_path):
    short = changed(config, duration=1.0)
    assert run(liquid, tmp_path / "good", short).status == "complete"
    with pytest.raises(UnstableSimulationError, match=r"temperature|finite"):
        run(liquid, tmp_path / "bad", changed(short, time_step=0.2, duration=50.0, frame_interval=1.0))


def test_minimization_relaxes_an_overlap(liquid, config, tmp_path):
    liquid.positions[5] = liquid.positions[6] + [0.25, 0, 0]
    with pytest.raises(InputError, match=r"is 0.25 nm from bead 5"):
        run(liquid, tmp_path / "run", config)
    assert run(liquid, tmp_path / "run", changed(config, minimize=True)).status == "complete"


def test_progress_prints_plain_lines_where_there_is_no_terminal(liquid, config, tmp_path, capsys):
    simulate_system(
        liquid.system,
        liquid.topology,
        liquid.positions,
        liquid.box,
        output=tmp_path / "run",
        config=config,
        progress=True,
    )
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "step 80 of 80 (100 %)" in captured.err
    assert "ns/day" in captured.err


def test_a_full_disk_ends_the_run_and_nothing_is_lost_when_it_resumes(liquid, config, tmp_path):
    run(liquid, tmp_path / "whole", config)
    size = (tmp_path / "whole" / "trajectory.xtc").stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name, shard_limit in (("shards", 2), ("trajectory", 0.9)):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * shard_limit), limits[1]))
        try:
            with pytest.raises(OSError, match=r"File too large|No space left"):
                run(liquid, tmp_path / name, config)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        run(liquid, tmp_path / name, config, resume=True)
        assert_identical(tmp_path / "whole", tmp_path / name)


@pytest.mark.parametrize("n_beads", [1, 3, 9, 10, 27])
def test_every_size_of_system_writes_whole_frames(config, tmp_path, n_beads):
    template = ResidueTemplate(name="BNZ", bead_names=("A",), bead_type_names=("A",), masses=(78.0,))
    topology = CGTopology.from_residues([(template, n_beads)])
    system = openmm.System()
    for mass in topology.masses:
        system.addParticle(mass)
    positions = np.random.default_rng(0).uniform(0, 3, (n_beads, 3))
    result = simulate_system(system, topology, positions, None, output=tmp_path / "run", config=config, progress=False)
    assert result.n_frames == 16
    trajectory = mdtraj.load_xtc(
        str(tmp_path / "run" / "trajectory.xtc"), top=mdtraj.Topology.from_openmm(topology.to_openmm())
    )
    frames = FrameStore.open(tmp_path / "run" / "trajectory").read()
    np.testing.assert_allclose(trajectory.xyz, frames.positions, atol=1e-3)


def test_a_frame_that_openmm_silently_wrote_in_part_ends_the_run(liquid, config, tmp_path, monkeypatch):
    run(liquid, tmp_path / "whole", config)
    write = openmm.app.XTCFile.writeModel

    def write_in_part(self, *args, **kwargs):
        write(self, *args, **kwargs)
        if self._modelCount == 6:
            os.truncate(self._filename, os.path.getsize(self._filename) - 10)

    with monkeypatch.context() as patch:
        patch.setattr(openmm.app.XTCFile, "writeModel", write_in_part)
        with pytest.raises(OSError, match=r"No space left on device.*trajectory\.xtc"):
            run(liquid, tmp_path / "parts", config)
    run(liquid, tmp_path / "parts", config, resume=True)
    assert_identical(tmp_path / "whole", tmp_path / "parts")
