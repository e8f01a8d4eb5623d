import json

import pytest

from openmm_cgml.cli.export import export
from openmm_cgml.errors import ArtifactError, OutputExistsError
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import ResidueTemplate


@pytest.fixture
def fitted(tmp_path):
    """Output folder of a fit: a force field of priors alone."""
    template = ResidueTemplate(name="WAT", bead_names=("W",), bead_type_names=("W",), masses=(18.0,), bonds=())
    parameters = {"sigma": 0.3, "epsilon": 4.184, "exponent": 12, "cutoff": 0.8, "switch_distance": 0.7}
    force_field = ForceField(
        priors=PriorSet(terms=(PriorTerm(form="power_repulsion", types=("W", "W"), parameters=parameters),)),
        network=None,
        templates=(template,),
        type_names=("W",),
        manifest=Manifest(name="trial-7", license="MIT"),
    )
    force_field.save(tmp_path / "run" / "force_field")
    return tmp_path / "run"


def test_the_force_field_of_a_fit_gets_its_name_and_figures(fitted, tmp_path):
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"g(r) RMSE": 0.03}))
    export(str(fitted), tmp_path / "water-1bead", validation=figures)
    exported = ForceField.load(tmp_path / "water-1bead")
    assert exported.name == "water-1bead"
    assert exported.manifest.license == "MIT"
    assert exported.manifest.validation == {"g(r) RMSE": 0.03}
    assert exported.fingerprint == ForceField.load(fitted / "force_field").fingerprint


def test_an_export_without_figures_says_so(fitted, tmp_path, capsys):
    export(str(fitted / "force_field"), tmp_path / "water")
    assert "not validated" in capsys.readouterr().out


def test_figures_must_have_names(fitted, tmp_path):
    (tmp_path / "figures.json").write_text("[1, 2]")
    with pytest.raises(ArtifactError, match="by name"):
        export(str(fitted), tmp_path / "water", validation=tmp_path / "figures.json")
    assert not (tmp_path / "water").exists()


def test_an_exported_model_is_not_replaced_unasked(fitted, tmp_path):
    export(str(fitted), tmp_path / "water")
    with pytest.raises(OutputExistsError):
        export(str(fitted), tmp_path / "water")
    export(str(fitted), tmp_path / "water", name="new", overwrite=True)
    assert ForceField.load(tmp_path / "water").name == "new"
