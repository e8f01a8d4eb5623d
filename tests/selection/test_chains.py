"""The same stages make a model of chains: what differs is in the recipe and the system."""

import numpy as np
import pytest

from openmm_cgml.selection import Workplace, make_model
from openmm_cgml.selection.intermolecular import compute_intermolecular_forces, score
from openmm_cgml.selection.pages import format_models
from openmm_cgml.storage import read_json
from tests.selection.toy import write_chain_system

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model of chains, made from nothing."""
    pytest.importorskip("openmmforcefields")
    folder = tmp_path_factory.mktemp("selection-of-chains")
    return make_model(write_chain_system(folder / "toy-chains"), folder / "runs")


def test_a_recipe_makes_a_model_of_chains_from_nothing(made):
    table = read_json(made.table)
    assert (table["seeds"], table["stable_seeds"], table["network_interval"]) == (2, 2, 2)
    assert (table["refined"], table["refined_priors"]) == (False, True)
    assert set(table["variants"]) == {"fit", "published", "pair-spline"}
    assert set(table["transfer"]["runs"]) == {"8x4", "6x6"}
    assert table["transfer"]["compared"] > 0
    assert "squared_radius_of_gyration" in table["reference"]
    assert "energy_per_bead_spread" not in table
    assert format_models({"toy-chains": table}).count("\n") > 15


def test_results_of_shipped_polymers_keep_their_keys(made, tmp_path):
    shipped = read_json(Workplace.open("pim-1", tmp_path).system.parents[1] / "benchmarks/results/fidelity.json")
    table = read_json(made.table)
    assert set(shipped["polyethylene-2bead-schnet"]) <= set(table)
    assert set(shipped["polyethylene-2bead-schnet"]["transfer"]) == set(table["transfer"])
    assert set(shipped["pim-1-schnet"]["variants"]["fit"]) <= set(table["variants"]["fit"])


@pytest.mark.physics
def test_intermolecular_forces_are_those_that_the_fit_was_judged_by(made):
    """The control is another part of the same fit: the total forces."""
    dataset, force_field = made.open_dataset(), made.load_force_field("fit")
    data = made.fit_config().data
    frames = dataset.frames(dataset.split(data.fractions, n_blocks=data.n_blocks, seed=data.split_seed)["test"])
    forces = compute_intermolecular_forces(force_field, dataset.topology, frames)
    judged = made.fit_metrics()["test"]
    assert score(forces, frames.forces_inter)["rmse"] == pytest.approx(judged["inter_force_rmse"], rel=1e-3)
    assert score(forces, frames.forces)["rmse"] > 2 * judged["inter_force_rmse"]
    np.testing.assert_allclose(forces.sum(axis=1), 0.0, atol=1e-3)
