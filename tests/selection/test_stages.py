import os
import shutil
import signal

import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError, InputError, SimulationError
from openmm_cgml.selection import STAGES, Workplace, find_stages, make_model, stages
from openmm_cgml.selection.simulations import is_finished, read_outcome, run_once
from openmm_cgml.shards import FrameWriter
from openmm_cgml.storage import read_json
from tests.selection.toy import write_system

pytestmark = pytest.mark.slow
RESULTS_OF_STAGES = ("dataset", "mean-force", "fit", "refined", "simulations", "sizes", "long", "time-steps")


def files_of(workplace):
    paths = [path for name in RESULTS_OF_STAGES for path in (workplace.folder / name).rglob("*") if path.is_file()]
    return {path: path.stat().st_mtime_ns for path in paths if not path.name.startswith(".")}


def copy_of(workplace, folder, *, without=()):
    """A workplace with the same content, but for some folders."""
    shutil.copytree(workplace.runs, folder / "runs", ignore=shutil.ignore_patterns(*without))
    return Workplace.open(workplace.system, folder / "runs")


def test_a_recipe_makes_a_model_from_nothing(made):
    table = read_json(made.table)
    assert (table["seeds"], table["stable_seeds"]) == (2, 2)
    assert table["simulated_ps_per_seed"] == pytest.approx(0.6)
    assert table["refined"] is True
    assert table["refined_priors"] is False
    assert table["reference"]["density"]["value"] == pytest.approx(0.5, rel=1e-3)
    assert set(table["lambda_variants"]) == {"0", "0.1"}
    assert set(table["variants"]) == {"other", "pair-spline"}
    assert set(table["energy_per_bead"]) == {"64", "80"}
    assert table["mean_force_configurations"] == 2
    assert table["force_rmse"] > 0
    assert table["force_noise_floor"] > 0
    assert len(set(table["gr_com_rmse_by_seed"])) == 2
    assert table["gr_com_rmse"] == pytest.approx(np.mean(table["gr_com_rmse_by_seed"]))
    assert (made.report / "report.html").is_file()


def test_nothing_is_done_twice(made):
    before = files_of(made)
    make_model(made.system, made.runs)
    assert files_of(made) == before


def test_what_is_missing_is_made_again_and_nothing_else(made, tmp_path):
    copy = copy_of(made, tmp_path, without=("fit-lambda-0.1", "64"))
    kept = files_of(copy)
    make_model(copy.system, copy.runs, stages=["fit", "sizes"])
    assert copy.has_force_field("fit-lambda-0.1")
    assert is_finished(copy.size_folder(64))
    assert {path: files_of(copy)[path] for path in kept} == kept


def test_an_interrupted_simulation_goes_on(made, tmp_path, monkeypatch):
    copy = copy_of(made, tmp_path, without=("simulations",))
    append, frames = FrameWriter.append, []

    def interrupt(self, written):
        frames.append(written)
        if len(frames) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return append(self, written)

    monkeypatch.setattr(FrameWriter, "append", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_model(copy.system, copy.runs, stages=["simulate"])
    first = copy.simulations("refined", (1,))[0]
    assert not is_finished(first)
    monkeypatch.undo()
    make_model(copy.system, copy.runs, stages=["simulate"])
    assert read_outcome(first).n_frames == 24
    assert all(is_finished(path) for name in ("refined", "fit", "other") for path in copy.simulations(name, (1,)))


def test_an_interrupted_fit_goes_on(made, tmp_path, monkeypatch):
    copy = copy_of(made, tmp_path, without=("fit*", "other", "pair-spline", "refined", "simulations", "sizes"))
    fit, calls = stages.fit, []

    def interrupt(*args, **others):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args, **others)

    monkeypatch.setattr(stages, "fit", interrupt)
    with pytest.raises(KeyboardInterrupt):
        make_model(copy.system, copy.runs, stages=["fit"])
    assert [copy.has_force_field(plan.name) for plan in copy.recipe.fits] == [True, False, False, False]
    make_model(copy.system, copy.runs, stages=["fit"])
    assert [copy.has_force_field(plan.name) for plan in copy.recipe.fits] == [True, True, True, True]
    assert len(calls) == 5, "the first fit is not made again"


def test_stages_without_what_they_need_say_what_is_missing(tmp_path):
    system = write_system(tmp_path / "toy")
    with pytest.raises((ArtifactError, InputError), match=r"force_field|dataset"):
        make_model(system, tmp_path / "runs", stages=["refine"])


def test_a_recording_that_is_given_is_used_as_it_is(made, tmp_path):
    workplace = make_model(
        made.system, tmp_path / "runs", stages=["reference", "map"], recording=made.reference / "recording"
    )
    assert not (tmp_path / "runs" / "references").exists()
    assert workplace.open_dataset().fingerprint == made.open_dataset().fingerprint
    with pytest.raises(ArtifactError):
        make_model(made.system, tmp_path / "runs", stages=["reference"], recording=tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_what_a_recipe_does_not_ask_for_is_not_made(made, tmp_path):
    nothing = dict.fromkeys(("mean_forces", "refinement", "pair_spline", "sizes", "energy_weights", "variants"))
    system = write_system(tmp_path / "toy", **nothing)
    runs = made.runs / "references" / "toy"
    workplace = make_model(system, tmp_path / "runs", recording=runs)
    table = read_json(workplace.table)
    assert {path.name for path in workplace.folder.iterdir()} == {
        "dataset",
        "fit",
        "report",
        "simulations",
        "table.json",
    }
    assert workplace.recipe.shipped == "fit"
    assert not {"variants", "lambda_variants", "energy_per_bead_spread", "mean_force_r2"} & set(table)
    assert (table["refined"], table["refined_priors"]) == (False, False)


def test_a_failing_simulation_is_noted_and_does_not_stop_the_others(tmp_path, caplog):
    def fail():
        raise SimulationError("the beads overlap")

    run_once(tmp_path / "run", fail)
    assert "the beads overlap" in caplog.text
    with pytest.raises(ZeroDivisionError):
        run_once(tmp_path / "run", lambda: 1 / 0)


def test_stages_are_found_by_name_in_their_order():
    assert find_stages() == STAGES
    assert [stage.name for stage in find_stages(["table", "fit"])] == ["fit", "table"]
    with pytest.raises(InputError, match=r"'fits'; there are reference, map"):
        find_stages(["fits"])
