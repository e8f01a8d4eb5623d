import numpy as np

from openmm_cgml.topology.masses import undo_repartitioning

ELEMENTS = np.array([12.011, 1.008, 1.008, 1.008, 15.999, 1.008])  # methanol
IS_HYDROGEN = ELEMENTS < 2
BONDS = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [4, 5]])


def undo(masses):
    return undo_repartitioning(np.asarray(masses), ELEMENTS, IS_HYDROGEN, BONDS)


def test_mass_that_was_moved_to_hydrogens_is_moved_back():
    moved = ELEMENTS + np.array([-6.048, 2.016, 2.016, 2.016, -2.016, 2.016])
    np.testing.assert_allclose(undo(moved), ELEMENTS)


def test_isotopes_and_united_atoms_keep_their_masses():
    deuterated = ELEMENTS + np.array([0, 1.006, 1.006, 1.006, 0, 0])
    np.testing.assert_allclose(undo(deuterated), deuterated)


def test_atoms_that_do_not_move_have_the_masses_of_their_elements():
    np.testing.assert_allclose(undo(ELEMENTS * np.array([0, 1, 1, 1, 1, 1])), ELEMENTS)
