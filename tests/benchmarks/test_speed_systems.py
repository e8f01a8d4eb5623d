import numpy as np
import pytest

from benchmarks.speed_systems import (
    BENZENE,
    BENZENE_SIZE,
    Playback,
    Workload,
    count_pairs,
    most_neighbors,
    replicate,
    tile,
)


def box(n: int = 40, edge: float = 2.0, n_frames: int = 3) -> Workload:
    frames = np.random.default_rng(0).uniform(0, edge, size=(n_frames, n, 3))
    return Workload(name="box", size=BENZENE_SIZE, template=BENZENE, edge=edge, frames=frames, time_step=0.005)


def test_a_replicated_box_has_the_neighbors_of_the_small_one():
    small = box()
    large = replicate(small, 2)
    assert large.n_beads == 8 * small.n_beads
    assert large.edge == 2 * small.edge
    assert count_pairs(large) == 8 * count_pairs(small)
    assert most_neighbors(large) == most_neighbors(small)


def test_copies_are_shifted_by_the_edge_and_jittered():
    small = box()
    copy = replicate(small, 2).frames[0][small.n_beads : 2 * small.n_beads] - small.frames[0]
    np.testing.assert_allclose(copy, np.broadcast_to([0, 0, small.edge], copy.shape), atol=1e-4)
    assert np.ptp(copy[:, 0]) > 0
    assert len(tile(small.frames[0], small.edge, 3)) == 27 * small.n_beads


def test_frames_are_played_forwards_and_backwards():
    workload = box()
    play = Playback(workload, 10.0)
    found = [play()[0, 0] / 10 for _ in range(6)]
    expected = [workload.frames[k][0, 0] for k in (0, 1, 2, 1, 0, 1)]
    assert found == pytest.approx(expected)


def test_every_bead_is_a_molecule_of_its_own():
    assert box().topology.n_molecules == 40
