import numpy as np

from openmm_cgml.topology import AtomTopology


def test_atoms_become_beads_typed_by_element_in_residues_counted_from_zero():
    atoms = AtomTopology(
        names=("O", "H1", "H2", "NA"),
        elements=("O", "H", "H", "Na"),
        masses=np.array([16.0, 1.0, 1.0, 23.0]),
        residues=np.array([1, 1, 1, 3]),
        residue_names=("X", "HOH", "Y", "NA"),
        molecules=np.array([0, 0, 0, 1]),
        bonds=np.array([[0, 1], [0, 2]]),
        constraints=np.zeros((0, 2), int),
    )
    beads = atoms.to_beads()
    assert [beads.type_names[t] for t in beads.bead_types] == ["O", "H", "H", "Na"]
    assert [beads.residue_names[r] for r in beads.residues] == ["HOH", "HOH", "HOH", "NA"]
    assert (beads.bead_names, beads.n_molecules, beads.bonds.tolist()) == (atoms.names, 2, [[0, 1], [0, 2]])
    np.testing.assert_array_equal(beads.masses, atoms.masses)
