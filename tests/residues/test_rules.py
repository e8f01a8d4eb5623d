from dataclasses import replace

import numpy as np
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.residues import ChainTemplate, MoleculeTemplate, ResidueTemplate
from openmm_cgml.topology import CGTopology
from tests.fixtures import BENZENE_3, POLYETHYLENE, POLYETHYLENE_CHAIN

TYPES = ("CH3", "CH2")
OTHER = ResidueTemplate(name="OXM", bead_names=("O",), bead_type_names=("O",), masses=(16.0,))
OTHER_CHAIN = ChainTemplate(name="ether", head="OXM", body="OXM", tail="OXM", links=(("O", "O"),), monomers=5, count=1)


def chain(monomers):
    return MoleculeTemplate.from_names(POLYETHYLENE_CHAIN.residues(monomers), POLYETHYLENE, [POLYETHYLENE_CHAIN])


def openmm_chain(names=("PEH", "PEM", "PEM", "PET"), links=((0, 1), (1, 2), (2, 3)), beads=("C2", "C1")):
    """Residues of polyethylene, bonded inside, with links from residue to residue."""
    topology = app.Topology()
    group = topology.addChain()
    residues = []
    for name in names:
        residue = topology.addResidue(name, group)
        atoms = {bead: topology.addAtom(bead, None, residue) for bead in ("C1", "C2")}
        topology.addBond(*atoms.values())
        residues.append(atoms)
    for i, j in [link for link in links if max(link) < len(names)]:
        topology.addBond(residues[i][beads[0]], residues[j][beads[1]])
    return topology


def test_a_chain_is_one_molecule_bonded_from_end_to_end():
    topology = CGTopology.from_molecules([(chain(3), 2), (chain(2), 1)], TYPES)
    assert topology.residue_names == ("PEH", "PEM", "PET") * 2 + ("PEH", "PET")
    assert topology.molecules.tolist() == [0] * 6 + [1] * 6 + [2] * 4
    assert [topology.type_names[t] for t in topology.bead_types[:6]] == ["CH3", *["CH2"] * 4, "CH3"]
    bonds = [[i, i + 1] for i in range(16) if i not in (5, 11, 15)]
    assert topology.bonds.tolist() == bonds


def test_the_way_through_openmm_changes_nothing_about_chains():
    molecules = [(chain(5), 3), (MoleculeTemplate(residues=(BENZENE_3,)), 2), (chain(2), 30)]
    topology = CGTopology.from_molecules(molecules, (*TYPES, "C2H2"))
    templates = [*POLYETHYLENE, BENZENE_3]
    again = CGTopology.from_openmm(topology.to_openmm(np.eye(3)), templates, topology.type_names, [POLYETHYLENE_CHAIN])
    assert again.fingerprint == topology.fingerprint
    assert topology.recognized(templates, topology.type_names, [POLYETHYLENE_CHAIN]).fingerprint == topology.fingerprint


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        (openmm_chain(links=((0, 1), (2, 3))), r"residue 1 \('PEM'\) is bonded to 1 residue\(s\) before and 0 after"),
        (openmm_chain(("PEH", "PEM", "PEM")), r"residue 2 \('PEM'\) is bonded to 1 residue\(s\) before and 0 after"),
        (openmm_chain(beads=("C2", "C2")), "residues 0 .'PEH'. and 1 .'PEM'.: bonds missing between them: C2-C1; .*C2-C2"),
        (openmm_chain(("PEM", "PEH", "PEM", "PET")), "residues 0 and 1 are bonded .C2-C1.: residue 'PEH' cannot follow"),
        (openmm_chain(("PET", "PEM", "PEM", "PEH")), "residue 'PEM' cannot follow 'PET'.*no other residue may"),
        (openmm_chain(links=((0, 1), (1, 2), (2, 3), (0, 2))), r"residue 0 \('PEH'\) .* 2 after it; it has 0 before and 1"),
    ],
)  # fmt: skip
def test_bonds_between_residues_that_are_missing_or_not_allowed_are_refused_by_name(topology, message):
    with pytest.raises(InputError, match=message):
        CGTopology.from_openmm(topology, POLYETHYLENE, TYPES, [POLYETHYLENE_CHAIN])


def test_bonds_between_residues_need_chains():
    with pytest.raises(InputError, match="residue 'PEM' cannot follow 'PEH'"):
        CGTopology.from_openmm(openmm_chain(), POLYETHYLENE, TYPES)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("PEH", "PEM"), r"residue 1 \('PEM'\).*0 after it"),
        (("PEH", "PEH", "PET"), "'PEH' cannot follow 'PEH' in a molecule; only PEM, PET may"),
        (("PEH", "XXX"), "unknown residue 'XXX'; known are PEH, PEM, PET"),
        (("PEH",), r"0 after it; it has 0 before and 1 after"),
    ],
)
def test_molecules_that_no_chain_allows_are_refused(names, message):
    with pytest.raises(InputError, match=message):
        MoleculeTemplate.from_names(names, POLYETHYLENE, [POLYETHYLENE_CHAIN])


def test_residues_of_different_chains_are_joined_at_the_ends_that_both_have():
    names = ("PEH", "OXM", "OXM", "PEM", "PET")
    templates, chains = [*POLYETHYLENE, OTHER], [POLYETHYLENE_CHAIN, OTHER_CHAIN]
    topology = CGTopology.from_molecules([(MoleculeTemplate.from_names(names, templates, chains), 1)])
    assert topology.bonds.tolist() == [[i, i + 1] for i in range(7)]
    again = CGTopology.from_openmm(topology.to_openmm(), templates, topology.type_names, chains)
    assert again.fingerprint == topology.fingerprint
    with pytest.raises(InputError, match="'OXM' cannot follow 'PEH'"):
        MoleculeTemplate.from_names(names, templates, [POLYETHYLENE_CHAIN])


def test_chains_of_unknown_or_unlinked_residues_are_refused():
    for chain, message in (
        (replace(POLYETHYLENE_CHAIN, tail="XXX"), "chain 'polyethylene' has residue 'XXX'"),
        (replace(POLYETHYLENE_CHAIN, links=(("C3", "C1"),)), "nothing links residue 'PEH' to 'PEM'; links are C3-C1"),
    ):
        with pytest.raises(InputError, match=message):
            MoleculeTemplate.from_names(("PEH", "PET"), POLYETHYLENE, [chain])
