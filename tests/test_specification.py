import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.shipped import find_system
from openmm_cgml.specification import SystemSpecification, read_specification

SHIPPED = (find_system("benzene-3bead") / "system.yaml").read_text()


def write(tmp_path, text):
    path = tmp_path / "system.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("name", "n_beads"), [("benzene-1bead", 1), ("benzene-3bead", 3)])
def test_shipped_systems_describe_benzene(name, n_beads):
    specification = read_specification(name)
    (template,) = specification.templates()
    assert specification.name == name
    assert (specification.temperature, specification.residues[0].count) == (300.0, 500)
    assert len(template.bead_names) == n_beads
    assert sum(template.masses) == pytest.approx(78.11, abs=0.01)
    assert max(template.masses) == pytest.approx(min(template.masses))
    assert specification.reference.density == pytest.approx(0.84)


def test_three_beads_are_bonded_in_a_ring():
    (template,) = read_specification("benzene-3bead").templates()
    assert template.bonds == ((0, 1), (0, 2), (1, 2))
    assert template.bead_type_names == ("C2H2",) * 3


def test_folder_and_file_are_read_alike(tmp_path):
    path = write(tmp_path, SHIPPED)
    assert read_specification(path) == read_specification(tmp_path) == read_specification("benzene-3bead")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[C1, C2, H1, H2]", "[C1, C2, H1, H9]", "H9 is not defined"),
        ("[C1, C2, H1, H2]", "[C1, C2, H1]", "H2 are in no bead"),
        ("[C1, C2, H1, H2]", "[C1, C2, H1, H2, H3]", "H3 appears more than once"),
        ("[B1, B2]", "[B1, B9]", "B9 is not defined"),
        ("[B1, B2]", "[B1, B1]", "bonded to itself"),
        ("[B1, B2]", "[B3, B1]", "B1-B3 appears more than once"),
        ("{name: B2, type: C2H2", "{name: B2, type: c2h2", "differ only by case"),
        ("{name: B2", "{name: B1", "B1 appears more than once"),
        ("300 kelvin", "300", "temperature"),
        ("count: 500", "count: 0", "count"),
        ("time_step: 4 fs", "timestep: 4 fs", "did you mean 'time_step'"),
        ("count: 500", "cuont: 500", "did you mean 'count'"),
    ],
)
def test_mistakes_are_named(tmp_path, old, new, message):
    assert old in SHIPPED
    with pytest.raises(InputError, match=message):
        read_specification(write(tmp_path, SHIPPED.replace(old, new, 1)))


def test_unknown_element_is_named():
    text = {"name": "R", "count": 1, "atoms": [{"name": "C1", "element": "Qq"}]}
    beads = [{"name": "B", "type": "B", "atoms": ["C1"]}]
    specification = SystemSpecification(name="x", temperature=300.0, residues=({**text, "beads": beads},))
    with pytest.raises(InputError, match="unknown element 'Qq'"):
        specification.templates()


def test_unknown_residue_names_the_known_ones():
    with pytest.raises(InputError, match="no residue 'WAT'; it has: BNZ"):
        read_specification("benzene-1bead").residue("WAT")


CHAINS = """
name: vinyl
temperature: 300 kelvin
residues:
  - {name: VIH, atoms: [{name: C1, element: C}, {name: H1, element: H}], beads: [{name: B1, type: V, atoms: [C1, H1]}]}
  - {name: VIM, atoms: [{name: C1, element: C}], beads: [{name: B1, type: V, atoms: [C1]}]}
chains: [{name: vinyl, head: VIH, body: VIM, tail: VIH, links: [[C1, C1]], monomers: 5, count: 2}]
reference:
  force_field: atomistic.xml
  molecule: chain.pdb
  density: 0.3 g/cm^3
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  density", "  tacticity: atactic\n  density", "give both, or none"),
        ("  density", "  stereocenter: C1\n  density", "give both, or none"),
        ("  density", "  tacticity: eutactic\n  stereocenter: C1\n  density", "isotactic"),
        ("molecule: chain.pdb", "molecule: {VIH: a.pdb, VIM: b.pdb}", "chains take one PDB file of a short chain"),
        ("  molecule: chain.pdb\n", "", "needs the PDB file"),
    ],
)
def test_mistakes_about_chains_of_files_are_named(tmp_path, old, new, message):
    (tmp_path / "system.yaml").write_text(CHAINS)
    reference = read_specification(tmp_path).reference
    assert reference.molecule == tmp_path / "chain.pdb" and reference.tacticity is None
    (tmp_path / "system.yaml").write_text(CHAINS.replace(old, new))
    with pytest.raises(InputError, match=message):
        read_specification(tmp_path)


def test_a_tacticity_without_chains_is_refused(tmp_path):
    text = (find_system("benzene-1bead") / "system.yaml").read_text()
    (tmp_path / "system.yaml").write_text(
        text.replace("reference:\n", "reference:\n  tacticity: atactic\n  stereocenter: C1\n")
    )
    with pytest.raises(InputError, match="has no chains; leave it out"):
        read_specification(tmp_path)
