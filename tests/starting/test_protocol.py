import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.starting.force_field_xml import ParametrizedMolecule, water_parameters
from openmm_cgml.starting.molecules import read_smiles
from openmm_cgml.starting.protocol import choose_protocol, shortest_period
from tests.starting.liquids import parametrized


@pytest.mark.parametrize(
    ("smiles", "density"),
    [("CO", 0.787), ("c1ccccc1", 0.874), ("CCCCCC", 0.655), ("O", 0.997), ("ClC(Cl)Cl", 1.48), ("CC#N", 0.777)],
)
def test_guessed_densities_are_near_the_measured_ones(smiles, density):
    assert choose_protocol([parametrized(smiles)], [500]).density == pytest.approx(density, rel=0.18)


def test_periods_follow_from_repartitioned_masses():
    ethane = parametrized("CC", stiffness=200_000.0)
    mass = 12.01078 - 3 * (3.0 - 1.007947)  # of a carbon, its three hydrogens heavy
    assert shortest_period(ethane) == pytest.approx(2 * np.pi * np.sqrt(mass / 2 / 200_000.0), rel=1e-6)
    assert shortest_period(parametrized("C")) is None


@pytest.mark.slow
def test_stiff_bonds_take_a_short_step():
    assert choose_protocol([parametrized("CC", stiffness=200_000.0)], [500]).time_step == 0.004
    assert choose_protocol([parametrized("CC", stiffness=900_000.0)], [500]).time_step == 0.002
    mixture = [parametrized("CC", stiffness=200_000.0), parametrized("CC", stiffness=900_000.0)]
    assert choose_protocol(mixture, [250, 250]).time_step == 0.002


def test_water_is_rigid_and_takes_a_long_step():
    water = ParametrizedMolecule(molecule=read_smiles("O", "HOH"), parameters=water_parameters())
    assert choose_protocol([water], [800]).time_step == 0.004


def test_large_boxes_have_the_usual_cutoffs():
    protocol = choose_protocol([parametrized("CO")], [500])
    assert (protocol.cutoff, protocol.switch_distance, protocol.model_cutoff, protocol.notes) == (1.0, 0.9, 1.2, ())
    assert protocol.edge == pytest.approx(3.23, abs=0.05)


def test_small_boxes_have_shorter_cutoffs_with_a_note_and_smaller_ones_are_refused():
    protocol = choose_protocol([parametrized("CO")], [100])
    assert protocol.cutoff == 0.8
    assert 2 * protocol.model_cutoff < protocol.edge
    assert "takes 158 molecules" in protocol.notes[0] or "takes 15" in protocol.notes[0]
    with pytest.raises(InputError, match=r"a box of 40 molecules would be about 1\.\d\d nm.*take at least 8\d, or 1"):
        choose_protocol([parametrized("CO")], [40])
