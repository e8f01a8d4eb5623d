import json

import numpy as np
import pytest

from openmm_cgml.correlation import effective_samples
from openmm_cgml.dataset import ForceMatchingDataset, summarize
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import mapping_from_specification
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification


def dataset_of(path, frames, n_beads=3, n_molecules=4, **changes):
    specification = benzene_specification(n_beads)
    mapping = mapping_from_specification(specification, benzene_atoms(n_molecules))
    return ForceMatchingDataset.create(
        path,
        [mapping(frames)],
        topology=mapping.target,
        temperature=300.0,
        mapping_fingerprint=mapping.fingerprint,
        source={},
        templates=specification.templates(),
        **changes,
    )


def test_figures_are_those_of_the_frames(tmp_path):
    dataset = dataset_of(tmp_path / "d", benzene_frames(4, 40))
    frames, summary = dataset.frames(), summarize(dataset, chunk_frames=7)
    (forces,), (distances,) = summary.forces, summary.distances
    assert forces.total == pytest.approx(np.sqrt((frames.forces.astype(float) ** 2).mean()))
    assert forces.inter == pytest.approx(np.sqrt((frames.forces_inter.astype(float) ** 2).mean()))
    assert forces.error is None
    assert summary.duration == pytest.approx(19.5)
    assert summary.inter_energy == pytest.approx(frames.energies["inter"].mean() / 4)
    assert summary.density == pytest.approx(4 * 78.114 * 1.66053907e-3 / 2.5**3, rel=1e-4)
    assert 0.2 < distances.bonded_mean < 0.26
    assert distances.closest_intra is None
    json.dumps(summary.to_dict(), allow_nan=False)


def test_a_single_mean_force_frame_without_energies_is_summarized(tmp_path):
    frames = benzene_frames(4, 1)
    frames = Frames(
        positions=frames.positions, box=frames.box, forces=frames.forces, force_error=np.ones_like(frames.forces)
    )
    summary = summarize(dataset_of(tmp_path / "d", frames, kind="mean-force"))
    assert summary.effective_frames_energy is None
    assert summary.duration is None
    assert summary.forces[0].error == pytest.approx(2.0)
    assert "effective frames: 1 by the forces" in summary.to_text()


def test_absurd_forces_are_reported(tmp_path):
    frames = benzene_frames(4, 12)
    forces = frames.forces.copy()
    forces[7, 3, 1] = 1e6
    summary = summarize(dataset_of(tmp_path / "d", frames.replace(forces=forces)), chunk_frames=5)
    assert summary.outlier_frames == (7,)
    assert "WARNING: 1 frames with forces beyond 50 sigma: 7" in summary.to_text()


@pytest.mark.physics
@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_effective_samples_of_an_autoregressive_series_are_known(memory):
    """x(t+1) = a x(t) + noise has the statistical inefficiency (1 + a) / (1 - a)."""
    rng = np.random.default_rng(0)
    series = np.zeros((4000, 40))
    noise = rng.normal(size=series.shape)
    for step in range(1, len(series)):
        series[step] = memory * series[step - 1] + noise[step]
    expected = len(series) * (1 - memory) / (1 + memory)
    assert effective_samples(series) == pytest.approx(expected, rel=0.1)
    if memory:  # control: shuffled in time, the memory is gone
        assert effective_samples(rng.permutation(series)) > 1.5 * expected


def test_a_constant_series_is_one_sample():
    assert effective_samples(np.ones((50, 2))) == 1.0
