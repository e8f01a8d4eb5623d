import subprocess
import sys

import numpy as np
import openmm
import pytest

from openmm_cgml.cli.app import main
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.storage import read_json
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_3, benzene_box, tiny_force_field
from tests.refinement.test_network import _dataset

SETTINGS = "rounds: 1\nduration: 0.4 ps\nequilibration: 0.1 ps\nfirst_equilibration: 0 ps\nframe_interval: 0.1 ps\n"


def _run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["refine", *map(str, arguments)])
    return left.value.code


def _vibrating_benzene(folder, force_field):
    """Frames of relaxed molecules whose beads are displaced at random, more than by their springs at 300 K."""
    topology, positions, box = benzene_box(3, 64, density=0.6)
    system = force_field.create_system(topology, box=box, ml_backend="PythonForce")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=50)
    relaxed = context.getState(positions=True).getPositions(asNumpy=True)._value
    frames = relaxed + np.random.default_rng(0).normal(scale=0.008, size=(24, *relaxed.shape))
    ForceMatchingDataset.create(
        folder,
        [Frames(positions=frames, forces=np.ones_like(frames), box=np.tile(box, (24, 1, 1)))],
        topology=CGTopology.from_residues([(BENZENE_3, 64)]),
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[BENZENE_3],
    )


def test_a_refined_force_field_is_written_with_a_record_and_not_replaced_unasked(tmp_path, capsys):
    force_field = tiny_force_field(1)
    force_field.save(tmp_path / "fit" / "force_field")
    _dataset(tmp_path / "data", network=False)
    (tmp_path / "refine.yaml").write_text(SETTINGS)
    arguments = (
        tmp_path / "fit",
        "--data",
        tmp_path / "data",
        "-o",
        tmp_path / "out",
        "--config",
        tmp_path / "refine.yaml",
        "--target",
        "network",
    )
    assert not _run(*arguments)
    assert "after 1 of at most 1 changes" in capsys.readouterr().out
    refined = ForceField.load(tmp_path / "out" / "force_field")
    assert refined.fingerprint != force_field.fingerprint
    assert "refinement" in refined.manifest.provenance
    assert read_json(tmp_path / "out" / "run.json")["verb"] == "refine"
    assert _run(*arguments) == 2
    assert "--resume" in capsys.readouterr().err


def test_priors_are_refined_in_place_of_the_network_on_request(tmp_path, capsys):
    force_field = tiny_force_field(3)
    force_field.save(tmp_path / "fit" / "force_field")
    _vibrating_benzene(tmp_path / "data", force_field)
    arguments = (tmp_path / "fit", "-d", tmp_path / "data", "-o", tmp_path / "out")
    (tmp_path / "refine.yaml").write_text(f"target: bonded\n{SETTINGS}")
    assert not _run(*arguments, "--config", tmp_path / "refine.yaml")
    shown = capsys.readouterr().out
    assert "after 1 of at most 1 changes" in shown
    assert "term harmonic_bond C2H2-C2H2, mean_error" in shown
    refined = ForceField.load(tmp_path / "out" / "force_field")
    for name, tensor in force_field.network.state_dict().items():
        assert (refined.network.state_dict()[name] == tensor).all()
    assert refined.priors.terms != force_field.priors.terms
    assert (tmp_path / "out" / "refinement.png").exists()
    assert read_json(tmp_path / "out" / "run.json")["result"]["changes"] == 1


def test_a_wrong_setting_is_named(tmp_path, capsys):
    tiny_force_field(1).save(tmp_path / "model")
    (tmp_path / "refine.yaml").write_text("target: network\nround: 1\n")
    assert _run(tmp_path / "model", "-d", tmp_path, "-o", tmp_path / "out", "--config", tmp_path / "refine.yaml") == 2
    assert "did you mean 'rounds'" in capsys.readouterr().err


def test_options_go_before_the_file_and_a_wrong_one_is_told_without_loading_torch(tmp_path):
    tiny_force_field(1).save(tmp_path / "model")
    (tmp_path / "refine.yaml").write_text(f"target: bonded\n{SETTINGS}")
    for options, message in (
        (["--config", str(tmp_path / "refine.yaml"), "--rounds", "-1"], "rounds: Input should be greater"),
        (["--target", "pair", "--duration", "3"], "'3' has no unit"),
        (["--rounds", "2"], "target is ''"),
    ):
        arguments = ["refine", str(tmp_path / "model"), "-d", str(tmp_path), "-o", str(tmp_path / "out"), *options]
        code = f"import sys\nfrom openmm_cgml.cli.app import main\ntry:\n    main({arguments})\nfinally:\n    print([m for m in ('torch', 'openmm') if m in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=600)
        assert (done.returncode, done.stdout.strip()) == (2, "[]")
        assert message in done.stderr


def test_settings_are_given_without_a_file(tmp_path):
    force_field = tiny_force_field(3)
    force_field.save(tmp_path / "fit" / "force_field")
    _vibrating_benzene(tmp_path / "data", force_field)
    times = ["--duration", "0.4 ps", "--equilibration", "0.1 ps", "--first-equilibration", "0 ps"]
    options = ["--target", "bonded", "--rounds", 0, *times, "--frame-interval", "0.1 ps"]
    assert not _run(tmp_path / "fit", "-d", tmp_path / "data", "-o", tmp_path / "out", *options)
    assert read_json(tmp_path / "out" / "run.json")["arguments"]["rounds"] == 0
