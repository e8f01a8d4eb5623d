"""Beads of repeat units: types of what is equivalent in a chain without end, and what the ends add."""

import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.starting.oligomers import make_oligomer, read_repeat_unit
from openmm_cgml.starting.polymer_beads import chain_beads, inner_residue, residue_bonds, unit_groups


def beads(smiles, n_beads=1, ends=(), texts=()):
    chain = make_oligomer(read_repeat_unit(smiles, ends), 3, ("AAH", "AAM", "AAT"))
    groups = unit_groups(chain, n_beads, texts)
    return chain, chain_beads(chain, groups), residue_bonds(chain, groups)


def types(own):
    return [bead.type for bead in own]


def test_one_bead_a_unit_takes_the_hydrogen_of_the_end_and_keeps_its_type():
    _, (head, body, tail), bonds = beads("[*]CC(C)[*]")
    assert types(head) == types(body) == types(tail) == ["C3H6"]
    assert [len(own[0].atoms) for own in (head, body, tail)] == [10, 9, 10]
    assert bonds == ()


def test_beads_that_a_chain_without_end_makes_equivalent_are_of_one_type():
    """In polyethylene both carbons are alike; in polypropylene they are not, and poly(ethylene oxide) has one oxygen."""
    assert types(beads("[*]CC[*]", 2)[1][1]) == ["CH2", "CH2"]
    assert len(set(types(beads("[*]CC(C)[*]", 2)[1][1]))) == 2
    assert sorted(types(beads("[*]CCO[*]", 3)[1][1])) == ["CH2", "CH2", "O"]


def test_a_heavy_end_has_a_type_of_its_own():
    _, (head, body, tail), _ = beads("[*]CCO[*]", ends=("[H][*]", "C[*]"))
    assert (types(head), types(body), types(tail)) == (["C2H4O"], ["C2H4O"], ["C3H7O"])
    _, (head, body, _), _ = beads("[*]CC[*]", 2, ends=("C[*]", "[H][*]"))
    assert types(body) == ["CH2", "CH2"] and types(head) == ["C2H5", "CH2"]


def test_the_end_joins_the_bead_of_the_atom_that_it_is_bonded_to():
    chain, (head, body, tail), bonds = beads("[*]CC(c1ccccc1)[*]", 2)
    assert bonds == ((0, 1),)
    for own, joint in ((head, "C1"), (tail, "C2")):
        (bead,) = [bead for bead, inner in zip(own, body, strict=True) if len(bead.atoms) > len(inner.atoms)]
        assert joint in [chain.atom_names[chain.residues[0][atom]] for atom in bead.atoms]


def test_beads_by_names():
    chain, (_, body, _), _ = beads("[*]CC(C)[*]", texts=("C1 H1 H2", "C2 H3 C3 H4 H5 H6"))
    names = [chain.atom_names[atom] for atom in chain.residues[1]]
    assert [[names[atom] for atom in bead.atoms] for bead in body] == [
        ["C1", "H1", "H2"],
        ["C2", "C3", "H3", "H4", "H5", "H6"],
    ]
    with pytest.raises(InputError, match="no atom H7"):
        beads("[*]CC(C)[*]", texts=("C1 H1 H2 H7", "C2 H3 C3 H4 H5 H6"))


def test_more_beads_than_heavy_atoms_are_refused():
    with pytest.raises(InputError, match="2 heavy atoms and cannot be 3 beads"):
        beads("[*]CC[*]", 3)


def test_an_inner_residue_alone_has_no_ends():
    chain = make_oligomer(read_repeat_unit("[*]CCO[*]"), 4, ("AAH", "AAM", "AAT"))
    inner = inner_residue(chain)
    assert (inner.formula, len(inner.bonds)) == ("C2H4O", 6)
