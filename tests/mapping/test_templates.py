import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.mapping import mapping_from_specification, templates_of_masses
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.topology import AtomTopology, CGTopology, ResidueTemplate
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification

DIMER = {
    "name": "dimer",
    "temperature": 300.0,
    "residues": [
        {
            "name": name,
            "count": 1,
            "atoms": [{"name": "C1", "element": "C"}, {"name": "C2", "element": "C"}],
            "beads": [{"name": "P", "type": kind, "atoms": ["C1"]}, {"name": "Q", "type": kind, "atoms": ["C2"]}],
            "bonds": bonds,
        }
        for name, kind, bonds in (("HEA", "A", [["P", "Q"]]), ("TAI", "B", [["P", "Q"]]))
    ],
}


def changed(atoms, **fields):
    return dataclasses.replace(atoms, **fields)


def test_the_target_is_the_topology_that_the_templates_build():
    specification = benzene_specification(3)
    target = mapping_from_specification(specification, benzene_atoms(4)).target
    expected = CGTopology.from_residues([(specification.templates()[0], 4)], specification.type_names)
    assert np.array_equal(target.bonds, expected.bonds)
    assert np.allclose(target.masses, expected.masses, atol=0.01)
    assert (target.bead_names, target.residue_names) == (expected.bead_names, expected.residue_names)
    assert np.array_equal(target.molecules, expected.molecules)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_atoms_within_residues_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    n_molecules, atoms = 3, benzene_atoms(3)
    order = np.concatenate([12 * m + rng.permutation(12) for m in range(n_molecules)])
    place = np.argsort(order)
    shuffled = AtomTopology(
        names=tuple(atoms.names[i] for i in order),
        elements=tuple(atoms.elements[i] for i in order),
        masses=atoms.masses[order],
        residues=atoms.residues[order],
        residue_names=atoms.residue_names,
        molecules=atoms.molecules[order],
        bonds=place[atoms.bonds],
        constraints=place[atoms.constraints],
    )
    frames, specification = benzene_frames(3, 2), benzene_specification(3)
    moved = frames.replace(**{n: getattr(frames, n)[:, order] for n in ("positions", "forces", "forces_inter")})
    expected = mapping_from_specification(specification, atoms)(frames)
    found = mapping_from_specification(specification, shuffled)(moved)
    assert np.allclose(found.positions, expected.positions, atol=1e-12)
    assert np.allclose(found.forces, expected.forces, atol=1e-9)


def test_bonds_between_residues_follow_the_atoms():
    atoms = AtomTopology(
        names=("C1", "C2", "C1", "C2"),
        elements=("C",) * 4,
        masses=np.full(4, 12.011),
        residues=[0, 0, 1, 1],
        residue_names=("HEA", "TAI"),
        molecules=[0, 0, 0, 0],
        bonds=[(0, 1), (1, 2), (2, 3)],
        constraints=[],
    )
    target = mapping_from_specification(SystemSpecification(**DIMER), atoms).target
    assert target.bonds.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert target.n_molecules == 1
    assert target.type_names == ("A", "B")


def test_loose_parts_of_a_molecule_are_warned_about():
    content = {**DIMER, "residues": [{**DIMER["residues"][0], "bonds": []}]}
    atoms = AtomTopology(
        names=("C1", "C2"),
        elements=("C", "C"),
        masses=np.full(2, 12.011),
        residues=[0, 0],
        residue_names=("HEA",),
        molecules=[0, 0],
        bonds=[(0, 1)],
        constraints=[],
    )
    with pytest.warns(UserWarning, match="consist of 2 parts without a bond"):
        mapping_from_specification(SystemSpecification(**content), atoms)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"residue_names": ("BNZ", "HOH")}, r"has residues HOH; it holds BNZ \(1\), HOH \(1\)"),
        ({"residue_names": ("TOL", "TOL")}, "has residues TOL"),
        ({"names": ("X1", *benzene_atoms(2).names[1:])}, r"residue 0 \(BNZ\) .*missing C1; not described X1"),
        ({"elements": ("N", *benzene_atoms(2).elements[1:])}, "atom C1 is element N, the system.yaml says C"),
        ({"residues": [0] * 13 + [1] * 11}, r"residue 0 \(BNZ\) has 13 atoms.*not described C1"),
    ],
)
def test_atoms_that_do_not_fit_are_refused_with_their_names(fields, message):
    with pytest.raises(InputError, match=message):
        mapping_from_specification(benzene_specification(1), changed(benzene_atoms(2), **fields))


def test_a_residue_that_matches_nothing_is_refused():
    two_kinds = SystemSpecification(
        **{
            **DIMER,
            "residues": [*DIMER["residues"], {**DIMER["residues"][0], "name": "MID"}],
        }
    )
    atoms = AtomTopology(
        names=("C1", "C2", "C1", "C2"),
        elements=("C",) * 4,
        masses=np.full(4, 12.011),
        residues=[0, 0, 1, 1],
        residue_names=("HEA", "TAI"),
        molecules=[0, 0, 0, 0],
        bonds=[(0, 1), (1, 2), (2, 3)],
        constraints=[],
    )
    with pytest.raises(InputError, match="has no residue MID"):
        mapping_from_specification(two_kinds, atoms)


def test_templates_take_masses_that_no_element_tells():
    template = ResidueTemplate(name="BUT", bead_names=("A", "B"), bead_type_names=("A", "A"), masses=(24.0, 24.0))
    mapped = CGTopology.from_residues([(dataclasses.replace(template, masses=(29.062, 29.062)), 3)])
    (changed,) = templates_of_masses([template], mapped)
    assert changed.masses == (29.062, 29.062)
    (same,) = templates_of_masses([template], CGTopology.from_residues([(template, 3)]))
    assert same is template


def test_residues_of_one_name_and_different_masses_are_refused():
    template = ResidueTemplate(name="HOH", bead_names=("W",), bead_type_names=("W",), masses=(18.0,))
    heavy = dataclasses.replace(template, masses=(20.0,))
    mixed = CGTopology.from_residues([(template, 2), (heavy, 1)])
    with pytest.raises(InputError, match=r"bead W of residue HOH weighs 18.0000 Da .* 20.0000 Da in number 2"):
        templates_of_masses([template], mixed)
