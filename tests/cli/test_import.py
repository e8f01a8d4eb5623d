import json

import numpy as np
import openmm
import pytest

from openmm_cgml.cli.app import main
from openmm_cgml.shards import FrameStore
from tests.trajectories.liquid import N_FRAMES, liquid_system, run_liquid, write_data, write_dump


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["import", *map(str, arguments)])
    return leaving.value.code


@pytest.fixture
def common(tmp_path):
    return ["--topology", write_data(tmp_path / "a.data"), "--temperature", "300 K", "-o", tmp_path / "rec"]


def test_a_dump_becomes_a_recording_and_a_table(tmp_path, common, capsys):
    path = write_dump(tmp_path / "a.dump", run_liquid())
    assert run(path, *common, "--units", "real", "--time-step", "1 fs") == 0
    shown = capsys.readouterr().out
    for words in ("forces along bonds", "kinetic temperature", f"{N_FRAMES} frames", "of what 300 K gives"):
        assert words in shown
    record = json.loads((tmp_path / "rec" / "run.json").read_text())
    assert (record["verb"], record["ending"], record["result"]["n_frames"]) == ("import", "finished", N_FRAMES)
    assert run(path, *common, "--units", "real", "--time-step", "1 fs") == 2
    assert "use --resume to go on or --overwrite" in capsys.readouterr().err
    assert run(path, *common, "--units", "real", "--time-step", "1 fs", "--resume") == 0


def test_wrong_units_leave_with_code_2_and_nothing_written(tmp_path, common, capsys):
    path = write_dump(tmp_path / "a.dump", run_liquid())
    assert run(path, *common, "--units", "metal") == 2
    assert "no such run can be" in capsys.readouterr().err
    assert run(path, *common) == 2
    assert "--units real" in capsys.readouterr().err
    assert not (tmp_path / "rec").exists()


def test_lj_units_have_scales(tmp_path, common, capsys):
    path = write_dump(tmp_path / "a.dump", run_liquid(), length=0.34, energy=1.2, time=0.34 * (40 / 1.2) ** 0.5)
    assert run(path, *common, "--units", "lj", "--lj-scales", "0.34 nm, 1.2 kJ/mol") == 2
    assert "three are needed" in capsys.readouterr().err
    assert run(path, *common, "--units", "real", "--lj-scales", "0.34 nm, 1.2 kJ/mol, 40 Da") == 2
    assert run(path, *common, "--units", "lj", "--lj-scales", "0.34 nm, 1.2 kJ/mol, 40 Da") == 0


def test_forces_are_computed_anew_from_positions_alone(tmp_path, common, capsys):
    path = write_dump(tmp_path / "a.dump", run_liquid(), columns="id x y z", wrap=True)
    (tmp_path / "s.xml").write_text(openmm.XmlSerializer.serialize(liquid_system()))
    assert run(path, *common, "--units", "real", "--rerun", tmp_path / "s.xml") == 0
    frames = FrameStore.open(tmp_path / "rec").read()
    np.testing.assert_allclose(frames.forces, run_liquid().forces, rtol=1e-3, atol=0.05)
    assert frames.forces_inter is not None
    assert FrameStore.open(tmp_path / "rec").metadata["source"]["imported"]["forces"] == "s.xml"


def test_beads_become_a_dataset(tmp_path, common, capsys):
    path = write_dump(tmp_path / "a.dump", run_liquid(), columns="id x y z fx fy fz")
    assert run(path, *common, "--units", "real", "--beads", "--constraints", "none") == 2
    assert "leave them out with --beads" in capsys.readouterr().err
    assert run(path, *common, "--units", "real", "--beads") == 0
    assert "next: openmm-cgml fit" in capsys.readouterr().out


def test_an_array_of_forces_goes_with_a_dump(tmp_path, common):
    path = write_dump(tmp_path / "a.dump", run_liquid(), columns="id x y z")
    np.save(tmp_path / "f.npy", (run_liquid().forces / 41.84).astype(np.float32))
    assert run(path, *common, "--units", "real", "--forces", tmp_path / "f.npy") == 0
    np.testing.assert_allclose(
        FrameStore.open(tmp_path / "rec").read().forces, run_liquid().forces, rtol=1e-4, atol=1e-3
    )
