from dataclasses import replace

import pytest

from openmm_cgml.force_field import ForceField
from tests.fixtures import tiny_force_field
from tests.site_models import RING, site_priors


def test_the_card_says_what_the_manifest_says(tmp_path):
    force_field = tiny_force_field(3)
    card = (force_field.save(tmp_path / "m") / "README.md").read_text()
    for text in (
        "# tiny-benzene-3bead",
        'ForceField.load("tiny-benzene-3bead")',
        "| BNZ | C1 | C2H2 | 26.0378 |",
        "harmonic bond C2H2-C2H2: length 0.237 nm, stiffness 80000 kJ/mol/nm^2",
        "300 K, 0.84 g/cm^3",
        "CG time",
        "trained but not simulated",
        "4.0 fs",
    ):
        assert text in card


def test_the_card_shows_validation_figures(tmp_path):
    force_field = tiny_force_field(1)
    manifest = force_field.manifest.model_copy(update={"validation": {"gr_com_rmse": 0.031, "stable_seeds": "3 of 3"}})
    fields = {name: getattr(force_field, name) for name in ("priors", "network", "templates", "type_names")}
    card = (ForceField(**fields, manifest=manifest).save(tmp_path / "m") / "README.md").read_text()
    assert "| gr com rmse | 0.031 |" in card
    assert "trained but not simulated" not in card


@pytest.mark.parametrize(
    ("changes", "forces"),
    [
        ({}, "# native OpenMM forces for the priors, one ML force for the network"),
        ({"network": None}, "# native OpenMM forces"),
        (
            {"network": None, "priors": site_priors("R"), "templates": (RING,), "type_names": ("A",)},
            "# native OpenMM forces for bonded priors, one PythonForce for the others",
        ),
    ],
)
def test_the_card_says_which_forces_there_are(changes, forces, tmp_path):
    force_field = tiny_force_field(1)
    manifest = force_field.manifest.model_copy(update={"training": None})
    card = (replace(force_field, manifest=manifest, **changes).save(tmp_path / "m") / "README.md").read_text()
    (line,) = [line for line in card.splitlines() if "create_system(topology)" in line]
    assert line.endswith(forces)
