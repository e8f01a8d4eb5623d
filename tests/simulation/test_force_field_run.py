from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation import SimulationConfig, resume, simulate
from openmm_cgml.storage import read_json
from tests.fixtures import benzene_box, tiny_force_field

CONFIG = SimulationConfig(
    temperature=300.0, duration="0.04 ps", time_step="4 fs", frame_interval="8 fs", platform="CPU", threads=1
)


def with_training(force_field, **changes):
    manifest = force_field.manifest
    training = manifest.training.model_copy(update=changes)
    return replace(force_field, manifest=manifest.model_copy(update={"training": training}))


def run(force_field, start, output, config=CONFIG, **options):
    topology, positions, box = start
    return simulate(force_field, topology, positions, box, output=output, config=config, progress=False, **options)


@pytest.fixture(scope="module")
def start():
    return benzene_box(3, 60)


def test_a_force_field_simulates_and_the_record_says_with_what(start, tmp_path):
    force_field = tiny_force_field(3)
    result = run(force_field, start, tmp_path / "run")
    assert (result.status, result.n_frames) == ("complete", 5)
    record = read_json(tmp_path / "run" / "simulation.json")
    assert record["force_field_fingerprint"] == force_field.fingerprint
    assert record["ml_backend"] in ("TorchForce", "PythonForce")
    assert record["ml_backend_reason"]
    assert "compared with the network" in record["ml_evaluation"]
    assert 0 < record["table_force_error_over_rms"] < 1e-3
    frames = FrameStore.open(tmp_path / "run" / "trajectory").read()
    assert frames.positions.shape == (5, 180, 3)
    bonds = start[0].bonds
    lengths = np.linalg.norm(frames.positions[:, bonds[:, 0]] - frames.positions[:, bonds[:, 1]], axis=-1)
    assert lengths.max() < 0.5


def test_priors_alone_simulate_and_an_openmm_topology_is_understood(start, tmp_path):
    topology, positions, box = start
    result = run(tiny_force_field(3, network=False), (topology.to_openmm(box), positions, box), tmp_path / "run")
    assert result.status == "complete"
    assert "ml_backend" not in read_json(tmp_path / "run" / "simulation.json")


def test_another_force_field_of_the_same_form_is_refused_when_resuming(start, tmp_path):
    run(tiny_force_field(3, seed=0), start, tmp_path / "run")
    longer = CONFIG.model_copy(update={"duration": 0.08})
    with pytest.raises(InputError, match=r"force field have changed"):
        run(tiny_force_field(3, seed=1), start, tmp_path / "run", longer, resume=True)
    assert run(tiny_force_field(3, seed=0), start, tmp_path / "run", longer, resume=True).n_frames == 10


def test_a_run_is_resumed_by_its_folder_alone_and_the_force_field(start, tmp_path):
    force_field = tiny_force_field(3, network=False)
    run(force_field, start, tmp_path / "run")
    result = resume(tmp_path / "run", force_field, duration="0.08 ps", progress=False)
    assert (result.n_frames, result.status) == (10, "complete")
    with pytest.raises(ArtifactError, match=r"not the folder of a simulation"):
        resume(tmp_path / "nothing", force_field)


def test_settings_not_given_are_those_of_the_model(start):
    force_field = tiny_force_field(3, network=False)
    config = SimulationConfig.for_force_field(force_field, start[0], duration="1 ps")
    assert config.temperature == force_field.training_summary.temperature
    assert 0 < config.time_step <= force_field.suggest_time_step(start[0]).time_step
    assert SimulationConfig.for_force_field(force_field, start[0], duration="1 ps", time_step="1 fs").time_step == 0.001


def test_conditions_far_from_training_are_noted(start, tmp_path):
    near = run(tiny_force_field(3, network=False), start, tmp_path / "near")
    assert near.notes == ()
    topology, positions, box = start
    far = CONFIG.model_copy(update={"temperature": 400.0})
    result = run(tiny_force_field(3, network=False), (topology, positions, 1.1 * box), tmp_path / "far", far)
    assert any("400 K is far from the 300 K" in note for note in result.notes)
    assert any("g/cm^3 is far from the 0.840 g/cm^3" in note for note in result.notes)


def test_a_time_step_too_long_for_the_priors_is_refused_with_a_better_one(start, tmp_path):
    with pytest.raises(InputError, match=r"too long for the stiffest term .* use at most [\d.]+ fs"):
        run(tiny_force_field(3), start, tmp_path / "run", CONFIG.model_copy(update={"time_step": 0.05}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("key", "refused"), [("C2H2-C2H2", True), ("other-C2H2", False)])
def test_a_start_closer_than_anything_in_the_training_data_is_refused(start, tmp_path, key, refused):
    force_field = with_training(tiny_force_field(3, network=False), closest_approach={key: 0.9})
    if refused:
        with pytest.raises(InputError, match=r"of the closest approach in the training data"):
            run(force_field, start, tmp_path / "run")
    else:
        assert run(force_field, start, tmp_path / "run").closest_contact is None
