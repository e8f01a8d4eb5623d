from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.frames import Frames
from openmm_cgml.refinement.ensemble import halves
from openmm_cgml.selection import Workplace, judging, make_model
from openmm_cgml.selection.comparison import compare_g, density_of_frames, g_of_run, judged_g, structure_of_frames
from openmm_cgml.selection.judging import judge
from openmm_cgml.storage import read_json
from tests.fixtures import benzene_box
from tests.selection.toy import write_system

EDGE = 2.4


def crowd(n_frames, *, seed=0, edge=EDGE):
    """Frames of points placed at random."""
    topology, _, _ = benzene_box(1, 64)
    positions = np.random.default_rng(seed).uniform(0, edge, (n_frames, topology.n_beads, 3))
    return topology, Frames(positions=positions, box=np.tile(edge * np.eye(3), (n_frames, 1, 1)))


def test_several_boxes_are_averaged():
    topology, one = crowd(8)
    _, other = crowd(8, seed=1)
    g, first, second = (
        judged_g(structure_of_frames(boxes, topology), chains=False) for boxes in ([one, other], [one], [other])
    )
    np.testing.assert_allclose(g.g, (first.g + second.g) / 2)
    assert compare_g(g, g, chains=False) == 0
    assert compare_g(first, second, chains=False) > 0.01


def test_the_density_of_frames_is_their_mean():
    topology, frames = crowd(2)
    larger = replace(frames, box=np.stack([EDGE * np.eye(3), 2 * EDGE * np.eye(3)]))
    assert density_of_frames(larger, topology) == pytest.approx(density_of_frames(frames, topology) * (1 + 1 / 8) / 2)


@pytest.mark.slow
def test_every_force_field_is_judged_by_the_blocks_that_are_no_target(made):
    judged = judge(made)
    names = {"gr_judged", "gr_judged_pair_spline", "gr_judged_fit", "gr_judged_fit_lambda_0.1", "gr_judged_other"}
    assert names == {key for key in judged if key.startswith("gr_judged") and key[-3:] not in ("_is", "eed", "ror")}
    assert judged["n_boxes"] == 1
    assert judged["gr_judged"] == pytest.approx(np.mean(judged["gr_judged_by_seed"]))
    assert judged["gr_floor_window_ps"] == pytest.approx(0.2, rel=0.1), "half of the box, which is shorter than a run"
    dataset = made.open_dataset()
    run = g_of_run(made.simulations("refined", (1,))[0])
    to_half = [
        compare_g(
            run, judged_g(structure_of_frames([dataset.frames(half)], dataset.topology), chains=False), chains=False
        )
        for half in halves(dataset)
    ]
    assert judged["gr_judged_by_seed"][0] == pytest.approx(to_half[1])
    assert to_half[0] != pytest.approx(to_half[1], rel=1e-3), "the control: the target is another half"
    assert "density_1bar" not in judged


@pytest.mark.slow
@pytest.mark.physics
def test_the_floor_shrinks_with_the_length_of_the_runs(made, monkeypatch):
    floors = []
    for length in (0.02, 0.2):
        monkeypatch.setattr(judging, "_shortest", lambda paths, length=length: length)
        floors.append(judge(made)["gr_floor"])
    assert floors[0] > 1.5 * floors[1] > 0


@pytest.mark.slow
def test_data_take_the_place_of_the_atomistic_run(made, tmp_path):
    """And a refined variant, a model as it is, and constant pressure beside it."""
    nothing = dict.fromkeys(("mean_forces", "sizes", "energy_weights", "pair_spline"))
    system = write_system(
        tmp_path / "toy",
        **nothing,
        reference={"name": "toy", "pressure": "7 bar", "pressure_error": "2 bar"},
        data=[str(made.dataset)],
        mean_force_data=str(made.mean_forces),
        variants={
            "again": {"fit": "other.yaml", "refinement": "refine.yaml", "time_step": "4 fs"},
            "taken": {"model": str(made.fit_folder("fit"))},
        },
        constant_pressure={"duration": "0.6 ps", "discard": "0.3 ps"},
    )
    workplace = make_model(system, tmp_path / "runs")
    assert {path.name for path in workplace.folder.iterdir()} == {
        "again", "again-fit", "constant-pressure", "fit", "refined", "report", "simulations", "table.json",
    }  # fmt: skip
    table = read_json(workplace.table)
    assert (table["n_boxes"], table["density_1bar_runs"]) == (1, 2)
    assert (table["pressure_reference_bar"], table["pressure_reference_bar_error"]) == (7, 2)
    assert table["density_reference"] == pytest.approx(0.5, rel=1e-3)
    assert table["density_1bar"] != table["density_reference"]
    assert set(table["variants"]) == {"fit", "again", "taken"}
    assert table["variants"]["taken"]["model"].endswith("fit")
    assert table["mean_force_configurations"] == 2
    assert {"gr_judged_again", "gr_judged_taken"} <= set(table)
    assert workplace.variant_config("again", 1, temperature=300, duration=1).time_step == pytest.approx(0.004)


@pytest.mark.slow
def test_seeds_start_from_all_boxes(made, tmp_path):
    system = write_system(tmp_path / "toy", data=[str(made.dataset), str(made.dataset)])
    workplace = Workplace.open(system, tmp_path / "runs")
    starts = [workplace.starting_frame(seed).positions for seed in (1, 2, 3)]
    np.testing.assert_array_equal(starts[0], starts[1])
    assert np.abs(starts[2] - starts[0]).max() > 0
