import json

import pytest
from openmm import app
from typer.testing import CliRunner

from openmm_cgml.cli.app import create_app
from openmm_cgml.cli.build import _density_of
from openmm_cgml.specification import StageSpecification, read_specification
from tests.fixtures import polyethylene_conformations, tiny_chain_force_field, tiny_force_field


@pytest.fixture
def model(tmp_path):
    return tiny_force_field(1).save(tmp_path / "model")


def run(*arguments):
    return CliRunner().invoke(create_app("build"), ["build", *map(str, arguments)])


def test_build_writes_the_folder_and_says_what_the_time_step_may_be(model, tmp_path):
    result = run(model, "--molecules", 64, "-o", tmp_path / "out", "--seed", 3)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "force_field",
        "run.json",
        "run.py",
        "topology.cif",
    ]
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
        (["--molecules", "64", "--density", "0.84 nm"], "another dimension"),
        (["--molecules", "64", "--density", "0.84", "--box", "3 nm"], "give one of them"),
        (["--molecules", "64", "--temperature", "300"], "no unit"),
        (["--monomers", "50"], "--chains 100"),
        (["--chains", "5x50"], "has these chains: none"),
        (["--chains", "lots"], "100x50"),
        (["--molecules", "5"], "too few"),
        ([], "--molecules 500"),
    ],
)
def test_build_refuses_what_makes_no_sense_and_writes_nothing(model, tmp_path, arguments, message):
    result = run(model, "-o", tmp_path / "out", *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_a_density_without_a_unit_is_in_grams_and_a_box_gives_the_density(model, tmp_path):
    assert "0.700 g/cm^3" in run(model, "-n", 64, "--density", "0.7", "-o", tmp_path / "one").output
    result = run(model, "-n", 64, "--box", "3 nm", "--temperature", "350 K", "-o", tmp_path / "two")
    assert "cube of 3.000 nm, 0.307 g/cm^3" in result.output
    assert "350 * kelvin" in (tmp_path / "two" / "run.py").read_text()


@pytest.mark.slow
def test_chains_of_several_lengths_are_built_whole(tmp_path):
    force_field = tiny_chain_force_field(network=False, conformations=polyethylene_conformations())
    model = force_field.save(tmp_path / "model")
    arguments = (model, "-c", "3x20", "-c", "2", "-c", "1xPEH,PEM*8,PET", "--monomers", 30, "--density", "0.8")
    result = run(*arguments, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "6 molecules, 260 beads" in result.output
    read = app.PDBxFile(str(tmp_path / "out" / "topology.cif"))
    assert read.topology.getNumBonds() == 260 - 6
    assert force_field.create_system(read.topology).getNumParticles() == 260
    run(*arguments, "-o", tmp_path / "again")
    assert (tmp_path / "again" / "topology.cif").read_bytes() == (tmp_path / "out" / "topology.cif").read_bytes()


def test_build_takes_numbers_and_density_from_a_system(model, tmp_path):
    result = run(model, "--system", "benzene-1bead", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "500 molecules" in result.output


def test_a_density_that_the_atomistic_run_only_starts_from_is_not_taken():
    specification = read_specification("benzene-1bead")
    assert _density_of(specification) == 0.84
    settle = StageSpecification(name="settle", duration=60.0, temperature=300.0, pressure=1.0)
    reference = specification.reference.model_copy(update={"equilibration": (settle,)})
    assert _density_of(specification.model_copy(update={"reference": reference})) is None
