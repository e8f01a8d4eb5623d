import itertools

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.mapping import partition_molecule
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms, equivalent_atoms
from openmm_cgml.mapping.partition import _Scorer

MASSES = {"H": 1.008, "C": 12.011, "O": 15.999, "": 14.0}


def carbons(bonds, hydrogens=()):
    """Masses, elements and bonds of a carbon skeleton with so many hydrogens on each carbon."""
    n = max(map(max, bonds)) + 1
    elements, bonds = ["C"] * n, list(bonds)
    for carbon, count in enumerate(hydrogens):
        for _ in range(count):
            bonds.append((carbon, len(elements)))
            elements.append("H")
    return [MASSES[e] for e in elements], elements, bonds


def chain(n):
    return carbons([(i, i + 1) for i in range(n - 1)], [3, *[2] * (n - 2), 3])


BENZENE = carbons([(i, (i + 1) % 6) for i in range(6)], [1] * 6)


def sets_of(labels):
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in range(labels.max() + 1)}


@st.composite
def molecules(draw, most=9):
    """A random connected graph of carbons and oxygens, some with hydrogens, and a number of beads for it."""
    n = draw(st.integers(2, most))
    bonds = {(draw(st.integers(0, i - 1)), i) for i in range(1, n)}
    for _ in range(draw(st.integers(0, 3))):
        i, j = sorted((draw(st.integers(0, n - 1)), draw(st.integers(0, n - 1))))
        if i != j:
            bonds.add((i, j))
    elements, bonds = draw(st.lists(st.sampled_from("CCO"), min_size=n, max_size=n)), sorted(bonds)
    for heavy in range(n):
        for _ in range(draw(st.integers(0, 2))):
            bonds.append((heavy, len(elements)))
            elements.append("H")
    return [MASSES[e] for e in elements], elements, bonds, draw(st.integers(1, min(n, 4)))


def divided(masses, elements, bonds, labels):
    """The molecule as a graph whose bonds say whether they are within a bead."""
    graph = networkx.Graph()
    graph.add_nodes_from((i, {"element": element}) for i, element in enumerate(elements))
    graph.add_edges_from((i, j, {"inside": bool(labels[i] == labels[j])}) for i, j in bonds)
    return graph


@settings(max_examples=25, deadline=None)
@given(molecules(most=26), st.randoms(use_true_random=False))
def test_the_division_does_not_depend_on_how_atoms_are_numbered(molecule, random):
    masses, elements, bonds, n_beads = molecule
    order = list(range(len(masses)))
    random.shuffle(order)
    place = np.argsort(order)
    shuffled = [masses[i] for i in order], [elements[i] for i in order], [(place[i], place[j]) for i, j in bonds]
    one = divided(masses, elements, bonds, partition_molecule(masses, elements, bonds, n_beads))
    two = divided(*shuffled, partition_molecule(*shuffled, n_beads))
    same = {"node_match": lambda a, b: a == b, "edge_match": lambda a, b: a == b}
    assert networkx.is_isomorphic(one, two, **same)


@settings(max_examples=60, deadline=None)
@given(molecules())
def test_beads_are_connected_and_hydrogens_stay_with_their_heavy_atom(molecule):
    masses, elements, bonds, n_beads = molecule
    labels = partition_molecule(masses, elements, bonds, n_beads)
    assert sorted(set(labels.tolist())) == list(range(n_beads))
    graph = networkx.Graph([(i, j) for i, j in bonds if labels[i] == labels[j]])
    graph.add_nodes_from(range(len(masses)))
    assert networkx.number_connected_components(graph) == n_beads
    assert all(labels[i] == labels[j] for i, j in bonds if "H" in (elements[i], elements[j]))


@settings(max_examples=25, deadline=None)
@given(molecules(most=6))
def test_no_other_connected_division_scores_better(molecule):
    masses, elements, bonds, n_beads = molecule
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    scorer = _Scorer(heavy, n_beads)
    graph = networkx.from_numpy_array(heavy.adjacency)
    scores = []
    for owner in itertools.product(range(n_beads), repeat=heavy.n_heavy):
        parts = [frozenset(i for i, o in enumerate(owner) if o == part) for part in range(n_beads)]
        if all(parts) and all(networkx.is_connected(graph.subgraph(part)) for part in parts):
            scores.append(scorer.main(parts))
    found = partition_molecule(masses, elements, bonds, n_beads)[heavy.atoms]
    assert scorer.main([frozenset(np.flatnonzero(found == part).tolist()) for part in range(n_beads)]) == min(scores)


def test_three_beads_of_benzene_are_adjacent_pairs():
    masses = BENZENE[0]
    labels = partition_molecule(*BENZENE, 3)
    assert np.allclose(np.bincount(labels, weights=masses), 2 * 13.019)
    pairs = [np.flatnonzero(labels[:6] == bead) for bead in range(3)]
    assert all((b - a) % 6 in (1, 5) for a, b in pairs)
    assert (labels[6:] == labels[:6]).all()


def test_equal_ends_are_divided_equally_where_that_costs_little_evenness():
    assert sets_of(partition_molecule(*chain(5), 3)[:5]) == {frozenset({0, 1}), frozenset({2}), frozenset({3, 4})}
    toluene = carbons([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (6, 1)], [3, 0, 1, 1, 1, 1, 1])
    sizes = sorted(len(part) for part in sets_of(partition_molecule(*toluene, 3)[:7]))
    assert sizes == [2, 2, 3]  # CH3 alone with C3H2 and C3H3 would be symmetric, and far less even


def test_beads_are_numbered_along_chains_with_branches_first_and_around_rings():
    assert partition_molecule(*chain(100), 25)[:100].tolist() == np.repeat(np.arange(25), 4).tolist()
    assert sorted(np.diff(partition_molecule(*BENZENE, 6)[:6]).tolist()) in ([1] * 5, [-1] * 5)
    comb = carbons([(0, 1), (1, 2), (2, 3), (1, 4), (2, 5)], [3, 1, 1, 3, 3, 3])
    assert partition_molecule(*comb, 6)[:6].tolist() == [0, 1, 3, 4, 2, 5]


def test_long_molecules_are_divided_evenly_too():
    masses, elements, bonds = chain(60)
    labels = partition_molecule(masses, elements, bonds, 7)
    assert np.bincount(labels, weights=masses).std() / np.mean(np.bincount(labels, weights=masses)) < 0.1


@settings(max_examples=50, deadline=None)
@given(molecules(most=12))
def test_ring_bonds_are_those_that_are_no_bridges(molecule):
    heavy = HeavyAtoms.from_molecule(*molecule[:3])
    graph = networkx.from_numpy_array(heavy.adjacency)
    bridges = {(min(bond), max(bond)) for bond in networkx.bridges(graph)}
    assert heavy.ring_bonds == {(min(bond), max(bond)) for bond in graph.edges} - bridges


def test_rings_are_kept_where_masses_allow():
    biphenyl = carbons(
        [*[(i, (i + 1) % 6) for i in range(6)], *[(6 + i, 6 + (i + 1) % 6) for i in range(6)], (0, 6)],
        [0, 1, 1, 1, 1, 1] * 2,
    )
    assert sets_of(partition_molecule(*biphenyl, 2)[:12]) == {frozenset(range(6)), frozenset(range(6, 12))}


def test_hydrogen_molecules_and_atoms_without_elements():
    assert partition_molecule([1.008, 1.008], ["H", "H"], [(0, 1)], 2).tolist() == [0, 1]
    assert partition_molecule([14.0, 1.0, 14.0], ["", "", ""], [(0, 1), (0, 2)], 2).tolist() == [0, 0, 1]


def test_equivalent_atoms_are_told_from_those_that_only_look_alike():
    assert len(set(equivalent_atoms(*BENZENE).tolist())) == 2
    kinds = equivalent_atoms(*chain(5))
    assert kinds[0] == kinds[4] and kinds[1] == kinds[3] and len(set(kinds[:3].tolist())) == 3
    # A cage of eight carbons with three bonds each, of three kinds that neighbors and their neighbors do not tell apart.
    bonds = [(0, 1), (0, 6), (0, 7), (1, 3), (1, 7), (2, 4), (2, 5), (2, 7), (3, 4), (3, 6), (4, 5), (5, 6)]
    cage = carbons(bonds, [1] * 8)
    graph = networkx.Graph(bonds)
    matcher = networkx.isomorphism.GraphMatcher(graph, graph)
    orbits = {frozenset(m[i] for m in matcher.isomorphisms_iter()) for i in range(8)}
    assert sets_of(equivalent_atoms(*cage)[:8]) - {frozenset()} == orbits
    assert len(orbits) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_beads": 7}, "7 beads for a molecule of 6 atoms that are no hydrogens"),
        ({"n_beads": 0}, "0 beads"),
        ({"bonds": BENZENE[2][1:6]}, "molecules"),
        ({"bonds": [*BENZENE[2], (0, 12)]}, "atoms 0 to 11"),
        ({"masses": [0.0, *BENZENE[0][1:]]}, "atom 0 has mass 0.0"),
        ({"masses": BENZENE[0][1:]}, "one of each for every atom"),
    ],
)
def test_what_cannot_be_divided_is_refused(change, message):
    given = dict(zip(("masses", "elements", "bonds"), BENZENE, strict=True), n_beads=3) | change
    with pytest.raises(InputError, match=message):
        partition_molecule(**given)
