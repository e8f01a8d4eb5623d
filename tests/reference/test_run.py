import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest

from openmm_cgml.errors import InputError, OutputExistsError, SimulationError
from openmm_cgml.reference import ReferenceConfig, run_reference
from openmm_cgml.shards import FrameStore
from openmm_cgml.storage import read_json
from tests.reference import chains, liquids

QUICK = {
    "molecules": liquids.N_MOLECULES, "density": liquids.DENSITY, "relaxation_duration": 0.04, "duration": 0.16,
    "frame_interval": 0.008, "frames_per_shard": 4, "platform": "CPU", "threads": 1, "seed": 1,
}  # fmt: skip


def run(output, *, progress=None, resume=False, **changes):
    config = ReferenceConfig(**{**QUICK, **changes})
    return run_reference(liquids.specification(), output, config, resume=resume, progress=progress)


def times_of(result):
    return FrameStore.open(result.recording).read().times


def at(stage, place, action):
    """A progress callback that acts once, at the given call of a stage."""
    calls = []

    def progress(now, done, total):
        calls.append(now)
        if calls.count(stage) == place and now == stage:
            action()

    return progress


@pytest.mark.slow
def test_liquid_that_evaporates_is_stopped_while_it_finds_its_density(tmp_path, monkeypatch):
    monkeypatch.setattr("openmm_cgml.reference.run._EVAPORATED", 1.5)  # a gas would take long to form
    with pytest.raises(
        SimulationError, match=r"fell to 0\.\d+ g/cm\^3 from 0\.5 .*evaporates at 300 K and 1\.01325 bar"
    ):
        run(tmp_path / "run", density=None, density_duration=2.0, density_discard=1.0)


@pytest.mark.slow
def test_run_records_evenly_spaced_frames_and_reports(tmp_path):
    result = run(tmp_path / "run")
    np.testing.assert_allclose(times_of(result), 0.008 * np.arange(1, 21), atol=1e-9)
    assert result.density == pytest.approx(liquids.DENSITY, rel=1e-6)
    assert result.report.n_frames == 20
    assert result.report.observables["density"].experiment == 0.874
    assert {"recording", "checkpoints", "protocol.json", "report.json", "report.txt"} <= set(
        os.listdir(tmp_path / "run")
    )


@pytest.mark.slow
@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_interrupted_recording_keeps_every_frame_and_resumes(tmp_path, number, error):
    with pytest.raises(error):
        run(tmp_path / "run", progress=at("recording", 6, lambda: os.kill(os.getpid(), number)))
    assert FrameStore.open(tmp_path / "run" / "recording").n_frames == 6
    np.testing.assert_allclose(times_of(run(tmp_path / "run", resume=True)), 0.008 * np.arange(1, 21), atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "place"), [("build", 1), ("relaxation", 1), ("recording", 2), ("recording", 7)])
def test_failed_run_resumes_from_its_last_checkpoint(tmp_path, stage, place):
    class CrashError(Exception):
        pass

    def crash():
        raise CrashError

    density = 0.7 if stage == "build" else liquids.DENSITY  # a compression reports progress
    with pytest.raises(CrashError):
        run(tmp_path / "run", progress=at(stage, place, crash), density=density)
    result = run(tmp_path / "run", resume=True, density=density)
    np.testing.assert_allclose(times_of(result), 0.008 * np.arange(1, 21), atol=1e-9)


@pytest.mark.slow
def test_finished_run_is_extended_by_a_longer_duration(tmp_path):
    first = FrameStore.open(run(tmp_path / "run").recording).read()
    longer = FrameStore.open(run(tmp_path / "run", resume=True, duration=0.2).recording).read()
    assert len(longer) == 25
    np.testing.assert_array_equal(longer.positions[:20], first.positions)
    # The trajectory goes on smoothly: no step between frames is longer than before.
    steps = np.abs(np.diff(longer.positions, axis=0)).max(axis=(1, 2))
    assert steps[19] < 2.0 * steps[:19].max()


@pytest.mark.slow
def test_run_that_began_without_pressures_goes_on_without(tmp_path, monkeypatch):
    first = run(tmp_path / "with", duration=1.6, frame_interval=0.16)
    assert first.report.observables["pressure"].unit == "bar"
    with monkeypatch.context() as patch:  # as an earlier release
        patch.setattr("openmm_cgml.reference.run.AtomisticBarometer", lambda *args: None)
        run(tmp_path / "run")
    longer = run(tmp_path / "run", resume=True, duration=0.2)
    assert longer.n_frames == 25
    assert "pressure" not in longer.report.observables
    assert "frames were recorded without it" in (tmp_path / "run" / "report.txt").read_text()


@pytest.mark.slow
def test_density_run_sets_the_mean_density(tmp_path):
    result = run(tmp_path / "run", density=None, density_duration=2.0, density_discard=1.0)
    assert len(result.density_samples) == 1
    assert result.density == pytest.approx(result.density_samples.mean(), rel=1e-6)


def test_other_settings_are_refused_when_resuming(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run", progress=at("relaxation", 1, lambda: os.kill(os.getpid(), signal.SIGINT)))
    with pytest.raises(InputError, match=r"seed: was 1, now 2"):
        run(tmp_path / "run", resume=True, seed=2)


def test_existing_output_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="--resume"):
        run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_box_below_twice_the_cutoff_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"4 molecules fill a box of 1.012 nm, less than twice the cutoff of 0.7 nm"):
        run(tmp_path / "run", molecules=4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame_interval": 0.009}, "not a multiple of the time step"),
        ({"density": None, "density_duration": 5.0, "density_discard": 5.0}, "nothing is left to average"),
        ({"molecules": 0}, "molecules"),
        ({"duration": "10"}, "unit"),
        ({"platform": "Referense"}, "Referense"),
    ],
)
def test_wrong_configuration_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_residue_with_other_atoms_is_refused(tmp_path):
    specification = liquids.specification()
    residue = specification.residues[0]
    shuffled = residue.model_copy(update={"atoms": residue.atoms[::-1]})
    with pytest.raises(InputError, match=r"does not list the atoms of 'amber-cornell-benzene'.*C1 C2"):
        run_reference(specification.model_copy(update={"residues": (shuffled,)}), tmp_path / "run")


def test_system_without_reference_section_is_refused(tmp_path):
    specification = liquids.specification().model_copy(update={"reference": None})
    with pytest.raises(InputError, match="no `reference` section"):
        run_reference(specification, tmp_path / "run")


@pytest.mark.slow
def test_unstable_run_is_an_error_that_says_what_to_do(tmp_path):
    settings = liquids.SETTINGS.model_copy(update={"time_step": 0.04})
    specification = liquids.specification().model_copy(update={"reference": settings})
    config = ReferenceConfig(**{**QUICK, "frame_interval": 0.04, "duration": 40.0, "relaxation_duration": 0.0})
    with pytest.raises(SimulationError, match=r"(?i)take a shorter time step"):
        run_reference(specification, tmp_path / "run", config)


def test_run_that_cannot_fit_on_the_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"20 frames of 324 atoms need 0.00 GB, .*make room"):
        run(tmp_path / "run", relaxation_duration=0.0)


CHAINS = {
    "molecules": chains.N_CHAINS, "monomers": chains.MONOMERS, "density": 0.035, "relaxation_duration": 0.02,
    "duration": 0.08, "frame_interval": 0.004, "frames_per_shard": 5, "platform": "CPU", "threads": 1, "seed": 1,
}  # fmt: skip


def run_chains(output, *, progress=None, resume=False, **changes):
    config = ReferenceConfig(**{**CHAINS, **changes})
    return run_reference(chains.specification(), output, config, resume=resume, progress=progress)


@pytest.mark.slow
def test_chains_are_equilibrated_by_the_stages_and_recorded_with_intermolecular_forces(tmp_path):
    stages = {}
    result = run_chains(tmp_path / "run", progress=lambda stage, done, total: stages.setdefault(stage, total))
    assert list(stages) == ["build", "equilibration-warm", "equilibration-cool", "relaxation", "recording"]
    assert read_json(tmp_path / "run" / "stages.json")["cool"]["final_temperature"] == 300.0
    frames = FrameStore.open(result.recording).read()
    assert len(frames) == 20
    assert result.density == pytest.approx(0.035, rel=1e-6)
    np.testing.assert_allclose(frames.forces_inter[0].sum(0), 0.0, atol=2.0)  # PME conserves momentum only nearly
    assert set(frames.energies) == {"kinetic", "bonded", "inter", "intra_nonbonded"}
    assert abs(frames.energies["inter"]).max() < 0.3 * abs(frames.energies["intra_nonbonded"]).max()  # dilute


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "place"), [("equilibration-warm", 1), ("equilibration-cool", 1), ("recording", 7)])
def test_failed_run_of_chains_resumes_at_each_stage(tmp_path, stage, place):
    class CrashError(Exception):
        pass

    def crash():
        raise CrashError

    with pytest.raises(CrashError):
        run_chains(tmp_path / "run", progress=at(stage, place, crash))
    np.testing.assert_allclose(times_of(run_chains(tmp_path / "run", resume=True)), 0.004 * np.arange(1, 21), atol=1e-9)


@pytest.mark.slow
def test_stretch_lengthens_the_equilibration_only(tmp_path):
    lengths = {}
    run_chains(tmp_path / "run", stretch=1.5, progress=lambda stage, done, total: lengths.setdefault(stage, total))
    assert lengths["equilibration-warm"] == pytest.approx(0.06)
    assert lengths["recording"] == pytest.approx(0.08)
