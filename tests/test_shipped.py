import pytest

from openmm_cgml import shipped
from openmm_cgml.errors import InputError


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout with one model and one system, the package folder in it."""
    (tmp_path / "openmm_cgml").mkdir()
    for kind, name, marker in (("models", "water", "manifest.json"), ("systems", "water-box", "system.yaml")):
        (tmp_path / kind / name).mkdir(parents=True)
        (tmp_path / kind / name / marker).write_text("{}")
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "openmm_cgml")
    return tmp_path


def test_shipped_names_are_found_from_anywhere(checkout):
    assert shipped.find_model("water") == checkout / "models" / "water"
    assert shipped.find_model("models/water") == checkout / "models" / "water"
    assert shipped.find_system("water-box") == checkout / "systems" / "water-box"
    assert (shipped.list_models(), shipped.list_systems()) == (("water",), ("water-box",))


def test_an_installed_package_finds_its_own_copies(checkout):
    (checkout / "openmm_cgml" / "_shipped" / "models" / "oil").mkdir(parents=True)
    (checkout / "openmm_cgml" / "_shipped" / "models" / "oil" / "manifest.json").write_text("{}")
    assert shipped.list_models() == ("oil",)
    assert shipped.find_model("oil").parent == checkout / "openmm_cgml" / "_shipped" / "models"


def test_a_folder_wins_over_a_shipped_name(checkout, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    (mine / "water").mkdir(parents=True)
    (mine / "water" / "manifest.json").write_text("{}")
    monkeypatch.chdir(mine)
    assert shipped.find_model("water").resolve() == mine / "water"


def test_the_folder_of_a_fit_means_the_force_field_in_it(checkout, tmp_path):
    fitted = tmp_path / "runs" / "fit" / "force_field"
    fitted.mkdir(parents=True)
    (fitted / "manifest.json").write_text("{}")
    assert shipped.find_model(fitted.parent) == fitted
    assert shipped.find_model(fitted) == fitted


def test_a_fit_that_has_not_finished_says_how_to_go_on(checkout, tmp_path):
    (tmp_path / "fit" / "checkpoints").mkdir(parents=True)
    with pytest.raises(InputError, match="--resume"):
        shipped.find_model(tmp_path / "fit")


def test_a_system_is_found_by_its_file(checkout):
    assert shipped.find_system(checkout / "systems" / "water-box" / "system.yaml") == checkout / "systems" / "water-box"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("watr", "did you mean 'water'.*shipped models: water"),
        ("", "empty"),
        ("../water", "shipped models"),
        ("openmm_cgml", "looked for openmm_cgml/manifest.json and openmm_cgml/force_field/manifest.json"),
    ],
)
def test_what_is_not_there_is_an_error_that_lists_what_is(checkout, monkeypatch, name, message):
    monkeypatch.chdir(checkout)
    with pytest.raises(InputError, match=message):
        shipped.find_model(name)


def test_the_checkout_ships_the_benzene_systems():
    assert {"benzene-1bead", "benzene-3bead"} <= set(shipped.list_systems())
