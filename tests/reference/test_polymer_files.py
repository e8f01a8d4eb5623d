"""What a polymer of files is refused for, and what it becomes."""

import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference.polymer_files import read_polymer
from tests.reference import short_chains


def read(tmp_path, *, chain=short_chains.CHAIN, tacticity=None, stereocenter=None, **changes):
    path = short_chains.write(tmp_path / "chain.pdb", **changes)
    return read_polymer(path, chain, tacticity=tacticity, stereocenter=stereocenter)


def test_residues_are_head_body_and_tail(tmp_path):
    polymer = read(tmp_path)
    assert [len(unit.atom_names) for unit in (polymer.head, polymer.body, polymer.tail)] == [7, 6, 7]
    assert polymer.n_atoms(6) == 4 * 6 + 2 * 7
    topology = polymer.topology(2, 5)
    assert topology.getNumBonds() == 2 * (5 * 5 + 4 + 2)
    assert [residue.name for residue in topology.residues()][:5] == ["VIH", "VIM", "VIM", "VIM", "VIT"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_units": 2}, "one chain of 3 residues or more is needed: VIH, VIM ..., VIT"),
        ({"names": ("VIH", "XXX", "VIT")}, "residues VIH, XXX, XXX, VIT"),
        ({"chain": short_chains.CHAIN.model_copy(update={"links": (("C1", "C2"),)})}, "system.yaml has C1-C2 between"),
        ({"chain": short_chains.CHAIN.model_copy(update={"links": (("C2", "C1"), ("F1", "H1"))})}, "has 2 links"),
        ({"tacticity": "atactic", "stereocenter": "C9"}, "has no atom C9; it has C1 C2 F1"),
        ({"tacticity": "atactic", "stereocenter": "F1"}, "stereocenter F1 of residue VIH has 1 neighbors"),
    ],
)
def test_what_is_no_short_chain_of_this_polymer_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, **changes)


def test_a_file_that_is_missing_or_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"chain\.pdb: no such file"):
        read_polymer(tmp_path / "chain.pdb", short_chains.CHAIN)
    (tmp_path / "chain.pdb").write_text("not a structure\n")
    with pytest.raises(InputError, match=r"chain\.pdb"):
        read_polymer(tmp_path / "chain.pdb", short_chains.CHAIN)


def test_bonds_that_are_missing_are_named(tmp_path):
    with pytest.raises(InputError, match="bonds do not hold residue VIM together"):
        read(tmp_path, cut={(7, 8), (8, 7), (13, 14), (14, 13)})
