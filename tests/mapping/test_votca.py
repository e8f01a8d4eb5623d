import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.mapping import mapping_from_specification, mapping_from_votca, read_votca_mapping
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification
from tests.mapping.test_labels import chain_atoms, solution

THREE = """<cg_molecule>
  <name>BNZ</name>
  <ident>benzene</ident>
  <topology>
    <cg_beads>
      <cg_bead><name>B1</name><type>C2H2</type><mapping>CC</mapping>
        <beads> 1:BNZ:C1 1:BNZ:C2 1:BNZ:H1 1:BNZ:H2 </beads></cg_bead>
      <cg_bead><name>B2</name><type>C2H2</type><mapping>CC</mapping>
        <beads> 1:BNZ:C3 1:BNZ:C4
                1:BNZ:H3 1:BNZ:H4 </beads></cg_bead>
      <cg_bead><name>B3</name><type>C2H2</type><mapping>CC</mapping>
        <beads>1:BNZ:C5 1:BNZ:C6 1:BNZ:H5 1:BNZ:H6</beads></cg_bead>
    </cg_beads>
    <cg_bonded>
      <bond><name>cc</name><beads>
        B1 B2
        B2 B3
        B1 B3
      </beads></bond>
      <angle><name>ccc</name><beads>B1 B2 B3</beads></angle>
    </cg_bonded>
  </topology>
  <maps>
    <map><name>CC</name><weights> 12.011 12.011 1.008 1.008 </weights></map>
  </maps>
</cg_molecule>
"""


def read(tmp_path, text):
    (tmp_path / "m.xml").write_text(text)
    return read_votca_mapping(tmp_path / "m.xml")


def test_a_file_gives_the_mapping_that_a_system_yaml_gives(tmp_path):
    atoms = benzene_atoms(3)
    molecule = read(tmp_path, THREE)
    assert (molecule.name, molecule.ident) == ("BNZ", "benzene")
    mapping, expected = (
        mapping_from_votca([molecule], atoms),
        mapping_from_specification(benzene_specification(3), atoms),
    )
    assert mapping.target.to_dict() == expected.target.to_dict()
    assert np.allclose(mapping.position_weights.toarray(), expected.position_weights.toarray(), rtol=0, atol=1e-15)
    frames = benzene_frames(3, 2)
    assert np.allclose(mapping(frames).forces, expected(frames).forces)


def test_force_coefficients_are_weighed_by_position_weights(tmp_path):
    text = THREE.replace("</weights>", "</weights><d> 2 2 0 0 </d>")
    mapping = mapping_from_votca([read(tmp_path, text)], benzene_atoms(1))
    weights = mapping.force_weights.toarray()[0]
    total = 2 * 13.019
    assert weights[[0, 1]] == pytest.approx([0.5 * total / 12.011] * 2)
    assert (weights[2:] == 0).all()


def test_molecules_that_no_file_describes_have_no_beads(tmp_path):
    mapping = mapping_from_votca([read(tmp_path, THREE)], solution(n_molecules=2))
    assert mapping.n_beads == 6 and mapping.n_atoms == 33


def test_residues_are_counted_within_their_molecule(tmp_path):
    text = """<cg_molecule><name>PE</name><ident>pe</ident><topology><cg_beads>
      <cg_bead><name>E</name><type>E</type><mapping>one</mapping><beads>3:PET:C2</beads></cg_bead>
    </cg_beads></topology><maps><map><name>one</name><weights>1</weights></map></maps></cg_molecule>"""
    atoms = chain_atoms(2, 3)
    mapping = mapping_from_votca([read(tmp_path, text)], atoms)
    assert mapping.n_beads == 2
    ends = [i for i, name in enumerate(atoms.names) if name == "C2" and atoms.residue_names[atoms.residues[i]] == "PET"]
    assert mapping.position_weights.indices.tolist() == ends


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("cg_molecule", "molecule"), "root is <molecule>"),
        (("</cg_molecule>", ""), "no XML"),
        (("<mapping>CC</mapping>", "<mapping>XX</mapping>"), "bead B1 has the mapping 'XX'; there are maps CC"),
        (("12.011 12.011 1.008 1.008", "12.011 1.008"), "bead B1 has 4 atoms, its map 'CC' 2 weights"),
        (("12.011 12.011", "12.011 -1"), "not negative"),
        (("12.011 12.011", "12.011 x"), "no number"),
        (("12.011 12.011", "12.011 nan"), "numbers are finite"),
        (("12.011 12.011 1.008 1.008 </weights>", "1 1 0 0</weights><d>1 1 1 1</d>"), "atom of no weight"),
        (("1:BNZ:C1", "BNZ:C1"), "'BNZ:C1' is no atom; write them as 1:RESIDUE:ATOM"),
        (("<name>B2</name>", "<name>B1</name>"), "two beads have one name"),
        (("B2 B3\n", "B2 B7\n"), "B7 is no such pair's"),
        (("<ident>benzene</ident>", ""), "lacks <ident>"),
    ],
)
def test_files_that_say_what_cannot_be_are_refused(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, THREE.replace(*change))


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no XML that can be read"):
        read_votca_mapping(tmp_path / "none.xml")


def test_molecules_of_other_atoms_and_inconsistent_weights_are_refused(tmp_path):
    other = read(tmp_path, THREE.replace("1:BNZ:C1", "1:BNZ:C9"))
    with pytest.raises(InputError, match=r"has all the atoms of mapping 'BNZ' \(such as 1:BNZ:C9"):
        mapping_from_votca([other], benzene_atoms(1))
    with pytest.raises(InputError, match="several mapping files"):
        mapping_from_votca([read(tmp_path, THREE)] * 2, benzene_atoms(1))
    shared = read(tmp_path, THREE.replace("1:BNZ:C3", "1:BNZ:C2"))
    with pytest.raises(InputError, match="force weights do not fit"):
        mapping_from_votca([shared], benzene_atoms(1))
