"""Small copies of datasets."""

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset, thin_dataset
from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorConfig, fit_priors
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_1
from tests.training.conftest import make_dataset  # noqa: F401
from tests.training.dimers import PRIORS


def size_of(path):
    return sum(file.stat().st_size for file in path.glob("*.h5"))


def test_a_small_copy_has_the_same_numbers_in_fewer_bytes(make_dataset, tmp_path):  # noqa: F811
    whole = make_dataset(n_frames=40, n_molecules=27)
    thinned = thin_dataset(whole, tmp_path / "small", 20)
    assert thinned.n_frames == 20
    chosen = np.linspace(0, 39, 20).round().astype(int)
    for name, tolerance in (("positions", 1e-4), ("forces", None), ("forces_inter", None)):
        exact, rounded = getattr(whole.frames(chosen), name), getattr(thinned.frames(), name)
        assert np.abs(exact - rounded).max() <= (tolerance or 1e-3 * np.sqrt(np.mean(exact**2)))
        assert not np.array_equal(exact, rounded)
    again = ForceMatchingDataset.open(tmp_path / "small")
    assert again.source["thinned"] == {"from": whole.fingerprint, "n_frames": 20}
    assert again.mapping_fingerprint == whole.mapping_fingerprint


def test_a_frame_takes_half_the_bytes(tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 5, (10, 800, 3))
    whole = ForceMatchingDataset.create(
        tmp_path / "whole",
        [Frames(positions=positions, forces=rng.normal(0, 100, (10, 800, 3)), box=np.tile(5 * np.eye(3), (10, 1, 1)))],
        topology=CGTopology.from_residues([(BENZENE_1, 800)]),
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[BENZENE_1],
    )
    assert size_of(thin_dataset(whole, tmp_path / "small", 10).path) < 0.6 * size_of(whole.path)


def test_a_fit_hardly_changes(make_dataset, tmp_path):  # noqa: F811
    whole = make_dataset(n_frames=40)
    thinned = thin_dataset(whole, tmp_path / "small", 40)
    config = PriorConfig(bonds={"length": "fit", "stiffness": "fit"}, repulsion=PRIORS["repulsion"])
    fits = [fit_priors(config, d.topology, d.frames(), 300.0).terms for d in (whole, thinned)]
    for one, other in zip(*fits, strict=True):
        assert one.parameters == pytest.approx(dict(other.parameters), rel=2e-3)


def test_what_cannot_be_thinned_is_refused(make_dataset, tmp_path):  # noqa: F811
    whole = make_dataset()
    with pytest.raises(InputError, match="keep at least 1"):
        thin_dataset(whole, tmp_path / "small", 0)
    with pytest.raises(InputError, match="is the dataset itself"):
        thin_dataset(whole, whole.path, 3, overwrite=True)
    thin_dataset(whole, tmp_path / "small", 3)
    with pytest.raises(OutputExistsError):
        thin_dataset(whole, tmp_path / "small", 3)
