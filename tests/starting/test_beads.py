import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.starting.beads import bead_bonds, group_atoms, loose_beads, name_beads, read_groups
from openmm_cgml.starting.molecules import read_smiles


def types_of(smiles, n_beads):
    molecule = read_smiles(smiles, "MOL")
    (beads,) = name_beads([molecule], [group_atoms(molecule, n_beads)])
    return [bead.type for bead in beads]


def test_beads_of_benzene_are_three_alike_in_a_ring():
    molecule = read_smiles("c1ccccc1", "BNZ")
    groups = group_atoms(molecule, 3)
    assert types_of("c1ccccc1", 3) == ["C2H2"] * 3
    assert bead_bonds(molecule, groups) == ((0, 1), (0, 2), (1, 2))
    assert sorted(atom for group in groups for atom in group) == list(range(12))
    assert not loose_beads(molecule, groups)


def test_ends_of_hexane_are_alike_and_differ_from_the_middle():
    assert types_of("CCCCCC", 3) == ["C2H5", "C2H4", "C2H5"]


def test_beads_of_one_formula_in_different_places_get_letters():
    types = types_of("CCCCO", 5)
    assert types == ["CH3", "CH2a", "CH2b", "CH2c", "OH"]


def test_kinds_of_molecules_share_no_type():
    one, other = read_smiles("CO", "M01"), read_smiles("CCO", "M02")
    beads = name_beads([one, other], [read_groups(one, ["C1 H1 H2 H3", "O1 H4"]), group_atoms(other, 3)])
    assert [[bead.type for bead in own] for own in beads] == [["CH3a", "OHa"], ["CH3b", "CH2", "OHb"]]


def test_one_bead_holds_all_atoms():
    molecule = read_smiles("CO", "MTH")
    assert group_atoms(molecule, 1) == (tuple(range(6)),)
    assert bead_bonds(molecule, group_atoms(molecule, 1)) == ()


def test_beads_by_names_of_atoms():
    molecule = read_smiles("CO", "MTH")
    assert read_groups(molecule, ["C1 H1 H2 H3", "O1,H4"]) == ((0, 2, 3, 4), (1, 5))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["C1 H1 H2 H3", "O2 H4"], "no atom O2 in 'CO'; its atoms are C1 O1"),
        (["C1 H1 H2 H3 H4", "O1"], "bond of H4 to O1 is constrained"),
        (["C1 H1 H2 H3"], "atom O1, H4 of 'CO' is in no bead"),
        (["C1 H1 H2 H3 H4", "O1 H4"], "atom H4 is in two beads"),
        (["C1 O1 H1 H2 H3 H4", " "], "a bead without atoms"),
    ],
)
def test_beads_that_cannot_be_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        read_groups(read_smiles("CO", "MTH"), texts)


def test_beads_without_bonds_within_are_found():
    molecule = read_smiles("CCO", "ETH")
    apart = read_groups(molecule, ["C1 H1 H2 H3 O1 H6", "C2 H4 H5"])
    assert loose_beads(molecule, apart) == [0]


@pytest.mark.parametrize(("smiles", "n_beads"), [("CO", 3), ("CO", 0), ("O", 2)])
def test_more_beads_than_heavy_atoms_are_refused(smiles, n_beads):
    with pytest.raises(InputError, match="heavy atoms and cannot be"):
        group_atoms(read_smiles(smiles, "MOL"), n_beads)


def test_types_do_not_depend_on_the_order_of_beads():
    molecule = read_smiles("CC(C)O", "IPA")
    groups = group_atoms(molecule, 4)
    (there,) = name_beads([molecule], [groups])
    (back,) = name_beads([molecule], [groups[::-1]])
    by_atoms = {bead.atoms: bead.type for bead in there}
    assert [by_atoms[bead.atoms] for bead in back] == [bead.type for bead in back]
    assert np.unique([bead.type for bead in there]).tolist() == ["CH", "CH3", "OH"]


def test_hydrogens_that_are_not_named_go_with_what_they_are_bonded_to():
    methanol = read_smiles("CO", "MTH")
    assert read_groups(methanol, ("C1", "O1")) == read_groups(methanol, ("C1 H1 H2 H3", "O1 H4"))
    assert read_groups(methanol, ("C1 H1", "O1"))[0] == (0, 2, 3, 4)
