import pytest
import typer
from typer.testing import CliRunner

from openmm_cgml.selection import STAGES, STUDIES
from openmm_cgml.selection.__main__ import main
from openmm_cgml.storage import read_json
from tests.selection.toy import write_system

APP = typer.Typer()
APP.command()(main)


def invoke(*arguments):
    return CliRunner().invoke(APP, [str(argument) for argument in arguments], env={"COLUMNS": "500"})


def test_help_names_every_stage():
    text = invoke("--help").output
    assert all(stage.name in text for stage in (*STAGES, *STUDIES))


def test_what_is_wrong_is_said_before_anything_is_written(tmp_path):
    system = write_system(tmp_path / "toy")
    wrong = invoke(system, "--runs", tmp_path / "runs", "--stage", "fits")
    assert wrong.exit_code == 2
    assert "no stage 'fits'" in wrong.output
    nowhere = invoke("benzene-4bead", "--runs", tmp_path / "runs")
    assert nowhere.exit_code == 2
    assert "benzene-3bead" in nowhere.output
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_a_finished_recipe_is_published_with_its_page(made, tmp_path):
    root = tmp_path / "checkout"
    for folder in ("models", "systems/toy", "docs", "benchmarks"):
        (root / folder).mkdir(parents=True)
    (root / "docs" / "page.md").write_text("<!-- models toy: begin -->\n<!-- models toy: end -->\n")
    done = invoke(made.system, "--runs", made.runs, "--stage", "table", "--publish", root)
    assert done.exit_code == 0, done.output
    assert (root / "models" / "toy" / "manifest.json").is_file()
    assert "| of them stable to the end | 2 |" in (root / "docs" / "page.md").read_text()
    assert set(read_json(root / "benchmarks" / "results" / "fidelity.json")) == {"toy"}


@pytest.mark.slow
def test_results_lie_with_the_runs_unless_published(made):
    done = invoke(made.system, "--runs", made.runs, "--stage", "table")
    assert done.exit_code == 0
    assert set(read_json(made.runs / "results" / "fidelity.json")) == {"toy"}
