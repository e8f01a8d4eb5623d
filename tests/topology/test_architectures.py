import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.builder import ChainCount, build_box
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.residues import ChainTemplate, LinkRules, MoleculeTemplate, ResidueTemplate
from openmm_cgml.topology import CGTopology
from openmm_cgml.topology.architectures import find_architectures
from tests.fixtures import POLYETHYLENE, POLYETHYLENE_CHAIN

TEMPLATES = [ResidueTemplate(name=name, bead_names=("B",), bead_type_names=(name,), masses=(50.0,)) for name in "ABC"]
CHAINS = [ChainTemplate(name=f"c{n}", head=n, body=n, tail=n, links=(("B", "B"),), monomers=6, count=8) for n in "ABC"]


def molecule(names, edges):
    by_name = {template.name: template for template in TEMPLATES}
    return MoleculeTemplate(
        residues=tuple(by_name[name] for name in names), joints=tuple((a, 0, b, 0) for a, b in edges)
    )


def topology(*molecules):
    return CGTopology.from_molecules([(one, 2) for one in molecules], tuple("ABC"))


@pytest.mark.parametrize(
    ("names", "edges", "shape"),
    [
        ("AAAAAA", [(i, (i + 1) % 6) for i in range(6)], "ring-1"),
        ("AAAAAAA", [(0, 1), (1, 2), (0, 3), (3, 4), (0, 5), (5, 6)], "branched-1"),
        ("AAAAA", [(0, 1), (1, 2), (2, 3), (3, 4), (0, 3), (1, 4)], "network-1"),
        ("ABCBAC", [(i, i + 1) for i in range(5)], "sequence-1"),
    ],
)
def test_what_chains_do_not_describe_is_found_and_accepted(names, edges, shape):
    data = topology(molecule(names, edges))
    (found,) = find_architectures([data], TEMPLATES, CHAINS)
    assert found.name == shape
    assert data.recognized(TEMPLATES, data.type_names, CHAINS, [found]).fingerprint == data.fingerprint
    read = CGTopology.from_openmm(data.to_openmm(), TEMPLATES, data.type_names, CHAINS, [found])
    assert read.fingerprint == data.fingerprint
    again = MoleculeTemplate.from_dict(json.loads(json.dumps(found.to_dict())), TEMPLATES)
    assert again == found


def test_chains_that_the_data_shows_need_no_architectures():
    names = POLYETHYLENE_CHAIN.residues(8)
    chain = MoleculeTemplate.from_names(names, POLYETHYLENE, [POLYETHYLENE_CHAIN])
    data = CGTopology.from_molecules([(chain, 2)])
    assert find_architectures([data], POLYETHYLENE, [POLYETHYLENE_CHAIN]) == ()


def test_residues_bonded_as_in_no_molecule_of_the_data_are_refused():
    ring = molecule("AAAAAA", [(i, (i + 1) % 6) for i in range(6)])
    found = find_architectures([topology(ring)], TEMPLATES, CHAINS)
    star = topology(molecule("AAAA", [(0, 1), (0, 2), (0, 3)]))
    with pytest.raises(InputError, match=r"residue 0 .'A'. .* nor is a residue 'A' of the training data bonded like"):
        star.recognized(TEMPLATES, star.type_names, CHAINS, found)
    longer = topology(molecule("A" * 9, [(i, (i + 1) % 9) for i in range(9)]))
    assert LinkRules(TEMPLATES, CHAINS, found).accepts(molecule("A" * 9, [(i, (i + 1) % 9) for i in range(9)]))
    assert longer.recognized(TEMPLATES, longer.type_names, CHAINS, found).n_molecules == 2


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_connected_graph_of_residues_is_recognized_as_what_it_was_found_as(data):
    n = data.draw(st.integers(2, 8))
    names = data.draw(st.text("ABC", min_size=n, max_size=n))
    tree = [(data.draw(st.integers(0, k - 1)), k) for k in range(1, n)]
    extra = data.draw(st.lists(st.tuples(st.integers(0, n - 2), st.integers(1, n - 1)), max_size=4))
    edges = sorted({*tree, *((a, b) for a, b in extra if a < b)})
    made = topology(molecule(names, edges))
    found = find_architectures([made], TEMPLATES, CHAINS)
    again = CGTopology.from_openmm(made.to_openmm(), TEMPLATES, made.type_names, CHAINS, found)
    assert again.fingerprint == made.fingerprint
    for kind in found:
        piece = kind.piece(3)
        assert len(piece.residues) <= 3
        assert len(np.unique(CGTopology.from_molecules([(piece, 1)]).molecules)) == 1


def test_a_force_field_of_rings_is_saved_loaded_and_knows_its_topology(tmp_path):
    ring = molecule("ABCABC", [(i, (i + 1) % 6) for i in range(6)])
    data = topology(ring)
    bond = {"length": 0.3, "stiffness": 5000.0}
    terms = [PriorTerm(form="harmonic_bond", types=t, parameters=bond) for t in (("A", "B"), ("A", "C"), ("B", "C"))]
    force_field = ForceField(
        priors=PriorSet(terms=tuple(terms)),
        network=None,
        templates=tuple(TEMPLATES),
        type_names=tuple("ABC"),
        chains=tuple(CHAINS),
        architectures=find_architectures([data], TEMPLATES, CHAINS),
        manifest=Manifest(name="rings"),
    )
    again = ForceField.load(force_field.save(tmp_path / "rings"))
    assert again.fingerprint == force_field.fingerprint
    assert again.create_system(data, box=[3.0] * 3).getNumParticles() == 12
    built, _, _ = build_box(again, chains=[(5, None)], density=0.05)
    assert built.n_molecules == 5 and len(built.bonds) == 30
    with pytest.raises(InputError, match="not trained on chains that end in 'A'"):
        build_box(again, chains=[ChainCount.parse("2xA,B,C,A")], density=0.05)
