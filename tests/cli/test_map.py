import json

import pytest

from openmm_cgml.cli.app import main
from tests.atoms import benzene_frames, write_recording


@pytest.fixture
def recording(tmp_path):
    return write_recording(tmp_path / "run" / "recording", 3, benzene_frames(3, 6))


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["map", *map(str, arguments)])
    return leaving.value.code


def test_a_recording_is_mapped_and_summarized(tmp_path, recording, capsys):
    assert run(recording.parent, "benzene-3bead", "-o", tmp_path / "d", "--force-map", "optimal") == 0
    shown = capsys.readouterr().out
    assert "6 frames (instantaneous) of 9 beads in 3 molecules at 300 K" in shown
    assert "optimal force map of BNZ" in shown
    assert "force rms" in shown
    summary = json.loads((tmp_path / "d" / "summary.json").read_text())
    assert summary["n_frames"] == 6
    record = json.loads((tmp_path / "d" / "run.json").read_text())
    assert (record["verb"], record["ending"], record["result"]["n_frames"]) == ("map", "finished", 6)


def test_existing_output_needs_a_word(tmp_path, recording, capsys):
    assert run(recording, "benzene-1bead", "-o", tmp_path / "d") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()}
    assert run(recording, "benzene-1bead", "-o", tmp_path / "d") == 2
    assert "use --resume to go on or --overwrite to start again" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "d").iterdir()} == before
    assert run(recording, "benzene-1bead", "-o", tmp_path / "d", "--resume") == 0
    assert run(recording, "benzene-3bead", "-o", tmp_path / "d", "--overwrite") == 0


def test_a_damaged_recording_leaves_with_code_3_and_no_output(tmp_path, recording, capsys):
    shard = next(recording.glob("*.h5"))
    shard.write_bytes(shard.read_bytes()[:-100])
    assert run(recording, "benzene-1bead", "-o", tmp_path / "d") == 3
    assert "frames 0 to 3 are not trustworthy" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()
