from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import ATOMISTIC_MODELS, find_atomistic_model

AMBER = ElementTree.parse(Path(app.__file__).parent / "data" / "amber96.xml").getroot()
BENZENE = ATOMISTIC_MODELS["amber-cornell-benzene"]


@pytest.mark.parametrize("kind", ["Bond", "Angle", "Proper", "Improper"])
def test_bonded_parameters_are_those_of_openmms_amber96(kind):
    def terms(root):
        found = {}
        for element in root.iter(kind):
            classes = tuple(element.get(f"class{i}") for i in range(1, 5) if f"class{i}" in element.attrib)
            if classes and all(name in ("CA", "HA", "") for name in classes):
                found[classes] = {k: v for k, v in element.attrib.items() if not k.startswith("class")}
        return found

    ours, theirs = terms(ElementTree.fromstring(BENZENE.force_field_xml)), terms(AMBER)
    assert ours
    assert all(theirs[classes] == values for classes, values in ours.items())


def test_geometry_is_a_flat_ring_with_the_force_fields_bond_lengths():
    lengths = [np.linalg.norm(BENZENE.positions[i] - BENZENE.positions[j]) for i, j in BENZENE.bonds]
    np.testing.assert_allclose(lengths, [0.140] * 6 + [0.108] * 6, atol=1e-12)
    assert np.abs(BENZENE.positions.mean(axis=0)).max() < 1e-12


def test_molecule_is_neutral_and_has_the_mass_of_benzene():
    system = BENZENE.force_field().createSystem(BENZENE.topology(1))
    charges = [system.getForce(i) for i in range(system.getNumForces())]
    nonbonded = next(force for force in charges if force.getName() == "NonbondedForce")
    assert abs(sum(nonbonded.getParticleParameters(i)[0]._value for i in range(12))) < 1e-12
    assert BENZENE.masses.sum() == pytest.approx(78.11, abs=0.01)


def test_unknown_model_names_the_known_ones():
    with pytest.raises(InputError, match=r"amber-cornell-benzen'.*amber-cornell-benzene.*ForceRecorder"):
        find_atomistic_model("amber-cornell-benzen")
