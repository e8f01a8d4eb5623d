import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.units import DIMENSIONS, parse_quantity, value_in


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("8 angstrom", "length", 0.8),
        ("20 kcal/mol/angstrom^2", "bond_stiffness", 20 * 4.184 * 100),
        ("5 fs", "time", 0.005),
        ("1 atmosphere", "pressure", 1.01325),
        ("0.84 g/cm^3", "density", 0.84),
        ("2 ps^-1", "friction", 2.0),
        ("1 1/ps", "friction", 1.0),
        ("180 deg", "angle", math.pi),
        ("1 kcal/mol", "energy", 4.184),
    ],
)
def test_text_with_a_unit_becomes_a_number_in_our_units(text, dimension, expected):
    assert parse_quantity(text, dimension) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("text", ["8", "8 kJ/mol", "8 foo", "nan nm", "1e400 nm", "nm", "", "8 nm nm", True, None])
def test_anything_else_is_refused(text):
    with pytest.raises(InputError):
        parse_quantity(text, "length")


def test_missing_unit_is_named():
    with pytest.raises(InputError, match="'8' has no unit; a length needs one, for example \"1 nm\""):
        parse_quantity("8", "length")


def test_energy_that_is_not_per_mole_is_refused():
    with pytest.raises(InputError, match="per mole"):
        parse_quantity("8 kJ", "energy")


def test_openmm_quantities_are_converted():
    assert value_in(8 * unit.angstrom, "length") == pytest.approx(0.8)
    assert value_in(0.84 * unit.gram / unit.centimeter**3, "density") == pytest.approx(0.84)
    with pytest.raises(InputError):
        value_in(8 * unit.kelvin, "length")


@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.sampled_from(sorted(DIMENSIONS)))
def test_writing_a_number_with_its_own_unit_reads_back(number, dimension):
    unit_name = DIMENSIONS[dimension][1]
    assert parse_quantity(f"{number!r} {unit_name}", dimension) == pytest.approx(number, rel=1e-12)
