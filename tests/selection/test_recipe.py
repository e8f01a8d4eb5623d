import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.selection import Workplace, find_recipe, read_recipe
from openmm_cgml.shipped import find_system, list_models, list_systems
from tests.selection.toy import write_system


@pytest.mark.parametrize("name", list_models())
def test_every_shipped_model_has_a_recipe_that_names_every_configuration(name, tmp_path):
    workplace = Workplace.open(name, tmp_path)
    assert workplace.recipe.name == name
    assert workplace.fit_config().name == name


@pytest.mark.parametrize("name", list_systems())
def test_every_configuration_of_a_system_has_a_use(name, tmp_path):
    folder, used = find_system(name), {"system.yaml"}
    for path in folder.glob("*recipe.yaml"):
        recipe = Workplace.open(path, tmp_path).recipe
        files = [recipe.reference.protocol, *(file for plan in recipe.plans for file in (plan.fit, plan.refinement))]
        used |= {path.name, *(file.name for file in files if file is not None)}
    assert {path.name for path in folder.glob("*.yaml")} == used


@pytest.mark.parametrize("name", list_models())
def test_the_atomistic_run_of_a_recipe_fits_its_system(name, tmp_path):
    pytest.importorskip("openmmforcefields")
    workplace = Workplace.open(name, tmp_path)
    plan = make_plan(workplace.specification_of_reference(), workplace.recipe.reference.run)
    chains = workplace.specification.chains
    assert plan.box.n_molecules == (10 if chains else 500)
    assert bool(chains) == (workplace.recipe.sizes is None)


def test_systems_with_the_same_atoms_share_their_run(tmp_path):
    folders = {name: Workplace.open(name, tmp_path).reference for name in list_models()}
    assert folders["benzene-1bead"] == folders["benzene-3bead"] == tmp_path / "references" / "benzene"
    assert folders["polyethylene-1bead"] == folders["polyethylene-2bead"] != folders["pim-1"]
    elsewhere = Workplace.open("pim-1", tmp_path, recording=tmp_path / "other")
    assert elsewhere.reference == tmp_path / "other"


def test_the_network_is_evaluated_as_often_as_the_recipe_says(tmp_path):
    workplace = Workplace.open("polyethylene-2bead-schnet", tmp_path)
    config = workplace.simulation_config(3, temperature=300.0, duration=20.0)
    assert (config.network_interval, config.seed, config.duration) == (2, 3, 20.0)
    assert config.time_step == pytest.approx(0.0018)
    assert (config.threads, config.platform) == (1, "CPU")
    elsewhere = Workplace.open("polyethylene-2bead-schnet", tmp_path, platform="Reference", threads=2)
    config = elsewhere.simulation_config(3, temperature=300.0, duration=20.0)
    assert (config.threads, config.platform) == (2, "Reference")


def test_the_shipped_force_field_is_simulated_with_all_seeds(tmp_path):
    recipe = Workplace.open("pim-1-schnet", tmp_path).recipe
    assert recipe.simulated[0] == ("refined", (1, 2, 3))
    assert dict(recipe.simulated)["published-sigma-9"] == (1, 2, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": "gone.yaml"}, "fit names gone.yaml"),
        ({"variants": {"refined": "other.yaml"}}, "the model's own"),
        ({"variants": {"gone": {"fit": "fit.yaml", "refinement": "gone.yaml"}}}, "gone.refinement names gone.yaml"),
        ({"variants": {"neither": {}}}, "give one"),
        ({"variants": {"both": {"model": "pim-1", "refinement": "refine.yaml"}}}, "taken as it is"),
        ({"constant_pressure": {"duration": "1 ps", "discard": "2 ps"}}, "discard less"),
        ({"limits": {"gr_comm_rmse": 1.0}}, "gr_comm_rmse"),
        ({"transfer": {"boxes": [[5, 100]], "duration": "1 ps"}}, "give sizes"),
        ({"simulation": {"duration": "1 ps", "time_step": "5 fs", "seeds": [1, 1]}}, "different number"),
        ({"simulation": {"duration": 1, "time_step": "5 fs"}}, "duration"),
        ({"surprise": 1}, "unknown key"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_reason(tmp_path, changes, message):
    system = write_system(tmp_path / "toy", **changes)
    with pytest.raises(InputError, match=message):
        read_recipe(find_recipe(system))


def test_a_system_without_a_recipe_is_refused(tmp_path):
    system = write_system(tmp_path / "toy")
    (system / "recipe.yaml").unlink()
    with pytest.raises(InputError, match=r"has no recipe.yaml"):
        find_recipe(system)
    assert find_recipe("pim-1") == find_system("pim-1") / "recipe.yaml"
