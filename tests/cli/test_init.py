import json

import pytest

from openmm_cgml.cli.app import main
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import MissingDependencyError
from openmm_cgml.specification import read_specification
from openmm_cgml.starting import folder
from tests.starting.liquids import fake_parameters


@pytest.fixture(autouse=True)
def parameters(monkeypatch):
    monkeypatch.setattr(folder, "parametrize", fake_parameters)


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["init", *map(str, arguments)])
    return leaving.value.code


def test_init_writes_a_folder_and_says_what_comes_next(tmp_path, capsys):
    path = tmp_path / "methanol"
    assert run(path, "--smiles", "CO", "--molecules", 500, "--bead", "C1 H1 H2 H3", "--bead", "O1 H4") == 0
    shown = capsys.readouterr().out
    assert "Liquid CH4O (CO, 2 beads a molecule) at 300 K and 1 atm" in shown
    assert f"openmm-cgml reference {path} -o {path}/runs/reference --map {path}/runs/data" in shown
    assert [bead.type for bead in read_specification(path).residues[0].beads] == ["CH3", "OH"]
    record = json.loads((path / "run.json").read_text())
    assert (record["verb"], record["ending"], record["arguments"]["smiles"]) == ("init", "finished", ["CO"])
    assert run(path, "--smiles", "CO", "--molecules", 500) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run(path, "--smiles", "CO", "--molecules", 400, "--overwrite", "--temperature", "350 kelvin") == 0
    assert read_specification(path).temperature == 350.0


def test_mixtures_and_their_numbers_of_beads(tmp_path):
    assert run(tmp_path / "m", "--smiles", "CCCC=150", "--smiles", "O=300", "--beads", 2, "--beads", 1) == 0
    residues = read_specification(tmp_path / "m").residues
    assert [(residue.name, residue.count, len(residue.beads)) for residue in residues] == [
        ("M01", 150, 2), ("HOH", 300, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--smiles", "C(", "--molecules", 500), "cannot be read"),
        (("--smiles", "CO", "--molecules", 500, "--charges", "resp"), "charges"),
        (("--smiles", "CO", "--molecules", 500, "--temperature", "300"), "300"),
        ((), "--smiles"),
    ],
)
def test_wrong_input_is_told_and_nothing_written(tmp_path, capsys, arguments, message):
    assert run(tmp_path / "x", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_missing_programs_end_with_the_command(tmp_path, capsys, monkeypatch):
    def missing(molecule, charges):
        raise MissingDependencyError("no antechamber; pip install 'openmm-cgml[molecules]'")

    monkeypatch.setattr(folder, "parametrize", missing)
    assert run(tmp_path / "x", "--smiles", "CO", "--molecules", 500) == 2
    assert "pip install 'openmm-cgml[molecules]'" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.fixture
def polymer_parameters(monkeypatch):
    from openmm_cgml.starting import polymer_parameters

    monkeypatch.setattr(polymer_parameters, "parametrize", fake_parameters)
    monkeypatch.setattr(polymer_parameters, "compare_systems", lambda *_: 0.0)  # made-up bonds depend on the geometry


def test_init_of_a_polymer_says_what_comes_next(tmp_path, capsys, polymer_parameters):
    path = tmp_path / "peo"
    assert run(path, "--repeat", "[*]CCO[*]", "--chains", "12x25", "--beads", 1, "--ends", "C[*]") == 0
    shown = capsys.readouterr().out
    assert "Chains of 25 units [*]CCO[*] (1 bead a unit) at 300 K and 1 atm" in shown
    assert f"openmm-cgml simulate {path}/runs/refined --chains 12x25" in shown
    assert [bead.type for bead in read_specification(path).residues[0].beads] == ["C3H7O"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--repeat", "[*]CCO[*]"), "--chains 10x50"),
        (("--chains", "10x50"), "--repeat"),
        (("--repeat", "[*]CCO[*]", "--chains", "10x50", "--smiles", "CO"), "each in a folder of its own"),
        (("--repeat", "[*]CCO[*]", "--chains", "10x50", "--beads", 1, "--beads", 2), "give one"),
        (("--repeat", "[*]CCO[*]", "--chains", "10x50", "--tacticity", "random"), "tacticity"),
        (("--molecules", 500), "--smiles"),
    ],
)
def test_options_of_a_polymer_that_make_no_sense_are_told(tmp_path, capsys, arguments, message):
    assert run(tmp_path / "x", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_init_from_a_recording_is_fitted_as_it_is(tmp_path, capsys):
    from tests.atoms import benzene_frames, write_recording

    run_folder = write_recording(tmp_path / "run" / "recording", 20, benzene_frames(20, 4)).parent
    assert run(tmp_path / "liquid", "--from", run_folder, "--bead", "C1 C2", "--bead", "C3 C4", "--bead", "C5 C6") == 0
    shown = capsys.readouterr().out
    assert f"openmm-cgml map {run_folder} {tmp_path}/liquid -o {tmp_path}/liquid/runs/data" in shown
    for line in shown.splitlines():
        if line.strip().startswith("openmm-cgml map"):
            with pytest.raises(SystemExit) as leaving:
                main(line.split()[1:])
            assert leaving.value.code == 0
    dataset = ForceMatchingDataset.open(tmp_path / "liquid" / "runs" / "data")
    assert (dataset.topology.n_beads, dataset.n_frames) == (60, 4)
    for wrong, message in (
        (("--seed", 1), "--seed is for systems from SMILES"),
        (("--smiles", "CO"), "different kinds"),
    ):
        assert run(tmp_path / "x", "--from", run_folder, *wrong) == 2
        assert message in capsys.readouterr().err
