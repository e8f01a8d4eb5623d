import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.starting import molecules
from openmm_cgml.starting.molecules import atom_names, formula_of, read_smiles


@pytest.fixture(scope="module")
def methanol():
    return read_smiles("CO", "MTH")


def test_methanol_has_atoms_in_the_order_of_its_smiles_and_a_sensible_geometry(methanol):
    assert methanol.atom_names == ("C1", "O1", "H1", "H2", "H3", "H4")
    assert methanol.elements == ("C", "O", "H", "H", "H", "H")
    assert set(methanol.bonds) == {(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)}
    lengths = {
        pair: np.linalg.norm(methanol.positions[pair[0]] - methanol.positions[pair[1]]) for pair in methanol.bonds
    }
    assert lengths[0, 1] == pytest.approx(0.142, abs=0.005)
    assert lengths[1, 5] == pytest.approx(0.097, abs=0.005)
    np.testing.assert_allclose(methanol.positions.mean(axis=0), 0, atol=1e-12)
    assert methanol.masses.sum() == pytest.approx(32.04, abs=0.01)
    assert methanol.volume == pytest.approx(0.037, abs=0.003)  # nm^3


def test_equivalent_atoms_share_a_class(methanol):
    classes = methanol.symmetry.tolist()
    assert classes[2] == classes[3] == classes[4] != classes[5]
    assert len(set(read_smiles("c1ccccc1", "BNZ").symmetry.tolist())) == 2


@pytest.mark.slow
def test_the_same_smiles_gives_the_same_molecule_and_another_seed_another_conformation():
    one, again, other = (read_smiles("CCCCO", "BUT", seed=seed) for seed in (1, 1, 2))
    assert one.mol_block == again.mol_block and np.array_equal(one.positions, again.positions)
    assert not np.allclose(one.positions, other.positions)


@given(st.lists(st.sampled_from(["C", "H", "O", "Cl", "N"]), min_size=1, max_size=30))
def test_names_of_atoms_are_unique_and_say_the_element(elements):
    names = atom_names(elements)
    assert len(set(names)) == len(elements)
    if sorted(elements) != ["H", "H", "O"]:
        assert all(name.rstrip("0123456789") == symbol.upper() for name, symbol in zip(names, elements, strict=True))


@pytest.mark.parametrize(
    ("elements", "formula"),
    [("CHHH", "CH3"), ("OH", "OH"), ("HHO", "H2O"), ("CCHHO", "C2H2O"), ("NHH", "NH2"), (["C", "Cl"], "CCl")],
)
def test_formulas_are_written_as_chemists_do(elements, formula):
    assert formula_of(list(elements)) == formula


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("C(", "cannot be read"),
        ("", "cannot be read"),
        ("CO.O", "holds 2 molecules.*--smiles 'CO=100' --smiles 'O=100'"),
        ("[Na+]", "has Na; GAFF-2 knows"),
        ("C[NH3+]", r"has charge \+1"),
        ("[CH3]", "is a radical"),
        ("*CC*", r"open ends \(\*\)"),
        ("[2H]C", "names isotopes"),
        ("[H][H]", "with a heavy atom"),
        ("C" * 90, "has 272 atoms"),
    ],
)
def test_what_cannot_be_set_up_is_refused_by_name(smiles, message, capfd):
    with pytest.raises(InputError, match=message):
        read_smiles(smiles, "MOL")
    assert not capfd.readouterr().err


@pytest.mark.slow
def test_open_stereochemistry_is_noted_with_what_was_taken():
    assert read_smiles("C[C@H](O)F", "MOL").notes == ()
    (note,) = read_smiles("CC(O)F", "MOL").notes
    assert "stereo center C2 open; all molecules are" in note and ("are R" in note or "are S" in note)
    (note,) = read_smiles("CC=CC", "MOL").notes
    assert "double bond C2=C3 open" in note and ("are E" in note or "are Z" in note)


def test_missing_rdkit_names_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdkit.Chem", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'openmm-cgml\[molecules\]'"):
        molecules.chemistry()
