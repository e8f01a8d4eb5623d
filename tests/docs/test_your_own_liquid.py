"""The commands of the page, at toy size."""

import pytest

from openmm_cgml.storage import read_json
from tests.docs.pages import blocks, run
from tests.starting.test_force_field_xml import needs_ambertools

PAGE = "your-own-liquid.md"
SMALLER = {"500": "100", "CO=400": "CO=80", "O=100": "O=20", "200 ps": "3 ps"}
TOY = {
    "reference": "--density '0.72 g/cm^3' --stretch 0.01 --duration '1.6 ps' --frame-interval '8 fs' --platform CPU --threads 1",
    "refine": "--rounds 1 --duration '1 ps' --equilibration '0.2 ps' --first-equilibration '0.2 ps' --starts 1 --threads 1",
    "simulate": "--threads 1 --frame-interval '0.1 ps' --quiet",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.backend
@needs_ambertools
def test_methanol_gets_from_smiles_to_a_report(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    install, *lines = blocks(PAGE, "bash")[0].splitlines()
    assert install == 'pip install "openmm-cgml[molecules]"' and len(lines) + 1 <= 7
    for line in lines:
        run(line, SMALLER, TOY)
    assert (tmp_path / "methanol" / "runs" / "report" / "report.html").is_file()
    assert read_json(tmp_path / "methanol" / "runs" / "data" / "run.json")["verb"] == "map"
    readme = (tmp_path / "methanol" / "README.md").read_text()
    assert all(line.replace("500", "100") in readme for line in [install, *lines])


@pytest.mark.slow
@needs_ambertools
def test_other_commands_and_the_python_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for block in blocks(PAGE, "bash")[1:]:
        for line in block.splitlines():
            run(line, SMALLER, TOY)
    assert (tmp_path / "methanol-2bead" / "mapping.png").is_file()
    report = read_json(tmp_path / "blend" / "runs" / "reference" / "report.json")
    assert set(report["pair_rdfs"]) == {"M01-M01", "M01-HOH", "HOH-HOH"}
    for block in blocks(PAGE, "python"):
        exec(compile(block, "your-own-liquid.md", "exec"), {"__name__": "page"})
    assert (tmp_path / "methanol-gasteiger" / "README.md").is_file()
