import re
from pathlib import Path

import pytest

from openmm_cgml.potentials import POTENTIALS

DOCS = Path(__file__).parents[2] / "docs"
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def _run_blocks(page):
    """What the Python blocks of a page leave behind, run one after the other."""
    text = (DOCS / page).read_text(encoding="utf8")
    blocks = list(_PYTHON.finditer(text))
    assert blocks
    namespace = {"__name__": "page"}
    for block in blocks:
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(DOCS / page), "exec"), namespace)
    return namespace


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("page", ["tutorial-benzene.md", "tutorial-polymer.md"])
def test_every_block_of_a_tutorial_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = _run_blocks(page)
    assert (tmp_path / "runs" / "report" / "report.html").is_file()
    assert namespace["run"].status == "complete"


def test_the_recipes_for_additions_work(tmp_path, monkeypatch, capsys):
    """Each block of the page runs; what it adds to the package's lists is taken back."""
    monkeypatch.chdir(tmp_path)
    before = list(POTENTIALS)
    try:
        namespace = _run_blocks("extending.md")
        assert POTENTIALS[len(before) :] == [namespace["MartiniAngle"]]
    finally:
        POTENTIALS[:] = before


@pytest.mark.parametrize("page", [*sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")), "../README.md"])
def test_links_between_pages_lead_somewhere(page):
    path = DOCS / page
    text = re.sub(r"`[^`\n]*`", "", path.read_text(encoding="utf8"))  # SMILES in code look like links
    broken = [target for target in _LINK.findall(text) if not (path.parent / target).exists()]
    assert not broken
