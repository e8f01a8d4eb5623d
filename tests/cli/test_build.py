import json

import pytest
from typer.testing import CliRunner

from openmm_cgml.cli.app import create_app
from tests.fixtures import tiny_force_field


@pytest.fixture
def model(tmp_path):
    return tiny_force_field(1).save(tmp_path / "model")


def run(*arguments):
    return CliRunner().invoke(create_app("build"), ["build", *map(str, arguments)])


def test_build_writes_the_folder_and_says_what_the_time_step_may_be(model, tmp_path):
    result = run(model, "--molecules", 64, "-o", tmp_path / "out", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["run.json", "run.py", "topology.cif"]
    assert "64 molecules, 64 beads" in result.output
    assert "the stiffest prior allows 14.6 fs" in result.output
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["verb"] == "build"
    assert record["arguments"]["seed"] == 3
    assert record["result"]["n_beads"] == 64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--molecules", "many"], "NAME=1000"),
        (["--molecules", "BNZ=5", "--molecules", "BNZ=6"], "named twice"),
        (["--molecules", "64", "--density", "0.84"], "no unit"),
        (["--molecules", "5"], "too few"),
        ([], "--molecules 500"),
    ],
)
def test_build_refuses_what_makes_no_sense_and_writes_nothing(model, tmp_path, arguments, message):
    result = run(model, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_build_takes_numbers_and_density_from_a_system(model, tmp_path):
    result = run(model, "--system", "benzene-1bead", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "500 molecules" in result.output
