"""Beads by names of atoms: hydrogens that follow, ends of chains, several kinds of residues, what is refused."""

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.named import group_by_names
from tests.atoms import benzene_atoms
from tests.mapping.test_labels import solution


def beads_of(atoms, labels):
    """Names of the atoms of each bead of the first molecule."""
    found = {}
    for name, label, molecule in zip(atoms.names, labels, atoms.molecules, strict=True):
        if molecule == 0 and label >= 0:
            found.setdefault(int(label), []).append(name)
    return list(found.values())


def test_hydrogens_go_with_what_they_are_bonded_to():
    atoms = benzene_atoms(2)
    labels = group_by_names(atoms, ["C1 C2", "C3 C4", "C5 C6"])
    assert [sorted(names) for names in beads_of(atoms, labels)] == [
        ["C1", "C2", "H1", "H2"], ["C3", "C4", "H3", "H4"], ["C5", "C6", "H5", "H6"],
    ]  # fmt: skip
    np.testing.assert_array_equal(labels[12:], labels[:12] + 3)
    np.testing.assert_array_equal(labels, group_by_names(atoms, ["C1 H1 C2 H2", "C3, C4", "BNZ: C5 C6 H5 H6"]))


def test_residues_of_which_nothing_is_named_have_no_beads():
    atoms = solution()
    labels = group_by_names(atoms, ["BNZ: C1 C2 C3 C4 C5 C6"])
    mapped = np.array([atoms.residue_names[residue] == "BNZ" for residue in atoms.residues])
    np.testing.assert_array_equal(labels >= 0, mapped)


@pytest.mark.parametrize(
    ("beads", "message"),
    [
        (["C1 C2", "C3 C4"], "atoms C5 C6 are in no bead"),
        (["C1 C2 C3", "C3 C4 C5 C6"], "atom C3 is in two beads"),
        (["C1 C2 C3 C4 C5 C9"], "no atom C9 in any residue"),
        (["XYZ: C1"], "no residue XYZ; there are BNZ"),
        ([" : C1"], "give names of atoms"),
        ([" "], "give names of atoms"),
    ],
)
def test_what_is_no_division_is_refused(beads, message):
    with pytest.raises(InputError, match=message):
        group_by_names(benzene_atoms(2), beads)
