"""References of several boxes."""

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.refinement import PairRefinementConfig, refine
from openmm_cgml.refinement.ensemble import Ensemble, halves
from openmm_cgml.refinement.pair_statistics import PairStatistics
from tests.fixtures import BENZENE_1, benzene_box, tiny_force_field

SHORT = {"rounds": 1, "starts": 2, "duration": 0.4, "equilibration": 0.1, "first_equilibration": 0.0}
SHORT |= {"frame_interval": 0.1, "threads": 1, "time_step": 0.002}
N_FRAMES = 40


def write_box(path, *, molecules=100, density=0.84, temperature=300.0, seed=0):
    """Frames about one arrangement of molecules, all in one box."""
    topology, positions, box = benzene_box(1, molecules, density=density)
    noise = np.random.default_rng(seed).normal(scale=0.01, size=(N_FRAMES, *positions.shape))
    frames = Frames(
        positions=positions + noise, forces=np.ones_like(noise), box=np.tile(box, (N_FRAMES, 1, 1)),
    )  # fmt: skip
    return ForceMatchingDataset.create(
        path, [frames], topology=topology, temperature=temperature, mapping_fingerprint="test",
        source={"made": "for a test"}, templates=[BENZENE_1],
    )  # fmt: skip


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("boxes")
    return [write_box(folder / str(n), density=density, seed=n) for n, density in enumerate((0.84, 0.80))]


@pytest.fixture(scope="module")
def force_field():
    return tiny_force_field(1, network=False)


def test_every_box_counts_alike_and_keeps_its_own_volume(boxes, force_field):
    ensemble = Ensemble(force_field, boxes, PairRefinementConfig(**SHORT, reference_frames=16))
    own = [box.frames(slice(0, 1)).box[0] for box in boxes]
    assert own[0][0, 0] != own[1][0, 0], "the control: the boxes differ"
    np.testing.assert_allclose(ensemble.boxes, own)
    for half in (ensemble.reference, ensemble.judge):
        widths = half.box[:, 0, 0]
        assert [(widths == box[0, 0]).sum() for box in ensemble.boxes] == [8, 8]
    assert ensemble.smallest_width == own[0][0, 0]
    assert ensemble.volume == pytest.approx(np.mean([np.linalg.det(box) for box in own]))
    frames = ensemble.simulate(force_field, 0)
    np.testing.assert_allclose(frames.box, np.repeat(own, 4, axis=0))
    for start, end in ((0, 4), (4, 8)):
        moved = frames.positions[start:end] - boxes[start // 4].frames(slice(0, 1)).positions
        assert np.abs(moved).max() < 0.3, "each simulation began in its own box"


def test_the_g_of_several_boxes_is_that_of_their_pairs_beside_their_ideal_ones(boxes, force_field):
    ensemble = Ensemble(force_field, boxes, PairRefinementConfig(**SHORT))
    both = PairStatistics.of(ensemble.topology, ensemble.reference, 0.9)
    each = [PairStatistics.of(ensemble.topology, box.frames(halves(box)[0]), 0.9) for box in boxes]
    np.testing.assert_allclose(both.ideal, np.mean([one.ideal for one in each], axis=0), rtol=1e-12)
    means = [one.counts.mean(axis=0) for one in (both, *each)]
    np.testing.assert_allclose(means[0], np.mean(means[1:], axis=0), rtol=1e-5)


def test_a_refinement_of_two_boxes_goes_on_where_it_was(boxes, force_field, tmp_path):
    settings = PairRefinementConfig(**{**SHORT, "rounds": 2})
    whole = refine(force_field, boxes, tmp_path / "whole", settings)

    def stop(number, *_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(force_field, boxes, tmp_path / "parts", settings, progress=stop)
    parts = refine(force_field, boxes, tmp_path / "parts", settings, resume=True)
    assert [row["round"] for row in parts.history] == [row["round"] for row in whole.history]
    with pytest.raises(InputError, match="differs in dataset"):
        refine(force_field, boxes[::-1], tmp_path / "parts", settings, resume=True)


@pytest.mark.parametrize(
    ("other", "settings", "message"),
    [
        ({"molecules": 90}, {}, "different beads"),
        ({"temperature": 310.0}, {}, "310 K .* 300 K; refine at one temperature"),
        ({}, {"starts": 3}, "starts is 3 and there are 2 boxes.*give starts: 4"),
    ],
)
def test_boxes_that_do_not_go_together_are_refused(boxes, force_field, tmp_path, other, settings, message):
    box = write_box(tmp_path / "other", **other)
    with pytest.raises(InputError, match=message):
        refine(force_field, [boxes[0], box], tmp_path / "out", PairRefinementConfig(**{**SHORT, **settings}))
    assert not (tmp_path / "out").exists()
