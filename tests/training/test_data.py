import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.training.data import prepare_data


def test_frames_near_a_held_out_configuration_are_not_trained_on(make_config, make_dataset):
    whole = prepare_data(make_config())
    part, frame = whole.keys["train"][0]
    positions = whole.datasets[part].frames(np.array([frame])).positions
    box = whole.datasets[part].frames(np.array([frame])).box
    moved = positions + 0.01 + box[:, 0][:, None]  # a little, and into the next box
    error = np.full(positions.shape, 20.0)
    held = make_dataset("held", n_frames=1, kind="mean-force", positions=moved, force_error=error)
    data = prepare_data(make_config(data={"mean_force_test": held.path, "mean_force_separation": 0.05}))
    assert set(whole.keys["train"]) - set(data.keys["train"]) == {(part, frame)}
    careless = prepare_data(make_config(data={"mean_force_test": held.path, "mean_force_separation": 0.0}))
    assert careless.keys["train"] == whole.keys["train"]
    with pytest.raises(InputError, match="within 100 nm of a held-out"):
        prepare_data(make_config(data={"mean_force_test": held.path, "mean_force_separation": 100.0}))
