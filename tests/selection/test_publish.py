import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.manifest import TrainingSummary
from openmm_cgml.selection import Workplace, collect_results, make_model, publish
from openmm_cgml.selection.descriptions import describe
from openmm_cgml.selection.long_runs import renew
from openmm_cgml.selection.publish import without_soft_mean_forces
from openmm_cgml.storage import read_json
from openmm_cgml.validation import read_reference_summary


@pytest.fixture
def checkout(tmp_path):
    """Root of a checkout without models."""
    for folder in ("models", "systems/toy", "docs"):
        (tmp_path / "checkout" / folder).mkdir(parents=True)
    return tmp_path / "checkout"


@pytest.mark.slow
def test_a_published_model_carries_its_table_pictures_and_reference(made, tmp_path, checkout):
    table = collect_results(made, tmp_path)
    target = publish(made, table, checkout)
    force_field = ForceField.load(target)
    assert force_field.fingerprint == made.load_force_field("refined").fingerprint
    assert force_field.name == "toy"
    assert force_field.manifest.validation == describe(table, chains=False)
    assert force_field.manifest.validation["simulations"] == 2
    assert "card/gr-centers-of-mass.png" in (target / "README.md").read_text()
    assert (target / "card" / "gr-centers-of-mass.png").is_file()
    assert (checkout / "docs" / "images" / "toy.png").is_file()
    summary = read_reference_summary(checkout / "systems" / "toy" / "reference.json")
    assert summary.limits["gr_com_rmse"] == 5.0
    assert publish(made, table, checkout) == target, "publishing again replaces what is there"


@pytest.mark.slow
def test_studies_need_nothing_but_the_shipped_model(made, tmp_path, checkout, monkeypatch):
    table = collect_results(made, tmp_path)
    publish(made, table, checkout)
    (made.system / "reference.json").write_bytes((checkout / "systems" / "toy" / "reference.json").read_bytes())
    monkeypatch.chdir(checkout / "models")
    alone = make_model(made.system, tmp_path / "runs", stages=["long-runs", "time-steps"])
    renewed = collect_results(alone, tmp_path)
    assert renewed["shorter_runs"]["simulated_ps_per_seed"] == pytest.approx(0.6)
    assert renewed["simulated_ps_per_seed"] == pytest.approx(0.7)
    assert renewed["mean_force_r2"] == table["mean_force_r2"]
    steps = read_json(tmp_path / "multiple-time-steps.json")["toy"]
    assert [(row["step_fs"], row["network_interval"]) for row in steps["rows"]] == [(5.0, 1), (5.0, 2)]
    assert steps["rows"][0]["gr_com_change"] == 0
    assert steps["rows"][1]["gr_com_change"] > 0
    monkeypatch.chdir(tmp_path)
    target = publish(alone, renewed, checkout)
    assert ForceField.load(target).manifest.validation["length of the shortest [ps]"] == pytest.approx(0.7)


@pytest.mark.slow
def test_results_of_a_shipped_benzene_keep_their_keys(made, tmp_path):
    """Keys by which pages and cards find what was measured."""
    shipped = read_json(
        Workplace.open("benzene-1bead", tmp_path).system.parents[1] / "benchmarks/results/fidelity.json"
    )
    later = {"shorter_runs", "simulations_command"}
    assert set(shipped["benzene-1bead-schnet"]) - later <= set(read_json(made.table))


def test_nothing_is_published_outside_a_checkout_or_without_simulations(tmp_path, checkout):
    workplace = Workplace.open("benzene-1bead", tmp_path / "runs")
    with pytest.raises(InputError, match="no folder 'models'"):
        publish(workplace, {}, tmp_path)
    with pytest.raises(InputError, match="no finished simulation"):
        publish(workplace, {}, checkout)
    assert not list((checkout / "models").iterdir())


def test_renewed_tables_keep_the_first_runs():
    first = renew({"a": 1, "b": 2}, {"a": 3})
    assert first == {"a": 3, "b": 2, "shorter_runs": {"a": 1}}
    assert renew(first, {"a": 4})["shorter_runs"] == {"a": 1}


def test_total_mean_forces_are_left_out_where_bonds_are_a_part_of_their_own():
    metrics = {"mean_force": {}, "noise_floor": {}, "test": {}}
    summary = TrainingSummary(temperature=300.0, metrics=metrics, settings={"training": {"target": "split"}})
    assert set(without_soft_mean_forces(summary).metrics) == {"test"}
    total = summary.model_copy(update={"settings": {"training": {"target": "total"}}})
    assert without_soft_mean_forces(total).metrics == metrics


def test_chains_are_described_as_chains():
    table = {"gr_inter_rmse": 0.1, "rg_ratio": 1.0, "energy_per_bead": None}
    assert describe(table, chains=True) == {
        "g(r) between chains, all beads, RMSE up to 1.5 nm": 0.1,
        "radius of gyration over the reference's": 1.0,
    }
    assert describe(table, chains=False) == {"g(r) of beads of different molecules, RMSE": 0.1}
