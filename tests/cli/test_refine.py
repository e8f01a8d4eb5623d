import pytest

from openmm_cgml.cli.app import main
from openmm_cgml.force_field import ForceField
from openmm_cgml.storage import read_json
from tests.fixtures import tiny_force_field
from tests.training.test_refinement import _dataset

SETTINGS = "rounds: 1\nduration: 0.4 ps\nequilibration: 0.1 ps\nfirst_equilibration: 0 ps\nframe_interval: 0.1 ps\n"


def _run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["refine", *map(str, arguments)])
    return left.value.code


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
    )
    assert not _run(*arguments)
    assert "round 1 of 1: g(r)" in capsys.readouterr().out
    refined = ForceField.load(tmp_path / "out" / "force_field")
    assert refined.fingerprint != force_field.fingerprint
    assert "refinement" in refined.manifest.provenance
    assert read_json(tmp_path / "out" / "run.json")["verb"] == "refine"
    assert _run(*arguments) == 2
    assert "--resume" in capsys.readouterr().err


def test_a_wrong_setting_is_named(tmp_path, capsys):
    tiny_force_field(1).save(tmp_path / "model")
    (tmp_path / "refine.yaml").write_text("round: 1\n")
    assert _run(tmp_path / "model", "-d", tmp_path, "-o", tmp_path / "out", "--config", tmp_path / "refine.yaml") == 2
    assert "did you mean 'rounds'" in capsys.readouterr().err
