from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.builder.growth import grow_chains
from openmm_cgml.dataset.conformations import conformations_of
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import bond_angles
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology, MoleculeTemplate, ResidueTemplate
from tests.builder.chains import chain_force_field, chain_statistics, chain_topology, internal_distances


def distance(one, other):
    """Half the sum of differences of two distributions."""
    return 0.5 * np.abs(one / one.sum() - other / other.sum()).sum()


@pytest.fixture(scope="module")
def grown():
    force_field = chain_force_field()
    topology = chain_topology(force_field, 20, 1)
    return topology, grow_chains(topology, 1500, chain_statistics(), np.random.default_rng(0))


def test_chains_have_the_bonds_of_the_priors(grown):
    topology, chains = grown
    lengths = np.linalg.norm(chains[:, topology.bonds[:, 0]] - chains[:, topology.bonds[:, 1]], axis=-1)
    variance = 0.0083144626 * 300.0 / 182_000.0
    assert lengths.mean() == pytest.approx(0.166 + 2 * variance / 0.166, abs=1e-4)
    assert lengths.std() == pytest.approx(variance**0.5, rel=0.02)


def test_angles_torsions_and_their_pairs_are_those_recorded(grown):
    topology, chains = grown
    found = conformations_of(topology, chains)
    known = chain_statistics().conformations
    for name in ("angles", "torsions", "torsion_pairs"):
        for types, counts in getattr(known, name).items():
            seen = getattr(found, name)[types]
            chance = (np.count_nonzero(counts) / seen.sum()) ** 0.5  # mirrored counts are no samples of their own
            assert distance(seen, counts) < 0.01 + chance, (name, types)
    torsions = known.torsions[("CH2",) * 4]
    assert distance(torsions, np.roll(torsions, 3)) > 0.2  # 18 degrees would be seen


@pytest.mark.physics
def test_internal_distances_are_those_of_the_rotational_isomeric_states(grown):
    """A Markov chain of rotations has exact mean squared distances: sums of products of mean transfer matrices."""
    topology, chains = grown
    statistics = chain_statistics()
    separations = [1, 2, 3, 5, 10, 20, 30]
    measured = internal_distances(chains, separations)
    exact = _exact(statistics, chains, separations)
    assert measured == pytest.approx(exact, rel=0.02)
    # The control: torsions drawn one by one give other distances.
    loose = replace(statistics, conformations=replace(statistics.conformations, torsion_pairs={}), _tables={})
    others = internal_distances(grow_chains(topology, 1500, loose, np.random.default_rng(0)), separations)
    assert abs(others[-1] / exact[-1] - 1) > 0.1


def _exact(statistics, chains, separations):
    """Flory's generator matrices for the middle of a long chain, all beads CH2, with 60 states of the torsion."""
    angle = (np.arange(60) + 0.5) * np.pi / 60
    weights = statistics.angle(("CH2",) * 3)
    cosine, sine = -(weights * np.cos(angle)).sum(), (weights * np.sin(angle)).sum()
    turn = -np.pi + (np.arange(60) + 0.5) * 2 * np.pi / 60
    shrink = np.sinc(1 / 60)  # torsions are even within a bin
    c, s = shrink * np.cos(turn), shrink * np.sin(turn)
    zero = np.zeros(60)
    # The next bond in the frame (along the last bond, across in the plane, normal) of the one before.
    rotation = np.array(
        [
            [cosine + zero, -sine + zero, zero],
            [sine * c, cosine * c, -s],
            [sine * s, cosine * s, c],
        ]
    ).transpose(2, 0, 1)
    step = np.repeat(statistics.next_torsion(("CH2",) * 5), 3, axis=0)
    first = np.linalg.matrix_power(step, 200)[0]
    bond, spread = statistics.bond(("CH2", "CH2"))
    total = {}
    # frames[state] = mean rotation from the frame of the first bond, times the probability of the state
    frames = first[:, None, None] * np.eye(3)
    products = [1.0]
    for k in range(max(separations)):
        if k:
            if k == 1:
                frames = np.einsum("t,tab->tab", first, rotation)
            else:
                frames = np.einsum("sab,st,tbc->tac", frames, step, rotation)
            products.append(float(frames.sum(axis=0)[0, 0]))
    for k in separations:
        pairs = sum((k - m) * products[m] for m in range(1, k))
        total[k] = k * (bond**2 + spread**2) + 2 * bond**2 * pairs
    return np.array([total[k] for k in separations])


def test_without_conformations_and_angle_priors_next_nearest_beads_keep_their_distance():
    statistics = chain_statistics(conformations=False)
    force_field = chain_force_field(False)
    topology = chain_topology(force_field, 10, 1)
    chains = grow_chains(topology, 200, statistics, np.random.default_rng(0))
    apart = np.linalg.norm(chains[:, 2:] - chains[:, :-2], axis=-1)
    assert apart.min() > 0.23  # the bin of the angle is wide
    assert apart.max() > 0.32


def test_angles_follow_the_priors_where_the_data_is_silent():
    statistics = chain_statistics(conformations=False)
    terms = [
        PriorTerm(form="harmonic_angle", types=types, parameters={"angle": 2.2, "stiffness": 400.0})
        for types in (("CH2", "CH2", "CH2"), ("CH3", "CH2", "CH2"))
    ]
    stiff = replace(statistics, priors=PriorSet(terms=(*statistics.priors.terms, *terms)), _tables={}, _bonds={})
    topology = chain_topology(chain_force_field(False), 10, 1)
    chains = grow_chains(topology, 200, stiff, np.random.default_rng(0))
    angles = bond_angles(chains, None, topology.angles)
    assert angles.mean() == pytest.approx(2.2, abs=0.01)
    assert angles.std() == pytest.approx((0.0083144626 * 300 / 400) ** 0.5, rel=0.15)


def test_branches_grow_apart_from_each_other():
    comb = ResidueTemplate(
        name="CMB", bead_names=tuple("ABCDEF"), bead_type_names=("CH2",) * 6, masses=(14.0,) * 6,
        bonds=((0, 1), (1, 2), (2, 3), (2, 4), (3, 5)),
    )  # fmt: skip
    topology = CGTopology.from_residues([(comb, 1)], ("CH3", "CH2"))
    chains = grow_chains(topology, 100, chain_statistics(), np.random.default_rng(0))
    lengths = np.linalg.norm(chains[:, topology.bonds[:, 0]] - chains[:, topology.bonds[:, 1]], axis=-1)
    assert np.abs(lengths - 0.166).max() < 0.02
    assert np.linalg.norm(chains[:, 3] - chains[:, 4], axis=-1).min() > 0.2


def ring(n):
    """A ring of beads of one type."""
    bead = ResidueTemplate(name="R", bead_names=("B",), bead_type_names=("CH2",), masses=(14.0,))
    joints = tuple((i, 0, (i + 1) % n, 0) for i in range(n))
    return CGTopology.from_molecules([(MoleculeTemplate(residues=(bead,) * n, joints=joints), 1)], ("CH2",))


@pytest.mark.parametrize("n", [3, 6, 40])
def test_rings_are_closed_with_the_bonds_of_the_priors(n):
    topology = ring(n)
    rings = grow_chains(topology, 50, chain_statistics(), np.random.default_rng(0))
    lengths = np.linalg.norm(rings[:, topology.bonds[:, 0]] - rings[:, topology.bonds[:, 1]], axis=-1)
    assert np.abs(lengths - 0.166).max() < 0.01
    assert np.abs(rings.mean(axis=1)).max() < 1e-9


def test_rings_are_smaller_than_chains_of_as_many_beads():
    """Ideal rings have half the mean squared radius of gyration of ideal chains (Zimm and Stockmayer, 1949)."""
    free = replace(chain_statistics(conformations=False), distance=0.0)
    n = 60
    closed = grow_chains(ring(n), 400, free, np.random.default_rng(0))
    bead = ResidueTemplate(name="R", bead_names=("B",), bead_type_names=("CH2",), masses=(14.0,))
    joints = tuple((i, 0, i + 1, 0) for i in range(n - 1))
    chain = CGTopology.from_molecules([(MoleculeTemplate(residues=(bead,) * n, joints=joints), 1)], ("CH2",))
    open_ = grow_chains(chain, 400, free, np.random.default_rng(0))
    ratio = (closed**2).sum(axis=-1).mean() / (open_**2).sum(axis=-1).mean()
    assert ratio == pytest.approx(0.5, abs=0.08)  # 1.0 if the ring were left open


def test_parts_that_no_bond_joins_are_refused():
    loose = ResidueTemplate(name="R", bead_names=("A", "B"), bead_type_names=("CH2",) * 2, masses=(14.0,) * 2)
    topology = CGTopology.from_residues([(loose, 1)], ("CH2",))
    with pytest.raises(InputError, match=r"0 bonds for 2 beads.*bead 1 .'B'"):
        grow_chains(topology, 1, chain_statistics(), np.random.default_rng(0))
