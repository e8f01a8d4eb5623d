import numpy as np
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.trajectories.elements import element_masses, elements_of_masses
from openmm_cgml.trajectories.topology_files import read_atom_topology
from tests.trajectories.liquid import BONDS, N_MOLECULES, write_data


def test_a_lammps_data_file_gives_elements_molecules_and_names_of_its_own_making(tmp_path):
    found = read_atom_topology(write_data(tmp_path / "a.data"))
    atoms = found.atoms
    np.testing.assert_array_equal(atoms.bonds, BONDS)
    assert atoms.elements == ("C", "O") * N_MOLECULES
    assert atoms.names == ("C1", "O1") * N_MOLECULES
    assert atoms.residue_names == ("M1",) * N_MOLECULES
    np.testing.assert_array_equal(atoms.molecules, np.arange(2 * N_MOLECULES) // 2)
    np.testing.assert_array_equal(found.kept, np.arange(2 * N_MOLECULES))


def data_file(atoms, bonds, masses, style="full"):
    lines = [
        "made up",
        "",
        f"{len(atoms)} atoms",
        f"{len(bonds)} bonds",
        f"{len(masses)} atom types",
        "1 bond types",
        "",
    ]
    lines += ["0 20 xlo xhi", "0 20 ylo yhi", "0 20 zlo zhi", "", "Masses", ""]
    lines += [f"{number} {mass}" for number, mass in enumerate(masses, 1)]
    lines += ["", f"Atoms # {style}", "", *atoms, "", "Bonds", ""]
    lines += [f"{number} 1 {i} {j}" for number, (i, j) in enumerate(bonds, 1)]
    return "\n".join([*lines, ""])


def test_molecules_of_several_kinds_are_told_apart_by_their_bonds(tmp_path):
    atoms = [f"{i} {mol} {kind} 0 {i} 0 0" for i, mol, kind in ((1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 3, 1), (5, 3, 2))]
    (tmp_path / "a.data").write_text(data_file(atoms, [(1, 2), (4, 5)], [12.011, 1.008]))
    found = read_atom_topology(tmp_path / "a.data").atoms
    assert found.residue_names == ("M1", "M2", "M1")
    assert found.names == ("C1", "H1", "C1", "C1", "H1")


def test_atoms_of_a_data_file_in_any_order_are_sorted_by_their_ids(tmp_path):
    atoms = ["3 1 2 0 2 0 0", "1 1 1 0 0 0 0", "2 1 2 0 1 0 0"]
    (tmp_path / "a.data").write_text(data_file(atoms, [(1, 3), (2, 1)], [15.9994, 1.0]))
    found = read_atom_topology(tmp_path / "a.data").atoms
    assert found.elements == ("O", "H", "H")
    np.testing.assert_array_equal(found.bonds, [[0, 1], [0, 2]])


def test_a_bond_between_the_hydrogens_of_a_water_is_none(tmp_path):
    atoms = ["1 1 1 0 0 0 0", "2 1 2 0 1 0 0", "3 1 2 0 0 1 0", "4 2 2 0 5 0 0", "5 2 2 0 5.7 0 0"]
    (tmp_path / "a.data").write_text(data_file(atoms, [(1, 2), (1, 3), (2, 3), (4, 5)], [15.9994, 1.008]))
    bonds = read_atom_topology(tmp_path / "a.data").atoms.bonds
    np.testing.assert_array_equal(bonds, [[0, 1], [0, 2], [3, 4]])  # that of a hydrogen molecule stays


@pytest.mark.parametrize("style", ["molecular", "atomic", "charge"])
def test_other_atom_styles_are_known_by_the_comment(tmp_path, style):
    columns = {"molecular": "{i} 1 1 {i} 0 0", "atomic": "{i} 1 {i} 0 0", "charge": "{i} 1 0.0 {i} 0 0"}[style]
    atoms = [columns.format(i=i) for i in (1, 2)]
    (tmp_path / "a.data").write_text(data_file(atoms, [(1, 2)], [39.95], style))
    assert read_atom_topology(tmp_path / "a.data").atoms.elements == ("Ar", "Ar")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.data", data_file(["1 1 1 0 0 0 0"], [], [12.011], "ellipsoid"), "atom style 'ellipsoid'"),
        ("a.data", "no such sections\n", "no section `Atoms`"),
        ("a.data", data_file(["1 1 1 0 0 0 0"], [], [28.05]), "no element has a mass of 28.05"),
        ("a.txt", "", "must end in .data"),
        ("a.prmtop", "nothing\n", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_way_out(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_atom_topology(tmp_path / name)


def test_a_missing_topology_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_atom_topology(tmp_path / "none.tpr")


def test_a_pdb_file_keeps_its_names(tmp_path):
    topology = app.Topology()
    residue = topology.addResidue("MOH", topology.addChain())
    atoms = [topology.addAtom(n, app.Element.getBySymbol(n[0]), residue) for n in ("C1", "O1", "H1")]
    topology.addBond(atoms[0], atoms[1])
    topology.addBond(atoms[1], atoms[2])
    with open(tmp_path / "a.pdb", "w") as file:
        app.PDBFile.writeFile(topology, np.eye(3) * 0.3, file)
    found = read_atom_topology(tmp_path / "a.pdb").atoms
    assert found.names == ("C1", "O1", "H1")
    assert found.residue_names == ("MOH",)
    np.testing.assert_array_equal(found.bonds, [[0, 1], [1, 2]])


def test_every_element_is_found_by_its_own_mass():
    common = ("H", "Li", "C", "N", "O", "F", "Na", "Si", "P", "S", "Cl", "K", "Fe", "Zn", "Br", "I", "Au", "Pb")
    assert elements_of_masses(element_masses(common)) == common
    assert elements_of_masses(np.array([1.0, 12.0112, 14.0, 16.0, 35.5])) == ("H", "C", "N", "O", "Cl")


def test_united_atoms_are_carbon_and_not_nitrogen_or_oxygen():
    assert elements_of_masses(np.array([13.019, 14.027, 15.035, 16.043, 14.0067, 15.9994])) == ("C",) * 4 + ("N", "O")


@pytest.mark.parametrize("mass", [3.024, 0.0, 72.0, 28.05])
def test_masses_of_no_element_are_refused(mass):
    with pytest.raises(InputError, match="names elements"):
        elements_of_masses(np.array([mass]))
