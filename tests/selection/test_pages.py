from pathlib import Path

import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.selection.pages import (
    fill_page,
    format_candidates,
    format_markdown,
    format_models,
    replace_between,
    write_pages,
)
from openmm_cgml.storage import read_json

ROOT = Path(__file__).parents[2]
MOLECULES = {
    "seeds": 3,
    "gr_com_rmse": 0.0132,
    "gr_com_rmse_error": 0.0004,
    "energy_per_bead": {"1000": 2.0, "200": 1.0},
}


@pytest.mark.parametrize("page", ["benzene-models.md", "polymer-models.md"])
def test_a_page_says_what_the_results_file_says(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf8")
    results = read_json(ROOT / "benchmarks" / "results" / "fidelity.json")
    assert fill_page(text, results, name=page) == text
    results["benzene-1bead"]["gr_com_rmse"] = results["pim-1"]["gr_inter_rmse"] = 0.5
    assert fill_page(text, results, name=page) != text, "the control has other results"


def test_models_stand_side_by_side_with_errors_and_without_empty_rows():
    lines = format_models({"a": MOLECULES, "b": {"seeds": 2}}).splitlines()
    assert lines == [
        "|  | a | b |",
        "| --- | --- | --- |",
        "| simulations | 3 | 2 |",
        "| g(r) of centers of mass, RMSE | 0.01320 ± 0.00040 |  |",
        "| energy per bead by number of molecules [kJ/mol] | 200: 1, 1000: 2 |  |",
    ]


def test_chains_have_rows_of_their_own():
    spline = {"variants": {"pair-spline": {"gr_inter_rmse": 0.02}}}
    text = format_models({"a": {"rg_ratio": 1.0, "gr_inter_rmse": 0.1, **spline}})
    assert "| g(r) between chains, all beads, RMSE | 0.1 |\n| the same for the pair spline | 0.02 |" in text


def test_candidates_stand_below_one_another_with_the_floor():
    variants = {"pair-spline": {"pressure_bar": 4000.0}}
    table = {
        "gr_judged": 0.01,
        "gr_judged_pair_spline": 0.05,
        "gr_floor": 0.008,
        "gr_halves": 0.011,
        "gr_floor_window_ps": 100.0,
    }
    lines = format_candidates({"a": {**table, "pressure_bar": 3.0, "variants": variants}}).splitlines()
    assert lines == [
        "|  | g(r), RMSE | pressure [bar] |",
        "| --- | --- | --- |",
        "| **a** | 0.01 | 3 |",
        "| pair-spline | 0.05 | 4000 |",
        "| windows of the reference, 100 ps | 0.008 |  |",
        "| the two halves of the reference | 0.011 |  |",
    ]
    longer = {"pressure_bar": 9.0, "shorter_runs": {"pressure_bar": 3.0}}
    assert format_candidates({"a": {**table, **longer, "variants": variants}}).splitlines() == lines, (
        "equally long runs"
    )
    text = "<!-- candidates a: begin --><!-- candidates a: end -->"
    assert "pair-spline" in fill_page(text, {"a": {**table, "variants": variants}}, name="page")


def test_a_page_is_changed_between_its_markers_only(tmp_path):
    page = "before\n<!-- tables: begin -->\nold\n<!-- tables: end -->\nafter"
    found = replace_between(page, "tables", "new \\1")
    assert found == "before\n<!-- tables: begin -->\nnew \\1\n<!-- tables: end -->\nafter"
    with pytest.raises(InputError, match="<!-- summary: begin -->"):
        replace_between(page, "summary", "x")
    (tmp_path / "plain.md").write_text("nothing here")
    (tmp_path / "models.md").write_text("<!-- models a: begin -->\n<!-- models a: end -->\n")
    assert write_pages(tmp_path, {"a": MOLECULES}) == [tmp_path / "models.md"]
    assert write_pages(tmp_path, {"a": MOLECULES}) == []


def test_a_page_with_an_unknown_model_is_refused():
    with pytest.raises(InputError, match="no results of 'b'"):
        fill_page("<!-- models a b: begin --><!-- models a b: end -->", {"a": MOLECULES}, name="page")


def test_markdown_tables_have_a_head():
    assert format_markdown(("a",), [(1,)]) == "| a |\n| --- |\n| 1 |"
