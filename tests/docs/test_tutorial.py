import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("page", ["tutorial-benzene.md", "tutorial-polymer.md"])
def test_every_block_of_a_tutorial_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (DOCS / page).read_text(encoding="utf8")
    blocks = list(_PYTHON.finditer(text))
    assert blocks
    namespace = {}
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(DOCS / page), "exec"), namespace)
    assert (tmp_path / "runs" / "report" / "report.html").is_file()
    assert namespace["run"].status == "complete"


@pytest.mark.parametrize("page", [*sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")), "../README.md"])
def test_links_between_pages_lead_somewhere(page):
    path = DOCS / page
    broken = [
        target for target in _LINK.findall(path.read_text(encoding="utf8")) if not (path.parent / target).exists()
    ]
    assert not broken
