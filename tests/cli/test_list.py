import json

import pytest

from openmm_cgml.cli import list as module
from openmm_cgml.cli.list import describe_shipped
from openmm_cgml.shipped import list_models, list_systems


def test_every_shipped_model_and_system_is_listed():
    entries = describe_shipped()
    assert [entry["name"] for entry in entries] == [*list_models(), *list_systems()]
    assert all(entry["description"] and entry["residues"] for entry in entries)


def test_a_model_is_listed_with_its_beads_and_the_state_of_its_training_data():
    (entry,) = [e for e in describe_shipped() if e["name"] == "benzene-3bead" and e["kind"] == "model"]
    assert entry["residues"] == {"BNZ": ["C2H2", "C2H2", "C2H2"]}
    assert entry["temperature"] == 300.0
    assert entry["density"] == pytest.approx(0.836, abs=0.001)
    assert entry["validated"]


def test_json_is_all_that_is_printed(capsys):
    module.list(as_json=True)
    assert json.loads(capsys.readouterr().out) == describe_shipped()


def test_the_text_names_beads_and_state(capsys):
    module.list(as_json=False)
    out = capsys.readouterr().out
    assert "BNZ: C2H2 C2H2 C2H2" in out
    assert "300 K, 0.836 g/cm^3, validated" in out
    assert "300 K, 1.01 bar" in out
