import time

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


def random_molecules(rng: np.random.Generator) -> CGTopology:
    """Trees of beads with a few extra bonds, hence rings, their beads in any order."""
    n = int(rng.integers(1, 30))
    bonds = {(int(rng.integers(0, k)), k) for k in range(1, n) if rng.uniform() < 0.9}
    bonds |= {(int(a), int(b)) for a, b in np.sort(rng.integers(0, n, (n // 4, 2)), axis=1) if a < b}
    pairs = rng.permutation(n)[np.array(sorted(bonds), dtype=np.int64).reshape(-1, 2)]
    return CGTopology(
        type_names=("A",),
        bead_types=np.zeros(n),
        bead_names=("A",) * n,
        masses=np.ones(n),
        molecules=connected_components(n, pairs),
        residues=np.arange(n),
        residue_names=("R",) * n,
        bonds=pairs,
    )


def test_angles_dihedrals_and_exclusions_equal_a_search_bead_by_bead() -> None:
    rng = np.random.default_rng(0)
    rings = 0
    for topology in (random_molecules(rng) for _ in range(60)):
        n = topology.n_beads
        around = [{int(b) for bond in topology.bonds if a in bond for b in bond} - {a} for a in range(n)]
        angles = [[i, j, k] for j in range(n) for i in around[j] for k in around[j] if i < k]
        dihedrals = [[*a, m] for i, j, k in angles for a in ([i, j, k], [k, j, i]) for m in around[a[2]] - set(a)]
        assert topology.angles.tolist() == sorted(angles)
        assert topology.dihedrals.tolist() == sorted(path for path in dihedrals if path[0] < path[3])
        reached = [{bead} for bead in range(n)]
        for max_bonds in range(5):
            expected = [[i, j] for i in range(n) for j in sorted(reached[i]) if i < j]
            assert topology.exclusions(max_bonds).tolist() == expected
            reached = [set.union(seen, *(around[bead] for bead in seen)) for seen in reached]
        rings += len(topology.bonds) > n - topology.n_molecules
    assert rings > 10, "rings are what goes wrong most easily"


def test_a_star_of_many_arms_has_all_its_angles_and_exclusions() -> None:
    arms = 300  # more ways between two beads than a small integer can count
    template = ResidueTemplate(
        name="STR",
        bead_names=tuple(f"A{i}" for i in range(arms + 1)),
        bead_type_names=("A",) * (arms + 1),
        masses=(1.0,) * (arms + 1),
        bonds=tuple((0, i + 1) for i in range(arms)),
    )
    star = CGTopology.from_residues([(template, 1)])
    assert len(star.angles) == arms * (arms - 1) // 2
    assert len(star.exclusions(2)) == len(star.exclusions(5)) == arms * (arms + 1) // 2
    assert not len(star.dihedrals)


def test_long_chains_have_their_angles_dihedrals_and_exclusions_at_once() -> None:
    n_chains, n = 100, 1000
    bonds = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1) + n * np.arange(n_chains)[:, None, None]
    melt = CGTopology(
        type_names=("A",),
        bead_types=np.zeros(n * n_chains),
        bead_names=("A",) * (n * n_chains),
        masses=np.ones(n * n_chains),
        molecules=np.repeat(np.arange(n_chains), n),
        residues=np.arange(n * n_chains),
        residue_names=("R",) * (n * n_chains),
        bonds=bonds.reshape(-1, 2),
    )
    start = time.process_time()
    sizes = [len(melt.angles), len(melt.dihedrals), len(melt.exclusions(3))]
    assert time.process_time() - start < 2.0
    assert sizes == [n_chains * (n - 2), n_chains * (n - 3), n_chains * (3 * n - 6)]


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
