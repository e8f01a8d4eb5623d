import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from fidelity_polymers import SYSTEMS, Plan, settings_of, shipped, variants

from openmm_cgml.reference import ReferenceConfig
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.specification import read_specification, with_protocol

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def plan(tmp_path, **changes):
    return Plan(
        **{"runs": tmp_path, "seeds": (1,), "duration": 10.0, "transfer_duration": 5.0, "threads": 1, **changes}
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_has_a_model_and_published_settings(system):
    assert "fit" in variants(system)
    assert len(variants(system)) > 1
    assert shipped(system) in ("fit", "refined")


@pytest.mark.parametrize("system", SYSTEMS)
def test_settings_of_the_atomistic_run_fit_its_system(system):
    specification = read_specification(system)
    if SYSTEMS[system].protocol is not None:
        specification = with_protocol(specification, ROOT / "systems" / system / SYSTEMS[system].protocol)
    assert make_plan(specification, ReferenceConfig(**SYSTEMS[system].run)).box.n_molecules == 10


def test_reference_can_lie_elsewhere(tmp_path):
    elsewhere = plan(tmp_path, references={"polyethylene": Path("/data/pe")})
    assert elsewhere.reference("polyethylene-1bead") == Path("/data/pe")
    assert elsewhere.reference("pim-1") == tmp_path / "references" / "pim-1"


def test_network_is_evaluated_as_often_as_the_system_says(tmp_path):
    config = settings_of("polyethylene-2bead", plan(tmp_path), 3, 20.0)
    assert (config.network_interval, config.seed, config.duration) == (2, 3, 20.0)
