import json

from benchmarks.speed_results import RESULTS, merge_results
from docs.write_speed_page import ROWS
from openmm_cgml.storage import read_json


def test_rows_of_others_stay(tmp_path):
    path = tmp_path / "results" / "speed.json"
    merge_results(path, {"train": {"median": 9.0}, "header": {"a": 1}, "tables": {"ef": {"x": 1}}})
    merge_results(path, {"ef_benz500": {"median": 3.0}, "header": {"b": 2}, "tables": {"md": {"y": 1}}})
    assert json.loads(path.read_text()) == {
        "train": {"median": 9.0},
        "ef_benz500": {"median": 3.0},
        "header": {"a": 1, "b": 2},
        "tables": {"ef": {"x": 1}, "md": {"y": 1}},
    }


def test_a_row_measured_again_is_replaced(tmp_path):
    path = tmp_path / "speed.json"
    merge_results(path, {"ef_4k": {"median": 1.0, "peer": "x"}})
    merge_results(path, {"ef_4k": {"median": 2.0}})
    assert json.loads(path.read_text()) == {"ef_4k": {"median": 2.0}}


def test_every_row_of_the_results_has_its_spread_and_peer():
    results = read_json(RESULTS / "speed-cpu.json")
    assert set(ROWS) <= set(results)
    for key in ROWS:
        row = results[key]
        assert 0 < row["min"] <= row["median"] <= row["max"]
        assert row["peer"]
