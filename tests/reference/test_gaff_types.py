import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference.gaff_types import gaff_types

RING = [(i, (i + 1) % 6) for i in range(6)]


def test_ethane_has_alkane_types():
    bonds = [(0, 1), *((i // 3, i + 2) for i in range(6))]
    assert gaff_types(["C", "C", *"HHHHHH"], bonds) == ("c3", "c3", *["hc"] * 6)


def test_phenol_and_its_fluoride_and_nitrile_have_aryl_types():
    elements = ["C"] * 6 + ["O", "H", "F", "C", "N", "H", "H", "H"]
    bonds = [*RING, (0, 6), (6, 7), (1, 8), (2, 9), (9, 10), (3, 11), (4, 12), (5, 13)]
    assert gaff_types(elements, bonds) == (*["ca"] * 6, "oh", "ho", "f", "cg", "n1", "ha", "ha", "ha")


@pytest.mark.parametrize(
    ("elements", "bonds", "message"),
    [
        (["C", "O", *"HHHH"], [(0, 1), (1, 2), (0, 3), (0, 4), (0, 5)], "atom 0, element C bonded to O, H, H, H"),
        (["C", "Cl", *"HHH"], [(0, 1), (0, 2), (0, 3), (0, 4)], "atom 0, element C bonded to Cl"),
        (["H", "H"], [(0, 1)], "atom 0, element H bonded to H"),
        (["O"], [], "atom 0, element O bonded to nothing"),
    ],
)
def test_kinds_of_atoms_outside_the_table_are_refused(elements, bonds, message):
    with pytest.raises(InputError, match=message):
        gaff_types(elements, bonds)
