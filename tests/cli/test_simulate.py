import subprocess
import sys

import numpy as np
import pytest
from openmm import app, unit
from typer.testing import CliRunner

from openmm_cgml.cli.app import create_app
from openmm_cgml.runs import RunFolder
from openmm_cgml.runs.checkpoint import find_checkpoint
from openmm_cgml.storage import read_json
from tests.fixtures import benzene_box, tiny_force_field

SHORT = [
    "--duration",
    "0.04 ps",
    "--frame-interval",
    "8 fs",
    "--time-step",
    "4 fs",
    "--platform",
    "Reference",
    "--quiet",
]


@pytest.fixture
def model(tmp_path):
    return str(tiny_force_field(1, network=False).save(tmp_path / "model"))


def call(*arguments):
    return CliRunner().invoke(create_app("simulate"), ["simulate", *map(str, arguments)])


def test_a_run_starts_from_a_number_of_molecules_and_takes_its_defaults_from_the_model(model, tmp_path):
    result = call(model, "-o", tmp_path / "run", "--molecules", 80, "--seed", 4, *SHORT)
    assert result.exit_code == 0, result.output
    settings = read_json(tmp_path / "run" / "simulation.json")["config"]
    assert (settings["temperature"], settings["seed"]) == (300.0, 4)
    assert read_json(tmp_path / "run" / "run.json")["result"]["status"] == "complete"
    assert "complete: 0.04 ps (CG time)" in result.output


def test_a_run_starts_from_a_structure_and_is_extended_with_the_settings_it_has(model, tmp_path):
    from openmm_cgml.builder.structure_file import write_structure

    topology, positions, box = benzene_box(1, 80)
    (tmp_path / "build").mkdir()
    write_structure(tmp_path / "build" / "topology.cif", topology, positions, box)
    assert call(model, "-o", tmp_path / "run", "--from", tmp_path / "build", "--seed", 4, *SHORT).exit_code == 0
    assert call(model, "-o", tmp_path / "run", "--resume", "--duration", "0.08 ps", "--quiet").exit_code == 0
    result = read_json(tmp_path / "run" / "result.json")
    assert (result["steps"], result["n_frames"]) == (20, 10)
    assert read_json(tmp_path / "run" / "simulation.json")["config"]["seed"] == 4


def test_a_pressure_lets_the_box_change_and_density_and_pressure_are_told(model, tmp_path):
    options = [*SHORT, "--duration", "2 ps", "--frame-interval", "0.2 ps", "--pressure", "5000 bar"]
    result = call(model, "-o", tmp_path / "run", "--molecules", 120, *options)
    assert result.exit_code == 0, result.output
    assert "mean density: " in result.output
    assert "mean pressure: " in result.output
    frames = RunFolder(tmp_path / "run").open_frames().read()
    assert np.ptp(frames.box[:, 0, 0]) > 0
    bare = call(model, "-o", tmp_path / "other", "--molecules", 80, "--duration", "1 ps", "--pressure", "5000")
    assert "has no unit" in bare.output


def test_a_run_goes_on_from_where_another_ended_with_its_box_and_velocities(model, tmp_path):
    options = [*SHORT, "--duration", "1 ps", "--frame-interval", "0.2 ps"]
    first = call(model, "-o", tmp_path / "npt", "--molecules", 120, *options, "--pressure", "5000 bar")
    assert first.exit_code == 0, first.output
    second = call(model, "-o", tmp_path / "nvt", "--from", tmp_path / "npt", *SHORT)
    assert second.exit_code == 0, second.output
    end, start = (RunFolder(tmp_path / name) for name in ("npt", "nvt"))
    last, first = find_checkpoint(end.checkpoints)[0], start.open_frames().read()
    np.testing.assert_allclose(start.read_record().box, last.box)
    assert not np.allclose(last.box, end.read_record().box)
    drift = first.positions[0] - last.positions - 0.008 * last.velocities
    assert np.abs(drift).max() < 0.2 * np.abs(0.008 * last.velocities).max()
    assert start.read_record().config["minimize"] is False


def test_a_run_starts_from_a_frame_of_another(model, tmp_path):
    first = call(model, "-o", tmp_path / "first", "--molecules", 80, *SHORT)
    assert first.exit_code == 0, first.output
    second = call(model, "-o", tmp_path / "second", "--from", tmp_path / "first", "--frame", 2, *SHORT)
    assert second.exit_code == 0, second.output
    frames, start = RunFolder(tmp_path / "first").open_frames().read(), RunFolder(tmp_path / "second")
    began = app.PDBxFile(str(start.structure)).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    moved = np.abs(began - frames.positions).max(axis=(1, 2))
    assert moved.argmin() == 2
    assert moved[2] < 2e-4  # what the structure file rounds to
    assert moved[3] > 1e-3
    assert start.read_record().config["minimize"] is False


@pytest.mark.parametrize("number", [5, -1])
def test_a_frame_that_a_run_does_not_have_is_refused(model, tmp_path, number):
    assert call(model, "-o", tmp_path / "first", "--molecules", 80, *SHORT).exit_code == 0
    result = call(model, "-o", tmp_path / "run", "--from", tmp_path / "first", "--frame", number, *SHORT)
    assert result.exit_code == 2
    assert f"there is no frame {number}; it has 5" in result.output
    assert not (tmp_path / "run").exists()


def test_a_short_run_needs_no_frame_interval(model, tmp_path):
    options = ["--duration", "0.2 ps", "--platform", "Reference", "--quiet"]
    result = call(model, "-o", tmp_path / "run", "--molecules", 80, *options)
    assert result.exit_code == 0, result.output


def test_settings_come_from_a_file_and_options_go_before_it(model, tmp_path):
    (tmp_path / "nvt.yaml").write_text(
        "temperature: 310 kelvin\nduration: 1 ns\ntime_step: 4 fs\nframe_interval: 8 fs\nplatform: Reference\n"
    )
    options = ["--config", tmp_path / "nvt.yaml", "--duration", "0.04 ps", "--quiet"]
    assert call(model, "-o", tmp_path / "run", "--molecules", 80, *options).exit_code == 0
    settings = read_json(tmp_path / "run" / "simulation.json")["config"]
    assert (settings["temperature"], settings["duration"]) == (310.0, 0.04)


def test_replicas_run_together_and_each_has_its_folder(model, tmp_path):
    options = ["--molecules", 80, "--replicas", 2, *SHORT]
    result = call(model, "-o", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert "of 2 replicas together" in result.output
    assert sorted(path.name for path in tmp_path.glob("run/*/trajectory.xtc")) == ["trajectory.xtc"] * 2
    longer = call(model, "-o", tmp_path / "run", "--resume", "--duration", "0.08 ps", "--quiet")
    assert longer.exit_code == 0, longer.output
    assert read_json(tmp_path / "run" / "replica-2" / "result.json")["n_frames"] == 10
    one = call(model, "-o", tmp_path / "next", "--from", tmp_path / "run" / "replica-2", *SHORT)
    assert (one.exit_code, "those of replicas are in the folder of all" in one.output) == (3, True)
    both = call(model, "-o", tmp_path / "next", "--from", tmp_path / "run", "--replicas", 2, *SHORT)
    assert both.exit_code == 0, both.output
    for folder, options in (("run", ["--replicas", 2]), ("run/replica-2", [])):
        again = call(
            model, "-o", tmp_path / "again", "--overwrite", "--from", tmp_path / folder, "--frame", 1, *options, *SHORT
        )
        assert again.exit_code == 0, again.output


def test_priors_alone_have_no_network_to_evaluate_less_often(model, tmp_path):
    result = call(model, "-o", tmp_path / "run", "--molecules", 80, "--network-interval", 2, *SHORT)
    assert result.exit_code == 2
    assert "no force called 'network'" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--duration", "1 ps"], "--molecules 500 or --chains 10x50 builds a box"),
        (
            ["--molecules", "80", "--from", "build", "--duration", "1 ps"],
            "--molecules 500 or --chains 10x50 builds a box",
        ),
        (["--from", "nothing.cif", "--duration", "1 ps"], "no such file"),
        (["--molecules", "80"], "duration: missing"),
        (["--molecules", "80", "--duration", "100"], "has no unit"),
        (["--molecules", "80", "--frame", "1", "--duration", "1 ps"], "--from RUN --frame 1"),
        (["--molecules", "80", "--duration", "1 ps", "--scaling", "boxes"], "'molecules', 'beads'"),
        (["--molecules", "80", "--duration", "1 ps", "--barostat-interval", "0"], "barostat_interval"),
        (["--molecules", "80", "--duration", "1 ps", "--ensemble", "NPT"], "ensemble"),
        (["--molecules", "80", "--duration", "1 ps", "--time-step", "100 fs"], "too long"),
    ],
)
def test_wrong_input_is_named_and_leaves_nothing_behind(model, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    result = call(model, "-o", "run", *options, "--platform", "Reference")
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [["--friction", "1 nm"], ["--threads", "0"], []])
def test_a_wrong_setting_is_told_without_loading_torch(model, tmp_path, option):
    arguments = ["simulate", model, "-o", str(tmp_path / "run"), "--molecules", "80", *option]
    code = f"import sys\nfrom openmm_cgml.cli.app import main\ntry:\n    main({arguments})\nfinally:\n    print([m for m in ('torch', 'openmm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
    assert (done.returncode, done.stdout.strip()) == (2, "[]")
    assert (option[0][2:] if option else "duration: missing") in done.stderr


def test_an_unstable_run_leaves_with_code_4(model, tmp_path, monkeypatch):
    from openmm_cgml.simulation.stability import StabilityMonitor, UnstableSimulationError

    def fail(self, step, *rest):
        raise UnstableSimulationError(step, "temperature 9000 K, target 300 K")

    monkeypatch.setattr(StabilityMonitor, "check", fail)
    result = call(model, "-o", tmp_path / "run", "--molecules", 80, *SHORT)
    assert result.exit_code == 4
    assert "unstable after 2 steps: temperature 9000 K" in result.output
    assert read_json(tmp_path / "run" / "result.json")["status"] == "unstable"
