from docs.speed_tables import spread
from docs.write_speed_page import RESULTS, ROOT, format_summary, format_tables
from openmm_cgml.selection.pages import replace_between
from openmm_cgml.storage import read_json


def test_the_summary_has_the_rows_that_were_measured():
    row = {"median": 12.34, "min": 11.0, "max": 13.0, "peer": "SchNetPack"}
    lines = format_summary({"ef_4k": row}).splitlines()
    assert lines[2:] == ["| energy and forces, 4000 beads | 12.3 (11 to 13) | SchNetPack |"]
    assert spread(row) == "12.3 (11 to 13)"


def test_the_page_says_what_the_results_file_says():
    results, page = read_json(RESULTS / "speed-cpu.json"), (ROOT / "docs" / "speed.md").read_text()
    assert replace_between(page, "summary", format_summary(results)) == page
    assert replace_between(page, "tables", format_tables(results["tables"])) == page
