import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.frames import Frames
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.runs import RunFolder
from openmm_cgml.selection.comparison import summarize
from openmm_cgml.selection.intermolecular import compute_intermolecular_forces, has_intermolecular_part, score
from openmm_cgml.selection.results import collect_results
from openmm_cgml.selection.table import measure_runs
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_3, benzene_box, tiny_force_field


@pytest.mark.slow
def test_an_unstable_simulation_is_counted_with_its_reason(made, tmp_path):
    runs = [shutil.copytree(path, tmp_path / path.name) for path in made.simulations("refined", (1, 2))]
    reference = summarize(made.open_datasets(), "toy", {})
    assert measure_runs(runs, reference)["stable_seeds"] == 2
    folder = RunFolder.at(runs[1])
    replace(folder.read_result(), status="unstable", reason="a bond broke").write()
    measured = measure_runs([*runs, tmp_path / "never-run"], reference)
    assert (measured["seeds"], measured["stable_seeds"], measured["reasons"]) == (2, 1, ["a bond broke"])


@pytest.mark.slow
@pytest.mark.physics
def test_a_model_is_scored_by_its_own_forces(made):
    """The control: the same forces in another order explain nothing."""
    dataset = made.open_dataset()
    frames, force_field = made.test_frames(dataset), made.load_force_field("fit")
    forces = compute_intermolecular_forces(force_field, dataset.topology, frames)
    assert score(forces, forces)["r2"] == pytest.approx(1)
    assert score(forces[:, ::-1], forces)["r2"] < 0.5
    expected = made.fit_metrics("fit")["test"]["force_rmse"]
    every = dataset.frames(dataset.split((0.6, 0.2, 0.2), n_blocks=6)["test"])
    forces = compute_intermolecular_forces(force_field, dataset.topology, every)
    assert score(forces, every.forces)["rmse"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.physics
def test_a_molecule_alone_feels_no_intermolecular_force():
    """The control is the whole network, which acts within the molecule too."""
    config = SchNetConfig(n_features=8, n_filters=8, n_basis=8, cutoff=0.7, n_intra_blocks=1, separate_readouts=True)
    torch.manual_seed(0)
    force_field = replace(tiny_force_field(3), network=SchNet(config, 1).requires_grad_(False))
    assert has_intermolecular_part(force_field)
    assert not has_intermolecular_part(tiny_force_field(3)), "one readout of both parts"
    topology, positions, box = benzene_box(3, 64)
    alone, where = CGTopology.from_residues([(BENZENE_3, 1)]), positions[:3]
    frames = Frames(positions=where[None], box=box[None])
    np.testing.assert_allclose(compute_intermolecular_forces(force_field, alone, frames), 0, atol=1e-6)
    whole = force_field.deploy(alone)(torch.tensor(where), torch.tensor(box))[1]
    assert np.abs(whole.numpy()).max() > 1e-3
    crowd = Frames(positions=positions[None], box=box[None])
    assert np.abs(compute_intermolecular_forces(force_field, topology, crowd)).max() > 1


@pytest.mark.slow
def test_results_keep_what_other_models_have(made, tmp_path):
    write_json(tmp_path / "fidelity.json", {"another": {"seeds": 3}})
    table = collect_results(made, tmp_path)
    assert read_json(tmp_path / "fidelity.json") == {"another": {"seeds": 3}, "toy": table}
    assert not (tmp_path / "multiple-time-steps.json").exists()
