import json

import numpy as np
import pytest
from PIL import Image

from openmm_cgml.cli.app import main
from openmm_cgml.cli.suggest import numbers_of
from openmm_cgml.errors import InputError
from openmm_cgml.specification import read_specification
from tests.atoms import benzene_frames, write_recording


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(list(map(str, arguments)))
    return leaving.value.code


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "run" / "recording", 20, benzene_frames(20, 8)).parent


def test_suggestions_are_judged_and_mapped_as_they_are(tmp_path, recording, capsys):
    assert run("suggest", recording, "--beads", "1,3", "--method", "partition", "-o", tmp_path / "c") == 0
    assert "compare them: openmm-cgml judge" in capsys.readouterr().out
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        "1-bead.png", "1-bead.yaml", "3-beads.png", "3-beads.yaml", "candidates.json",
    ]  # fmt: skip
    assert read_specification(tmp_path / "c" / "3-beads.yaml").name == "3-beads"
    picture = np.asarray(Image.open(tmp_path / "c" / "3-beads.png").convert("RGB")).reshape(-1, 3)
    assert len(np.unique(picture, axis=0)) > 10
    run("judge", recording, tmp_path / "c" / "1-bead.yaml", tmp_path / "c" / "3-beads.yaml", "benzene-3bead", "--json")
    judged = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in judged] == ["1-bead", "3-beads", "benzene-3bead"]
    assert judged[1]["structure"] == judged[2]["structure"]
    assert round(1 - judged[1]["structure"]["network_variance_kept"], 2) == 0.36
    assert run("map", recording, tmp_path / "c" / "3-beads.yaml", "-o", tmp_path / "d") == 0


def test_the_table_is_printed_with_where_it_comes_from(recording, capsys):
    run("judge", recording, "benzene-1bead", "benzene-3bead", "--no-pairs", "--frames", "4")
    text = capsys.readouterr().out
    assert "variance lost, network of bonds" in text and "4 of 8 frames" in text


def test_suggestions_as_json_name_their_files(tmp_path, recording, capsys):
    run("suggest", recording, "--beads", "2", "--method", "partition", "-o", tmp_path / "c", "--json")
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["residues"] == {"BNZ": ["C3H3", "C3H3"]}
    assert entry["system"].endswith("2-beads.yaml")


def test_suggestions_replace_only_suggestions(tmp_path, recording, capsys):
    run("suggest", recording, "--beads", "1", "-o", tmp_path / "c")
    assert run("suggest", recording, "--beads", "1", "-o", tmp_path / "c") == 2
    assert "--overwrite" in capsys.readouterr().err
    run("suggest", recording, "--beads", "2", "-o", tmp_path / "c", "--overwrite")
    assert not (tmp_path / "c" / "1-bead.yaml").exists()
    assert run("suggest", recording, "--beads", "2", "-o", recording, "--overwrite") == 2
    assert (recording / "recording" / "manifest.json").exists()


def test_two_mappings_of_one_name_are_refused(recording, capsys):
    assert run("judge", recording, "benzene-1bead", "benzene-1bead") == 2
    assert "one name" in capsys.readouterr().err


def test_numbers_of_beads_are_ranges_and_lists():
    assert numbers_of("1-3, 6") == [1, 2, 3, 6]
    for wrong in ("", "0", "3-1", "a", "1-"):
        with pytest.raises(InputError, match="numbers and ranges"):
            numbers_of(wrong)
