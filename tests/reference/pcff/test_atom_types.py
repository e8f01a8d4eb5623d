import numpy as np
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff import assign_pcff_types, compute_bond_increment_charges
from tests.reference.pcff import made_up, molecules


def molecule(elements, bonds):
    topology = app.Topology()
    residue = topology.addResidue("MOL", topology.addChain())
    atoms = [topology.addAtom(f"{s}{i}", app.Element.getBySymbol(s), residue) for i, s in enumerate(elements)]
    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


def test_carbons_of_an_alkane_are_typed_by_their_hydrogens():
    assert assign_pcff_types(molecules.alkane([180])[0]) == ["c3", "c2", "c2", "c3"] + ["hc"] * 10


def test_branches_and_methane_have_types_too():
    isobutane = molecule("CCCC" + "H" * 10, [(0, 1), (0, 2), (0, 3), (0, 4), *((1 + i // 3, 5 + i) for i in range(9))])
    assert assign_pcff_types(isobutane)[:4] == ["c1", "c3", "c3", "c3"]
    assert assign_pcff_types(molecule("CHHHH", [(0, i) for i in range(1, 5)]))[0] == "c"


@pytest.mark.parametrize(
    ("elements", "bonds", "match"),
    [
        ("CHHH", [(0, 1), (0, 2), (0, 3)], r"atom 0 \(C0 of MOL\) is C bonded to H, H, H"),
        ("OHH", [(0, 1), (0, 2)], r"atom 0 \(O0 of MOL\) is O"),
        ("HH", [(0, 1)], r"is H bonded to H"),
        ("H", [], r"is H bonded to nothing"),
    ],
)
def test_other_atoms_are_refused(elements, bonds, match):
    with pytest.raises(InputError, match=match):
        assign_pcff_types(molecule(elements, bonds))


def test_charges_are_sums_of_bond_increments(tmp_path):
    topology, _ = molecules.alkane([180])
    charges = compute_bond_increment_charges(topology, assign_pcff_types(topology), made_up.parameters(tmp_path))
    np.testing.assert_allclose(charges, [-0.18, -0.12, -0.12, -0.18] + [0.06] * 10)


def test_missing_increments_are_named(tmp_path):
    topology, _ = molecules.alkane([180])
    with pytest.raises(InputError, match=r"bond_increments: cp-c2\n"):
        compute_bond_increment_charges(topology, ["cp", "c2", "c2", "c3"] + ["hc"] * 10, made_up.parameters(tmp_path))
