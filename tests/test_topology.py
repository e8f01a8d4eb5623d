import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.topology import AtomTopology, CGTopology, ResidueTemplate, chain_id, connected_components
from tests.fixtures import BENZENE_1, BENZENE_3

CHAIN = ResidueTemplate(
    name="CHN",
    bead_names=tuple("ABCDE"),
    bead_type_names=("X",) * 5,
    masses=(10.0,) * 5,
    bonds=((0, 1), (1, 2), (2, 3), (3, 4)),
)


def test_angles_and_exclusions_follow_from_the_bonds():
    topology = CGTopology.from_residues([(CHAIN, 2)])
    assert topology.angles.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [5, 6, 7], [6, 7, 8], [7, 8, 9]]
    assert len(topology.exclusions(0)) == 0
    assert topology.exclusions(1).tolist() == topology.bonds.tolist()
    assert [0, 2] in topology.exclusions(2).tolist() and [0, 3] not in topology.exclusions(2).tolist()
    triangle = CGTopology.from_residues([(BENZENE_3, 1)])
    assert len(triangle.angles) == 3
    assert triangle.exclusions(1).tolist() == [[0, 1], [0, 2], [1, 2]]


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_the_way_through_openmm_and_json_changes_nothing(n_three, n_one, n_chain):
    other = ResidueTemplate(name="ONE", bead_names=("B",), bead_type_names=("B",), masses=(78.1,))
    topology = CGTopology.from_residues([(BENZENE_3, n_three), (other, n_one), (CHAIN, n_chain)])
    again = CGTopology.from_openmm(topology.to_openmm(np.eye(3)), [BENZENE_3, other, CHAIN], topology.type_names)
    assert again.fingerprint == topology.fingerprint
    assert CGTopology.from_dict(topology.to_dict()).fingerprint == topology.fingerprint


def test_a_repeated_topology_is_that_of_so_many_copies():
    other = ResidueTemplate(name="ONE", bead_names=("B",), bead_type_names=("B",), masses=(78.1,))
    single = CGTopology.from_residues([(CHAIN, 1), (other, 2)])
    three = single.repeated(3)
    listed = CGTopology.from_residues([(CHAIN, 1), (other, 2)] * 3)
    assert three.fingerprint == listed.fingerprint
    n = single.n_beads
    assert three.exclusions(2).tolist() == [[i + n * r, j + n * r] for r in range(3) for i, j in single.exclusions(2)]
    assert single.repeated(1) is single
    for copies in (0, 1.5, True):
        with pytest.raises(InputError, match="positive integer"):
            single.repeated(copies)


def _openmm(residue="BNZ", beads=("C1", "C2", "C3"), bonds=((0, 1), (1, 2), (0, 2))):
    topology = app.Topology()
    group = topology.addResidue(residue, topology.addChain())
    atoms = [topology.addAtom(name, None, group) for name in beads]
    for i, j in bonds:
        topology.addBond(atoms[i], atoms[j])
    return topology


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        (_openmm(residue="TOL"), "residue 0 is 'TOL'.*known are BNZ"),
        (_openmm(beads=("C1", "C2", "X")), r"has beads \['C1', 'C2', 'X'\]; the model's have"),
        (_openmm(bonds=((0, 1), (1, 2))), "bonds missing: C1-C3"),
        (app.Topology(), "no residues"),
    ],
)
def test_a_topology_that_does_not_fit_is_refused_by_name(topology, message):
    with pytest.raises(InputError, match=message):
        CGTopology.from_openmm(topology, [BENZENE_3], ("C2H2",))


def test_bonds_across_molecules_self_bonds_and_twins_are_refused():
    fields = dict(
        type_names=("X",),
        bead_types=np.zeros(2),
        bead_names=("A", "B"),
        masses=np.ones(2),
        residues=np.arange(2),
        residue_names=("R", "R"),
    )
    with pytest.raises(InputError, match="joins molecules 0 and 1"):
        CGTopology(**fields, molecules=np.arange(2), bonds=np.array([[0, 1]]))
    with pytest.raises(InputError, match="bonded to itself"):
        CGTopology(**fields, molecules=np.zeros(2), bonds=np.array([[1, 1]]))
    with pytest.raises(InputError, match="appears 2 times"):
        CGTopology(**fields, molecules=np.zeros(2), bonds=np.array([[0, 1], [1, 0]]))


@pytest.mark.parametrize("names", [("CH2", "ch2"), ("A", "A "), ("",), tuple(f"T{i}" for i in range(33))])
def test_bead_types_that_are_too_alike_or_too_many_are_refused(names):
    with pytest.raises(InputError):
        CGTopology(
            type_names=names,
            bead_types=np.zeros(1),
            bead_names=("A",),
            masses=np.ones(1),
            molecules=np.zeros(1),
            residues=np.zeros(1),
            residue_names=("R",),
            bonds=np.zeros((0, 2)),
        )


@pytest.mark.parametrize("mass", [0.0, -1.0, float("nan"), float("inf")])
def test_masses_are_positive(mass):
    with pytest.raises(InputError, match="mass"):
        ResidueTemplate(name="R", bead_names=("A",), bead_type_names=("A",), masses=(mass,))


def test_atoms_without_an_element_are_refused():
    with pytest.raises(InputError, match="has no element"):
        AtomTopology.from_openmm(_openmm())


def test_chain_ids_do_not_repeat():
    ids = [chain_id(n) for n in range(20_000)]
    assert ids[:2] == ["A", "B"] and ids[25:28] == ["Z", "AA", "AB"]
    assert len(set(ids)) == len(ids)


def test_molecules_are_numbered_by_their_first_bead():
    assert connected_components(5, np.array([[0, 3], [1, 4]])).tolist() == [0, 1, 2, 0, 1]


def test_element_symbols_fit_pdb_files_and_carry_the_mass():
    topology = CGTopology.from_residues([(BENZENE_1, 1)]).to_openmm()
    element = next(topology.atoms()).element
    assert len(element.symbol) <= 2
    assert element.mass._value == pytest.approx(78.1134)
