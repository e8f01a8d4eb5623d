import json

import pytest

from benchmarks.speed_publish import ROOT, ROWS, format_summary, format_tables, replace_between
from benchmarks.speed_results import RESULTS, merge_results
from benchmarks.speed_tables import markdown, spread
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


def test_a_page_is_changed_between_its_markers_only():
    page = "before\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nafter"
    found = replace_between(page, "tables", "new \\1")
    assert found == "before\n<!-- tables: begin -->\nnew \\1\n<!-- tables: end -->\nafter"
    with pytest.raises(ValueError, match="<!-- summary: begin -->"):
        replace_between(page, "summary", "x")


def test_the_summary_has_the_rows_that_were_measured():
    row = {"median": 12.34, "min": 11.0, "max": 13.0, "peer": "SchNetPack"}
    lines = format_summary({"ef_4k": row}).splitlines()
    assert lines[2:] == ["| energy and forces, 4000 beads | 12.3 (11 to 13) | SchNetPack |"]
    assert spread(row) == "12.3 (11 to 13)"
    assert markdown(("a",), [(1,)]) == "| a |\n| --- |\n| 1 |"


def test_the_page_says_what_the_results_file_says():
    results, page = read_json(RESULTS / "speed-cpu.json"), (ROOT / "docs" / "speed.md").read_text()
    assert replace_between(page, "summary", format_summary(results)) == page
    assert replace_between(page, "tables", format_tables(results["tables"])) == page


def test_every_row_of_the_results_has_its_spread_and_peer():
    results = read_json(RESULTS / "speed-cpu.json")
    assert set(ROWS) <= set(results)
    for key in ROWS:
        row = results[key]
        assert 0 < row["min"] <= row["median"] <= row["max"]
        assert row["peer"]
