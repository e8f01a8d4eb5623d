import json
from pathlib import Path

import pytest

from tests.docs.test_tutorial import _run_blocks

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "choosing-a-mapping.md"
RESULT = ROOT / "benchmarks" / "results" / "mappings.json"


@pytest.mark.slow
def test_every_block_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = _run_blocks("choosing-a-mapping.md")
    assert [round(1 - each.structure.network_variance_kept, 2) for each in namespace["judgements"]][-1] == 0.36
    assert (tmp_path / "3-beads.png").is_file()
    assert namespace["whole"].n_beads == 64


def test_the_tables_of_the_page_are_those_that_were_measured():
    page, result = PAGE.read_text(encoding="utf8"), json.loads(RESULT.read_text())
    for system in ("benzene", "polyethylene"):
        assert result[system]["table"] in page
    for name, mode in result["electrolyte"]["modes"].items():
        assert f"| {name} | {mode['disconnected']} of {mode['of several atoms']} |" in page
    assert result["electrolyte"]["modes"]["group_by_metis"]["disconnected"] == 0
