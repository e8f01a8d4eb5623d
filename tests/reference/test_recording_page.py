import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "recording.md"


@pytest.mark.slow
def test_the_page_on_recording_runs_as_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    frames, pressures = capsys.readouterr().out.splitlines()
    assert frames == "5 frames, ['bonded', 'inter', 'intra_nonbonded', 'kinetic']"
    assert re.fullmatch(r"\[ *-?\d[\d. -]*\] bar", pressures)
