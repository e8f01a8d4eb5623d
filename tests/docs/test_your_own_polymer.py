"""The commands of the page, at toy size."""

import pytest

from openmm_cgml.storage import read_json
from tests.docs.pages import blocks, run
from tests.starting.test_force_field_xml import needs_ambertools

PAGE = "your-own-polymer.md"
SMALLER = {"500 ps": "3 ps", "10x20": "10x12"}
TOY = {
    "init": "--charges gasteiger",
    "reference": "--density '0.6 g/cm^3' --stretch 0.01 --duration '1.6 ps' --frame-interval '8 fs' --platform CPU --threads 1",
    "refine": "--rounds 1 --duration '1 ps' --equilibration '0.2 ps' --first-equilibration '0.2 ps' --starts 1 --threads 1",
    "simulate": "--threads 1 --frame-interval '0.1 ps' --quiet",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.backend
@needs_ambertools
def test_polypropylene_gets_from_its_repeat_unit_to_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    install, *lines = blocks(PAGE, "bash")[0].splitlines()
    assert install == 'pip install "openmm-cgml[molecules]"' and len(lines) + 1 <= 7
    for line in lines:
        run(line, SMALLER, TOY)
    assert (tmp_path / "polypropylene" / "runs" / "report" / "report.html").is_file()
    readme = (tmp_path / "polypropylene" / "README.md").read_text()
    assert all(line.replace("10x20", "10x12") in readme for line in lines[1:])
    assert read_json(tmp_path / "polypropylene" / "runs" / "data" / "run.json")["verb"] == "map"


@pytest.mark.slow
@needs_ambertools
def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks(PAGE, "python"):
        exec(compile(block, PAGE, "exec"), {"__name__": "page"})
    assert (tmp_path / "peo" / "chain.pdb").is_file()
