"""Ways to group atoms that return labels: METIS, the spectrum, and the most variance."""

import itertools
import sys

import networkx
import numpy as np
import pytest
from hypothesis import given, settings

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.mapping import group_by_metis, group_by_spectrum, group_by_variance
from openmm_cgml.mapping.contiguity import repair
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms
from openmm_cgml.mapping.variance import network_covariance, position_covariance, variance_kept
from tests.mapping.test_partition import BENZENE, carbons, chain, molecules

WAYS = [group_by_metis, group_by_spectrum, group_by_variance]


@pytest.mark.parametrize("divide", WAYS)
@settings(max_examples=20, deadline=None)
@given(molecules())
def test_beads_are_connected_all_there_and_keep_hydrogens(divide, molecule):
    masses, elements, bonds, n_beads = molecule
    labels = divide(masses, elements, bonds, n_beads)
    assert sorted(set(labels.tolist())) == list(range(n_beads))
    graph = networkx.Graph([(i, j) for i, j in bonds if labels[i] == labels[j]])
    graph.add_nodes_from(range(len(masses)))
    assert networkx.number_connected_components(graph) == n_beads
    assert all(labels[i] == labels[j] for i, j in bonds if "H" in (elements[i], elements[j]))


@pytest.mark.parametrize("divide", WAYS)
def test_more_beads_than_heavy_atoms_are_refused(divide):
    with pytest.raises(InputError, match=r"heavy atoms|no hydrogens"):
        divide(*BENZENE, 7)


@pytest.mark.parametrize("divide", WAYS)
def test_a_chain_is_cut_into_neighbors(divide):
    labels = divide(*chain(24), 4)[:24]
    assert (np.diff(labels) >= 0).all()
    assert np.bincount(labels).min() >= 4


def test_metis_makes_beads_of_about_as_many_atoms_as_asked_for():
    labels = group_by_metis(*chain(70), atoms_per_bead=7.1)
    assert labels.max() + 1 == round(212 / 7.1)
    assert set(np.bincount(labels).tolist()) <= {4, 6, 7, 9, 10}
    with pytest.raises(InputError, match="atoms per bead"):
        group_by_metis(*chain(5), atoms_per_bead=0)


def test_without_pymetis_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(MissingDependencyError, match=r"openmm-cgml\[mapping\]"):
        group_by_metis(*BENZENE, 3)


@settings(max_examples=40, deadline=None)
@given(molecules())
def test_pieces_are_put_together_whatever_the_labels_are(molecule):
    masses, elements, bonds, n_beads = molecule
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    labels = np.arange(heavy.n_heavy)[::-1] % n_beads
    parts = repair(labels, heavy, n_beads=n_beads)
    graph = networkx.from_numpy_array(heavy.adjacency)
    assert sorted(i for part in parts for i in part) == list(range(heavy.n_heavy))
    assert len(parts) == n_beads
    assert all(networkx.is_connected(graph.subgraph(part)) for part in parts)


def test_connected_labels_are_left_alone():
    heavy = HeavyAtoms.from_molecule(*chain(9))
    order = np.argsort(heavy.atoms)
    labels = np.empty(9, dtype=int)
    labels[order] = np.arange(9) // 3
    assert {frozenset(part) for part in repair(labels, heavy)} == {
        frozenset(np.flatnonzero(labels == label).tolist()) for label in range(3)
    }


def shares(groups, n):
    weights = np.zeros((len(groups), n))
    for row, group in enumerate(groups):
        weights[row, list(group)] = 1 / len(group)
    return weights


def ring(n):
    adjacency = np.zeros((n, n), dtype=bool)
    for i in range(n):
        adjacency[i, (i + 1) % n] = adjacency[(i + 1) % n, i] = True
    return adjacency


@pytest.mark.parametrize(
    ("pairs", "lost"),
    [([(0, 1), (2, 3), (4, 5)], 0.36), ([(0, 2), (1, 3), (4, 5)], 0.52), ([(0, 3), (1, 4), (2, 5)], 0.77)],
)
def test_a_ring_of_six_loses_least_in_adjacent_pairs(pairs, lost):
    assert 1 - variance_kept(network_covariance(ring(6)), shares(pairs, 6)) == pytest.approx(lost, abs=0.005)


def test_variance_kept_is_that_of_the_best_linear_reconstruction():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(4000, 5, 3)) @ np.diag([1.0, 1.0, 1.0]) + rng.normal(size=(4000, 5, 1))
    samples[:, 1] += 0.9 * samples[:, 0]
    weights = shares([(0, 1), (2,), (3, 4)], 5)
    covariance = position_covariance(samples)
    centered = samples - samples.mean(axis=1, keepdims=True)
    atoms = centered.transpose(0, 2, 1).reshape(-1, 5)
    beads = atoms @ weights.T
    residual = atoms - beads @ np.linalg.lstsq(beads, atoms, rcond=None)[0]
    expected = 1 - (residual**2).sum() / (atoms**2).sum()
    assert variance_kept(covariance, weights) == pytest.approx(expected, abs=1e-9)
    assert 0.1 < expected < 0.9


def test_every_atom_a_bead_keeps_all_and_one_bead_nothing():
    covariance = network_covariance(ring(6))
    assert variance_kept(covariance, np.eye(6)) == pytest.approx(1)
    assert variance_kept(covariance, np.full((1, 6), 1 / 6)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(InputError, match="do not move"):
        variance_kept(np.zeros((3, 3)), np.eye(3))
    with pytest.raises(InputError, match=r"shape \(6, 6\) and weights of \(2, 5\)"):
        variance_kept(covariance, np.ones((2, 5)))


def test_no_other_connected_beads_keep_more_of_a_small_molecule():
    masses, elements, bonds = carbons([(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (5, 6), (6, 7)], [1] * 8)
    heavy = HeavyAtoms.from_molecule(masses, elements, bonds)
    graph = networkx.from_numpy_array(heavy.adjacency)

    def kept(owner):
        parts = [np.flatnonzero(np.asarray(owner) == part) for part in range(3)]
        if any(not len(p) or not networkx.is_connected(graph.subgraph(p.tolist())) for p in parts):
            return 0.0
        return variance_kept(network_covariance(heavy.adjacency), shares(parts, 8))

    best = max(map(kept, itertools.product(range(3), repeat=8)))
    assert kept(group_by_variance(masses, elements, bonds, 3)[heavy.atoms]) == pytest.approx(best, abs=1e-9)


def test_a_covariance_from_a_trajectory_decides():
    masses, elements, bonds = chain(4)
    rng = np.random.default_rng(1)
    places = rng.normal(size=(3000, 4, 3)) * 0.01
    places[:, 0] += rng.normal(size=(3000, 3))  # one end moves far, the rest together
    places = np.concatenate([places, places[:, [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]]], axis=1)
    covariance = position_covariance(places)
    assert group_by_variance(masses, elements, bonds, 2, covariance=covariance)[:4].tolist() == [0, 1, 1, 1]
    assert group_by_variance(masses, elements, bonds, 2)[:4].tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match="has a row for each"):
        group_by_variance(masses, elements, bonds, 2, covariance=np.eye(4))
