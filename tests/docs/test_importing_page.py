import re
from pathlib import Path

import pytest

from openmm_cgml.shards import FrameStore

PAGE = Path(__file__).parents[2] / "docs" / "importing.md"


@pytest.mark.slow
def test_the_page_on_importing_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    table = capsys.readouterr().out
    assert "forces between molecules" in table
    assert "impossible" not in table
    frames = FrameStore.open("runs/water").read()
    assert len(frames) == 12
    assert frames.forces_inter is not None
