import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.training.data import manifest_summary, prepare_data


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


def test_the_manifest_speaks_of_all_boxes(make_config, make_dataset):
    """Density is the mean over boxes of the first one's molecules, the closest approach that of any of them."""
    other = make_dataset("other", seed=1, box=np.tile(2.4 * np.eye(3), (12, 1, 1)))
    large = make_dataset("large", n_molecules=20, seed=2)
    first = make_config().data.datasets[0]
    alone = [
        manifest_summary(prepare_data(make_config(data={"datasets": path}))) for path in (first, other.path, large.path)
    ]
    found = manifest_summary(prepare_data(make_config(data={"datasets": (first, other.path, large.path)})))
    assert found["density"] == pytest.approx((alone[0]["density"] + alone[1]["density"]) / 2)
    assert alone[0]["density"] != pytest.approx(alone[1]["density"], rel=0.1)
    assert found["dataset"] == ", ".join(each["dataset"] for each in alone)
    for pair, distance in found["closest_approach"].items():
        assert distance == pytest.approx(min(each["closest_approach"][pair] for each in alone))
