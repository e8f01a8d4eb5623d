import csv
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
import torch

from openmm_cgml.errors import InputError, OutputExistsError, TrainingError
from openmm_cgml.force_field import ForceField
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.training import fit
from openmm_cgml.training.data import prepare_data
from openmm_cgml.training.metrics import predict
from openmm_cgml.training.module import ForceMatching


class _KilledError(Exception):
    """Stands for the end of a process."""


def _weights(path):
    return (path / "force_field" / "weights.safetensors").read_bytes()


def _kill_at(monkeypatch, step):
    original = ForceMatching.training_step

    def training_step(self, batch, index):
        if self.global_step == step:
            raise _KilledError
        return original(self, batch, index)

    monkeypatch.setattr(ForceMatching, "training_step", training_step)


def test_fit_writes_a_force_field_that_loads_and_everything_beside_it(make_config, tmp_path):
    config = make_config(energy_weight=0.1)
    result = fit(config, tmp_path / "out", progress=False)
    loaded = ForceField.load(result.path)
    assert loaded.fingerprint == result.force_field.fingerprint
    assert loaded.manifest.training.temperature == 300.0
    assert loaded.manifest.training.n_molecules == 16
    assert set(loaded.manifest.training.closest_approach) == {"A-A", "A-B", "B-B"}
    assert set(loaded.manifest.energy_offsets) == {"A", "B"}
    assert loaded.manifest.training.density == pytest.approx(16 * 70 * 1.66054e-3 / 8, rel=1e-3)
    assert {"force_field", "metrics.json", "metrics.csv", "loss.png", "fit.json", "tensorboard", "checkpoints"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
    assert (tmp_path / "out" / "priors.png").read_bytes().startswith(b"\x89PNG")
    report = read_json(tmp_path / "out" / "priors-report.json")
    assert [term["parameters"] for term in report["terms"]] == [dict(t.parameters) for t in loaded.priors.terms]
    metrics = read_json(tmp_path / "out" / "metrics.json")
    assert set(metrics["test"]["by_type"]) == {"A", "B"}
    assert metrics["test"]["energy_rmse_per_bead"] > 0
    with open(tmp_path / "out" / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())
    assert str(tmp_path) not in (result.path / "manifest.json").read_text()


def test_reported_errors_are_those_of_the_saved_force_field(make_config, tmp_path):
    result = fit(make_config(), tmp_path / "out", progress=False)
    data = prepare_data(make_config())
    keys = data.keys["test"]
    topology, frames = data.datasets[0].topology, data.datasets[0].frames([frame for _, frame in keys])
    deployed = result.force_field.deploy(topology)
    prior = result.force_field.priors.forces(topology, frames)
    errors = [
        deployed(torch.tensor(x, dtype=torch.float64), torch.tensor(b))[1].numpy() + p - f
        for x, b, p, f in zip(frames.positions, frames.box, prior, frames.forces, strict=True)
    ]
    rmse = np.sqrt(np.mean(np.square(errors)))
    assert result.metrics["test"]["force_rmse"] == pytest.approx(rmse, rel=1e-4)


def test_a_hole_below_the_data_is_reported_and_a_wall_is_not(make_config, tmp_path, monkeypatch):
    config, repulsion = make_config(epochs=1), make_config().priors.repulsion
    monkeypatch.setattr("openmm_cgml.training.fitting._scale_output", lambda *_: {})  # which may leave nothing
    for sigma, has_hole in ((0.02, True), (0.45, False)):
        priors = config.priors.model_copy(update={"repulsion": repulsion.model_copy(update={"sigma": sigma})})
        result = fit(config.model_copy(update={"priors": priors}), tmp_path / str(sigma), progress=False)
        assert bool(result.metrics["holes_below_data"]) == has_hole


def test_training_lowers_the_training_loss(make_config, tmp_path):
    config = make_config(epochs=8, learning_rate=1e-2, network={"n_features": 16, "n_filters": 16})
    history = fit(config, tmp_path / "out", progress=False).history
    assert history[-1]["train_objective"] < history[0]["train_objective"]


@pytest.mark.parametrize("step", [1, 4])
def test_resuming_is_bit_identical_within_an_epoch_and_between_epochs(make_config, tmp_path, monkeypatch, step):
    config = make_config(checkpoint_interval=1)
    whole = fit(config, tmp_path / "whole", progress=False)
    _check_resume(config, tmp_path / "killed", monkeypatch, [step], whole)


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["plateau", "one_cycle"])
def test_resuming_is_bit_identical_at_every_step_also_repeatedly(make_config, tmp_path, monkeypatch, schedule):
    settings = {"epochs": 3, "schedule": schedule, "plateau_patience": 1, "energy_weight": 0.1}
    config = make_config(checkpoint_interval=1, **settings)
    whole = fit(config, tmp_path / "whole", progress=False)
    for steps in ([2], [3], [4], [6], [8], [1, 3, 7]):
        _check_resume(config, tmp_path / "-".join(map(str, steps)), monkeypatch, steps, whole)
    coarse = make_config(checkpoint_interval=None, **settings)
    _check_resume(coarse, tmp_path / "coarse", monkeypatch, [5], whole)


def _check_resume(config, folder, monkeypatch, steps, whole):
    for number, step in enumerate(steps):
        with monkeypatch.context() as context:
            _kill_at(context, step)
            with pytest.raises(_KilledError):
                fit(config, folder, resume=number > 0, progress=False)
    torch.rand(7)  # other random numbers in between must not matter
    resumed = fit(config, folder, resume=True, progress=False)
    assert _weights(folder) == _weights(whole.path.parent)
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics


def test_resuming_a_finished_fit_changes_nothing(make_config, tmp_path):
    config = make_config()
    first = fit(config, tmp_path / "out", progress=False)
    before = _weights(tmp_path / "out")
    second = fit(config, tmp_path / "out", resume=True, progress=False)
    assert _weights(tmp_path / "out") == before
    assert second.history == first.history


def test_another_seed_gives_another_network(make_config, tmp_path):
    """The control of the bit-identity tests."""
    for seed in (0, 1):
        fit(make_config(seed=seed), tmp_path / str(seed), progress=False)
    assert _weights(tmp_path / "0") != _weights(tmp_path / "1")


def test_resuming_with_other_settings_or_data_is_refused_with_a_table(make_config, make_dataset, tmp_path):
    fit(make_config(), tmp_path / "out", progress=False)
    before = _weights(tmp_path / "out")
    with pytest.raises(InputError, match=r"training.learning_rate +0.003 +0.001"):
        fit(make_config(learning_rate=1e-3), tmp_path / "out", resume=True, progress=False)
    with pytest.raises(InputError, match=r"network\.n_features"):
        fit(make_config(network={"n_features": 7}), tmp_path / "out", resume=True, progress=False)
    other = make_dataset("other", seed=9)
    with pytest.raises(InputError, match="dataset 1"):
        fit(make_config(data={"datasets": other.path}), tmp_path / "out", resume=True, progress=False)
    assert _weights(tmp_path / "out") == before


def test_existing_output_is_refused_and_overwritten_on_demand(make_config, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="not empty"):
        fit(make_config(), tmp_path / "out", progress=False)
    with pytest.raises(OutputExistsError, match="was not written by 'fit'"):
        fit(make_config(), tmp_path / "out", overwrite=True, progress=False)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    fit(make_config(), tmp_path / "fit", progress=False)
    (tmp_path / "fit" / "metrics.csv").write_text("old")
    fit(make_config(), tmp_path / "fit", overwrite=True, progress=False)
    assert (tmp_path / "fit" / "metrics.csv").read_text() != "old"


def test_overwriting_never_deletes_the_data(make_config, tmp_path):
    config = make_config()
    data = config.data.datasets[0]
    with pytest.raises(InputError, match="must not be deleted"):
        fit(config, data, overwrite=True, progress=False)
    assert (data / "manifest.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_value_that_is_not_finite_stops_within_one_step_and_names_the_frames(
    make_config, tmp_path, monkeypatch, what
):
    original = ForceMatching.losses

    def losses(self, network, batch, *, create_graph):
        result = original(self, network, batch, create_graph=create_graph)
        if create_graph and self.global_step == 3:
            factor = math.nan if what == "loss" else (result.objective / result.objective.detach() - 1).sqrt()
            return type(result)(result.objective + factor, result.forces, result.energies)
        return result

    config = make_config(checkpoint_interval=1)
    with monkeypatch.context() as context:
        context.setattr(ForceMatching, "losses", losses)
        with pytest.raises(
            TrainingError, match=rf"{what} is not finite at step 3 \(epoch \d\), frames \d+ of dataset 1"
        ):
            fit(config, tmp_path / "out", progress=False)
    assert not (tmp_path / "out" / "force_field").exists()
    fit(config, tmp_path / "whole", progress=False)
    fit(config, tmp_path / "out", resume=True, progress=False)  # the last good checkpoint is whole
    assert _weights(tmp_path / "out") == _weights(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_signals_write_a_checkpoint_and_leave(make_config, tmp_path, monkeypatch, number, raised):
    config = make_config()
    original = ForceMatching.training_step

    def training_step(self, batch, index):
        if self.global_step == 1:
            os.kill(os.getpid(), number)
        return original(self, batch, index)

    with monkeypatch.context() as context:
        context.setattr(ForceMatching, "training_step", training_step)
        with pytest.raises(raised):
            fit(config, tmp_path / "out", progress=False)
    assert [path.name for path in (tmp_path / "out" / "checkpoints").glob("*.json")] == ["step-000000002.json"]
    fit(config, tmp_path / "whole", progress=False)
    fit(config, tmp_path / "out", resume=True, progress=False)
    assert _weights(tmp_path / "out") == _weights(tmp_path / "whole")


def test_early_stopping_ends_after_its_patience_and_exports_the_best(make_config, tmp_path, monkeypatch):
    original = ForceMatching.on_validation_epoch_end

    def worsen(self):
        original(self)
        self.validation["objective"] = abs(self.current_epoch - 1) + 1.0

    monkeypatch.setattr(ForceMatching, "on_validation_epoch_end", worsen)
    result = fit(make_config(epochs=9, early_stopping=2), tmp_path / "out", progress=False)
    assert (len(result.history), result.best_epoch) == (4, 2)
    again = fit(make_config(epochs=9, early_stopping=2), tmp_path / "out", resume=True, progress=False)
    assert len(again.history) == 4


def test_mean_force_data_are_trained_on_and_tested_against(make_config, make_dataset, tmp_path):
    errors = np.full((4, 32, 3), 20.0)
    train = make_dataset("mf-train", n_frames=4, seed=5, kind="mean-force", force_error=errors, energies={})
    held_out = make_dataset("mf-test", n_frames=4, seed=6, kind="mean-force", force_error=errors, energies={})
    data = {"mean_force_training": train.path, "mean_force_test": held_out.path, "mean_force_weight": 3.0}
    prepared = prepare_data(make_config(data=data, energy_weight=0.1))
    assert len([key for key in prepared.keys["train"] if key[0] == 1]) == 4
    assert prepared.store.batch([(1, 0)]).weights.item() == 3.0
    result = fit(make_config(data=data, energy_weight=0.1), tmp_path / "out", progress=False)
    figures = result.metrics["mean_force"]
    assert figures["label_noise"] == pytest.approx(20.0)
    assert figures["rmse_corrected"] == pytest.approx(math.sqrt(figures["rmse"] ** 2 - 400))
    assert result.metrics["noise_floor"]["force_rmse"] >= 0


def test_split_fits_are_compared_with_the_intermolecular_mean_force_and_its_recorded_noise(
    make_config, make_dataset, tmp_path
):
    held_out = make_dataset("mf", n_frames=2, seed=6, kind="mean-force", force_error=np.full((2, 32, 3), 20.0))
    floor = {"noise": 190.0, "mean_force_error": 20.0}, {"noise": 48.0, "mean_force_error": 5.0}
    recorded = {name: {"pooled": figures} for name, figures in zip(("forces", "forces_inter"), floor, strict=True)}
    write_json(held_out.path / "noise_floor.json", recorded)
    config = make_config(data={"mean_force_test": held_out.path}, target="split")
    metrics = fit(config, tmp_path / "out", progress=False).metrics
    inter = metrics["mean_force"]["inter"]
    labels = np.square(held_out.frames().forces_inter).mean()
    assert inter["label_noise"] == pytest.approx(5.0)
    assert inter["r2"] == pytest.approx(1 - inter["rmse"] ** 2 / labels, abs=1e-5)
    assert inter["r2_corrected"] == pytest.approx(1 - (inter["rmse"] ** 2 - 25) / (labels - 25), abs=1e-5)
    assert metrics["noise_floor"]["force_rmse"] == 190.0
    assert metrics["noise_floor"]["inter_force_rmse"] == 48.0


def test_held_out_mean_forces_must_not_be_trained_on(make_config, make_dataset):
    errors = np.full((2, 32, 3), 20.0)
    one = make_dataset("one", n_frames=2, kind="mean-force", force_error=errors)
    two = make_dataset("two", n_frames=2, kind="mean-force", force_error=errors)  # the same frames in another folder
    with pytest.raises(InputError, match="hold the same frames"):
        prepare_data(make_config(data={"mean_force_training": one.path, "mean_force_test": two.path}))
    with pytest.raises(InputError, match="hold it out"):
        make_config(data={"mean_force_training": one.path, "mean_force_test": one.path})


def test_datasets_in_the_wrong_place_are_refused(make_config, make_dataset):
    plain = make_dataset("plain", seed=3)
    mean = make_dataset("mean", n_frames=2, seed=4, kind="mean-force", force_error=np.full((2, 32, 3), 1.0))
    with pytest.raises(InputError, match="takes mean forces"):
        prepare_data(make_config(data={"mean_force_test": plain.path}))
    with pytest.raises(InputError, match="holds mean forces"):
        prepare_data(make_config(data={"datasets": mean.path}))


def test_systems_of_different_size_are_trained_on_together(make_config, make_dataset, tmp_path):
    large = make_dataset("large", n_molecules=20, seed=2)
    config = make_config()
    both = (*config.data.datasets, large.path)
    data = prepare_data(make_config(data={"datasets": both}))
    batch = data.store.batch([(0, 1), (1, 2)])
    assert batch.frame_of_bead.bincount().tolist() == [32, 40]
    result = fit(make_config(data={"datasets": both}, energy_weight=0.1), tmp_path / "out", progress=False)
    assert result.metrics["train"]["n_frames"] == len(data.keys["train"])


def test_fewer_training_frames_leave_validation_and_test_alone(make_config):
    all_keys = prepare_data(make_config()).keys
    few = prepare_data(make_config(data={"max_training_frames": 3})).keys
    assert len(few["train"]) == 3
    assert set(few["train"]) < set(all_keys["train"])
    assert few["test"] == all_keys["test"]
    assert not set(all_keys["train"]) & set(all_keys["test"])


def test_predictions_hold_priors_and_network(make_config):
    data = prepare_data(make_config(target="split"))
    config = make_config()
    from openmm_cgml.networks import build_network

    network = build_network("schnet", config.network.model_dump(), 2)
    found = predict(network, data.store, data.keys["train"], n_knots=40, batch_size=2)
    frames = data.datasets[0].frames([frame for _, frame in data.keys["train"]])
    np.testing.assert_allclose(found.reference, frames.forces.reshape(-1, 3), atol=0.05)
    assert found.inter_residual is not None


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_nothing(make_config, tmp_path):
    config = make_config(epochs=25, checkpoint_interval=1)
    (tmp_path / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    script = textwrap.dedent(
        """
        import json, sys
        from openmm_cgml.training import FitConfig, fit
        config = FitConfig(**json.load(open(sys.argv[1])))
        print("ready", flush=True)
        fit(config, sys.argv[2], resume=True, progress=False)
        """
    )
    fit(config, tmp_path / "whole", progress=False)
    command = [sys.executable, "-c", script, tmp_path / "config.json", tmp_path / "killed"]
    rng, kills = np.random.default_rng(0), 0
    for _ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"})
        process.stdout.readline()
        time.sleep(rng.uniform(0.2, 1.2))
        kills += process.poll() is None
        process.kill()
        process.communicate()
    fit(config, tmp_path / "killed", resume=True, progress=False)
    assert kills >= 2
    assert _weights(tmp_path / "killed") == _weights(tmp_path / "whole")


def test_priors_alone_need_no_training(make_config, tmp_path):
    config = make_config().model_copy(update={"network": None})
    result = fit(config, tmp_path / "out", progress=False)
    loaded = ForceField.load(result.path)
    assert loaded.network is None and loaded.fingerprint == result.force_field.fingerprint
    assert result.best_epoch is None and result.history == ()
    assert not (tmp_path / "out" / "metrics.csv").exists()
    # Its errors are those of the priors, beside those of the network that was trained on what they leave.
    data = prepare_data(config)
    keys = data.keys["test"]
    parts = [data.store.parts[part] for part, _ in keys]
    rest = np.concatenate([part.forces[frame] for part, (_, frame) in zip(parts, keys, strict=True)])
    assert result.metrics["test"]["force_rmse"] == pytest.approx(np.sqrt(np.mean(rest.astype(float) ** 2)), rel=1e-6)
    between = np.concatenate([part.forces_inter[frame] for part, (_, frame) in zip(parts, keys, strict=True)])
    assert result.metrics["test"]["inter_force_rmse"] == pytest.approx(
        np.sqrt(np.mean(between.astype(float) ** 2)), rel=1e-6
    )
    assert result.metrics["test"]["inter_r2"] < 1
    assert fit(config, tmp_path / "out", resume=True, progress=False).force_field.fingerprint == loaded.fingerprint
