import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.residues.names import is_known_residue
from openmm_cgml.starting.names import check_system_name, residue_names

_NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True)


@given(_NAMES)
def test_a_residue_is_three_signs_that_no_program_takes_for_another(name):
    (residue,) = residue_names(name, [False])
    assert len(residue) == 3 and residue.isalnum() and residue.isupper()
    assert not is_known_residue(residue)


def test_methanol_is_not_taken_for_methionine():
    assert is_known_residue("MET")
    assert residue_names("methanol", [False]) == ("MTH",)
    assert residue_names("hexane", [False]) == ("HEX",)


def test_water_keeps_its_name_and_others_are_numbered():
    assert residue_names("water", [True]) == ("HOH",)
    assert residue_names("blend", [False, True, False]) == ("M01", "HOH", "M03")


@pytest.mark.parametrize("name", ["", ".", "a b", "ü", "-x", "a/b"])
def test_names_that_shells_or_folders_twist_are_refused(name):
    with pytest.raises(InputError, match="use letters, digits"):
        check_system_name(name)
