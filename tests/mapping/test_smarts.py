import sys

import numpy as np
import pytest

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.mapping import group_by_smarts
from tests.mapping.test_partition import BENZENE, chain

pytest.importorskip("rdkit")


def of_smiles(smiles):
    from rdkit import Chem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    atoms = list(molecule.GetAtoms())
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    return [a.GetMass() for a in atoms], [a.GetSymbol() for a in atoms], bonds


def test_each_match_is_a_bead_and_hydrogens_follow():
    labels = group_by_smarts(*chain(6), ["[CH3][CH2]", "[CH2][CH2]"])
    assert labels[:6].tolist() == [0, 0, 1, 1, 2, 2]
    assert labels[6:].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]


def test_patterns_have_priority_in_their_order():
    ethanol = of_smiles("CCO")
    assert group_by_smarts(*ethanol, ["[CH2]O", "[CH3]", "C"])[:3].tolist() == [0, 1, 1]
    assert group_by_smarts(*ethanol, ["[CH3]C", "O"])[:3].tolist() == [0, 0, 1]


def test_aromatic_bonds_are_found_from_valences_or_a_smiles_string():
    for given in ({}, {"smiles": "c1ccccc1"}):
        labels = group_by_smarts(*BENZENE, ["c:c"], **given)
        assert np.bincount(labels).tolist() == [4, 4, 4]
    with pytest.raises(InputError, match="in no match of C=C"):
        group_by_smarts(*BENZENE, ["C=C"])


def test_charged_molecules_need_their_charge():
    acetate = of_smiles("CC(=O)[O-]")
    assert group_by_smarts(*acetate, ["C(=O)[O-]", "[CH3]"], charge=-1)[:4].tolist() == [0, 1, 1, 1]
    with pytest.raises(InputError, match="no bond orders fit these 7 atoms"):
        group_by_smarts(*acetate, ["C(=O)O", "[CH3]"])


@pytest.mark.parametrize(
    ("patterns", "given", "message"),
    [
        (["[CH3]"], {}, r"2 heavy atoms are in no match of \[CH3\]: 1 \(C\), 2 \(O\)"),
        (["C1("], {}, "is no SMARTS pattern"),
        (["C.O"], {}, "unconnected parts"),
        (["*"], {"smiles": "C1("}, "is no SMILES"),
        (["*"], {"smiles": "CCC"}, "no bond orders fit"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_wrong_is_named(patterns, given, message):
    with pytest.raises(InputError, match=message):
        group_by_smarts(*of_smiles("CCO"), patterns, **given)


def test_unknown_elements_are_refused_by_name():
    masses, elements, bonds = chain(2)
    with pytest.raises(InputError, match="element 'CH9' is not known to RDKit"):
        group_by_smarts(masses, ["CH9", *elements[1:]], bonds, ["*"])


def test_without_rdkit_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(MissingDependencyError, match=r"openmm-cgml\[mapping\]"):
        group_by_smarts(*BENZENE, ["c:c"])
