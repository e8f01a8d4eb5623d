import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff.lookup import ParameterLookup
from tests.reference.pcff import made_up

KJ = 4.184


@pytest.fixture
def lookup(tmp_path):
    return ParameterLookup(made_up.parameters(tmp_path))


def test_reversed_types_give_the_same_values_with_halves_exchanged(lookup):
    assert lookup.find("quartic_angle", "hcc") == lookup.find("quartic_angle", "cch")
    forward = lookup.find("end_bond-torsion_3", "ccch")
    assert lookup.find("end_bond-torsion_3", "hccc") == forward[3:] + forward[:3]
    assert forward[3:] != forward[:3]


def test_equivalent_types_stand_in(lookup):
    assert lookup.find("quartic_angle", ("c3", "c2", "hc")) == lookup.find("quartic_angle", ("c", "c", "h"))


def test_types_themselves_come_before_their_equivalents(tmp_path):
    text = made_up.TEXT.replace("#quartic_angle made_up\n", "#quartic_angle made_up\n 0.1 1 hc c3 c2 99.0 1 2 3\n")
    lookup = ParameterLookup(made_up.parameters(tmp_path, text))
    assert lookup.find("quartic_angle", ("c2", "c3", "hc"))[1] == pytest.approx(1 * KJ)


def test_wildcards_are_the_last_resort(lookup):
    assert lookup.find("torsion_3", "cccc")[0] == pytest.approx(0.1 * KJ)
    assert lookup.find("torsion_3", "hcch")[0] == pytest.approx(9.0 * KJ)


def test_angle_angle_terms_go_by_the_shared_bond(lookup):
    assert lookup.find("angle-angle", "hcch") == pytest.approx([-0.5 * KJ])
    assert lookup.find("angle-angle", "cchh") == lookup.find("angle-angle", "hchc") == pytest.approx([0.3 * KJ])


def test_out_of_plane_terms_take_the_neighbors_in_any_order(lookup):
    expected = pytest.approx((5.0 * KJ, 0.0))
    for types in (("h", "cp", "cp", "h"), ("h", "cp", "h", "cp"), ("cp", "cp", "h", "h")):
        assert lookup.find("wilson_out_of_plane", types) == expected


def test_everything_missing_is_named_at_once(lookup):
    lookup.find("quartic_bond", ("c", "cp"))
    lookup.find("quartic_bond", ("c", "cp"))
    lookup.find("angle-angle", ("cp", "c", "c", "h"))
    with pytest.raises(InputError) as error:
        lookup.check()
    message = str(error.value)
    assert message.startswith("parameters missing in made-up.frc") and "(2 in all)" in message
    assert "quartic_bond: c-cp\n" in message and "angle-angle: cp-c-c-h\n" in message
    assert "PIM-1" in message and "GAFF" in message


def test_nothing_missing_is_no_error(lookup):
    lookup.find("quartic_bond", "ch")
    lookup.check()
