"""Short chains of repeat units: order of atoms, names, ends, stereochemistry, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.reference.flexible_chains import hand_of
from openmm_cgml.starting.oligomers import make_oligomer, read_repeat_unit

NAMES = ("AAH", "AAM", "AAT")


def oligomer(smiles, n_units=4, ends=(), **settings):
    return make_oligomer(read_repeat_unit(smiles, ends), n_units, NAMES, **settings)


def test_residues_have_the_same_atoms_in_the_same_order_and_the_ends_more():
    chain = oligomer("[*]CC(C)[*]")
    inner = [chain.atom_names[atom] for atom in chain.residues[1]]
    assert inner == ["C1", "C2", "C3", "H1", "H2", "H3", "H4", "H5", "H6"]
    assert [chain.atom_names[atom] for atom in chain.residues[2]] == inner
    for number in (0, -1):
        assert [chain.atom_names[atom] for atom in chain.residues[number]] == [*inner, "H7"]
    assert (chain.entry, chain.exit, chain.stereocenter) == ("C1", "C2", "C2")
    assert chain.residue_names == ("AAH", "AAM", "AAM", "AAT")


def test_hydrogens_belong_to_the_residue_of_what_they_are_bonded_to():
    chain = oligomer("[*]CCO[*]")
    residue_of = {atom: number for number, members in enumerate(chain.residues) for atom in members}
    between = [pair for pair in chain.molecule.bonds if residue_of[pair[0]] != residue_of[pair[1]]]
    names = {tuple(chain.atom_names[atom] for atom in pair) for pair in between}
    assert len(between) == 3 and names == {("O1", "C1")}
    assert sorted(atom for members in chain.residues for atom in members) == list(range(chain.molecule.n_atoms))


@pytest.mark.parametrize(
    ("smiles", "ends", "formula"),
    [
        ("[*]CC(C)[*]", (), "C9H20"),
        ("[*]CCO[*]", ("C[*]",), "C8H18O3"),
        ("[*]CCO[*]", ("O[*]", "C[*]"), "C7H16O4"),
        ("*CC*", (), "C6H14"),
        ("[*]C[*]", (), "C3H8"),
        ("[*]CC(c1ccccc1)[*]", (), "C24H26"),
        ("[*]O[C@@H](C)C(=O)[*]", ("[H][*]", "O[*]"), "C9H14O7"),
        ("[*]C/C=C\\C[*]", (), "C12H20"),
    ],
)
def test_three_units_and_their_ends_are_the_molecule_that_they_should_be(smiles, ends, formula):
    assert oligomer(smiles, 3, ends).molecule.formula == formula


def test_stereocenters_of_the_smiles_have_one_hand_in_all_units_and_open_ones_both():
    def hands(smiles):
        chain = oligomer(smiles, 5, n_conformations=8)
        found = []
        for positions in chain.conformations:
            for number in (1, 2, 3):
                members = {chain.atom_names[atom]: atom for atom in chain.residues[number]}
                following = chain.residues[number + 1][0]
                order = [members["C1"], members["C3"], following]
                found.append(hand_of(positions[members["C2"]], positions[order]))
        return set(found)

    assert len(hands("[*]C[C@H](C)[*]")) == 1
    assert hands("[*]C[C@@H](C)[*]") == {-hand for hand in hands("[*]C[C@H](C)[*]")}
    assert hands("[*]CC(C)[*]") == {1, -1}


def test_conformations_are_of_one_molecule_and_differ():
    chain = oligomer("[*]CCO[*]", n_conformations=10)
    assert chain.conformations.shape == (10, chain.molecule.n_atoms, 3)
    lengths = [
        np.linalg.norm(
            positions[[i for i, _ in chain.molecule.bonds]] - positions[[j for _, j in chain.molecule.bonds]], axis=1
        )
        for positions in chain.conformations
    ]
    assert np.ptp(lengths, axis=0).max() < 0.02
    ends = np.linalg.norm(chain.conformations[:, 0] - chain.conformations[:, -1], axis=1)
    assert np.ptp(ends) > 0.1


@pytest.mark.parametrize(
    ("smiles", "ends", "message"),
    [
        ("CC(C)", (), "has 0 open ends; mark two with"),
        ("[*]CC(C)", (), "has 1 open ends"),
        ("[*]CC([*])[*]", (), "has 3 open ends"),
        ("[*]=CC=[*]", (), "joined by single bonds"),
        ("[*][*]", (), "no atoms between its open ends"),
        ("[*]CC=CC[*]", (), "leaves a double bond open"),
        ("[*]C(F)C(Cl)[*]", (), "leaves 2 stereocenters open"),
        ("[*]CC[*]", ("C",), "needs one open end"),
        ("[*]CC[*]", ("C[*]", "C[*]", "C[*]"), "3 ends of a chain"),
        ("[*]C(", (), "cannot be read"),
    ],
)
def test_what_is_no_repeat_unit_is_refused(smiles, ends, message):
    with pytest.raises(InputError, match=message):
        read_repeat_unit(smiles, ends)


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("[*]CC([N+](C)(C)C)[*]", "a chain of it has charge"),
        ("[*][Si](C)(C)O[*]", "has Si"),
        ("[*]C[CH][*]", "radical"),
    ],
)
def test_what_gaff_does_not_know_is_refused(smiles, message):
    with pytest.raises(InputError, match=message):
        oligomer(smiles)


def test_a_chain_of_too_many_atoms_is_refused():
    with pytest.raises(InputError, match="a chain of it has 257 atoms"):
        oligomer(f"[*]C{'C(C)(C)C' * 4}[*]", 5)


@settings(max_examples=10, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(["C", "O", "C(=O)", "C(F)(F)", "NC", "C(C)(C)C", "Cc1ccc(cc1)"]), min_size=1, max_size=3
    ),
    n_units=st.integers(2, 4),
)
def test_inner_residues_of_any_chain_are_alike(parts, n_units):
    """Elements, names and bonds within a residue do not depend on where it is in the chain."""
    chain = oligomer(f"[*]C{''.join(parts)}[*]", n_units)
    place = {atom: i for members in chain.residues for i, atom in enumerate(members)}
    looks = []
    for members in chain.residues[1:-1]:
        bonds = [(place[i], place[j]) for i, j in chain.molecule.bonds if i in members and j in members]
        looks.append(([chain.molecule.elements[a] for a in members], [chain.atom_names[a] for a in members], bonds))
    assert all(look == looks[0] for look in looks)
