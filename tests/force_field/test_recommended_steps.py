"""Time steps that a force field recommends."""

from dataclasses import replace

import pytest

from openmm_cgml.builder.build import write_build
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.manifest import RecommendedSteps
from openmm_cgml.simulation import SimulationConfig
from tests.fixtures import benzene_box, tiny_force_field

STEPS = RecommendedSteps(time_step=0.012, temperature=300.4, stable="3 of 3 runs of 200 ps")


def recommending(steps):
    plain = tiny_force_field()
    return replace(plain, manifest=plain.manifest.model_copy(update={"recommended_steps": steps}))


def test_files_keep_them_and_older_files_have_none(tmp_path):
    path = recommending(STEPS).save(tmp_path / "new")
    assert ForceField.load(path).manifest.recommended_steps == STEPS
    assert "12 fs (3 of 3 runs of 200 ps, at a mean temperature of 300.4 K)" in (path / "README.md").read_text()
    old = tiny_force_field().save(tmp_path / "old")
    assert "recommended_steps" not in (old / "manifest.json").read_text()
    assert ForceField.load(old).manifest.recommended_steps is None
    assert ForceField.load(old).fingerprint == ForceField.load(path).fingerprint


def test_simulations_take_them_where_nothing_is_said():
    topology, _, _ = benzene_box()
    given = {"duration": 1.0, "temperature": 300.0}
    assert SimulationConfig.for_force_field(recommending(STEPS), topology, **given).time_step == 0.012
    often = recommending(RecommendedSteps(time_step=0.004, network_interval=3))
    config = SimulationConfig.for_force_field(often, topology, **given)
    assert (config.time_step, config.network_interval) == (0.004, 3)
    config = SimulationConfig.for_force_field(often, topology, time_step=0.002, **given)
    assert (config.time_step, config.network_interval) == (0.002, 1)
    config = SimulationConfig.for_force_field(often, topology, network_interval=2, **given)
    assert config.network_interval == 2 and config.time_step != 0.004, "an interval belongs to its own step"
    assert SimulationConfig.for_force_field(recommending(None), topology, **given).time_step <= 0.005


def test_boxes_are_built_with_them(tmp_path):
    path = recommending(STEPS).save(tmp_path / "model")
    assert write_build(path, tmp_path / "box", 64).time_step == 0.012
    often = recommending(RecommendedSteps(time_step=0.012, network_interval=3)).save(tmp_path / "often")
    assert write_build(often, tmp_path / "other", 64).time_step <= 0.005, "scripts evaluate all forces alike"


def test_a_step_of_nothing_is_refused():
    with pytest.raises(InputError, match="time_step"):
        RecommendedSteps(time_step=0.0)
