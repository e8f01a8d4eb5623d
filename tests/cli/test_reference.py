import json

import pytest

from openmm_cgml.cli.app import main
from openmm_cgml.shipped import find_system

QUICK = (
    "--density", "0.5 g/cm^3", "--duration", "0.08 ps", "--frame-interval", "8 fs", "--platform", "CPU", "--threads", 1,
)  # fmt: skip


def run(*arguments):
    with pytest.raises(SystemExit) as leaving:
        main(["reference", *map(str, arguments)])
    return leaving.value.code


@pytest.fixture
def system(tmp_path):
    """Shipped benzene with a cutoff that suits a small box."""
    text = (find_system("benzene-1bead") / "system.yaml").read_text()
    folder = tmp_path / "system"
    folder.mkdir()
    text = text.replace("cutoff: 1.0 nm", "cutoff: 0.7 nm").replace(
        "switch_distance: 0.9 nm", "switch_distance: 0.6 nm"
    )
    (folder / "system.yaml").write_text(text)
    return folder


@pytest.mark.slow
def test_run_prints_the_report_then_mean_forces_print_the_noise_floor(tmp_path, system, capsys):
    assert run(system, "-o", tmp_path / "ref", "--molecules", 27, *QUICK) == 0
    shown = capsys.readouterr().out
    assert "benzene-1bead: 10 frames" in shown
    assert "33.8" in shown
    record = json.loads((tmp_path / "ref" / "run.json").read_text())
    assert (record["verb"], record["ending"], record["result"]["n_frames"]) == ("reference", "finished", 10)
    assert run(system, "-o", tmp_path / "ref", "--molecules", 27, *QUICK) == 2
    assert "--resume" in capsys.readouterr().err
    options = ("--configurations", 1, "--sampling", "2 ps", "--platform", "CPU", "--threads", 1)
    assert run(system, "-o", tmp_path / "mean", "--mean-force", tmp_path / "ref", *options) == 0
    assert "best R2" in capsys.readouterr().out


def test_options_of_the_other_mode_are_refused(tmp_path, capsys):
    assert run("benzene-1bead", "-o", tmp_path / "out", "--sampling", "3 ps") == 2
    assert "--sampling has no meaning without --mean-force" in capsys.readouterr().err
    assert run("benzene-1bead", "-o", tmp_path / "out", "--mean-force", "x", "--molecules", 3) == 2
    assert "--molecules has no meaning with --mean-force" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_missing_recording_is_named(tmp_path, capsys):
    assert run("benzene-1bead", "-o", tmp_path / "out", "--mean-force", tmp_path / "nothing") == 3
    assert "nothing" in capsys.readouterr().err


def test_quantity_without_unit_is_refused(tmp_path, capsys):
    assert run("benzene-1bead", "-o", tmp_path / "out", "--duration", "700") == 2
    assert "needs one" in capsys.readouterr().err
