import numpy as np
import pytest
from scipy.spatial.distance import pdist

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.reference.polyethylene import POLYETHYLENE, grow_backbones


def torsions(backbones):
    first, second, third = (np.diff(backbones, axis=1)[:, i : i - 2 or None] for i in range(3))
    one, two = np.cross(first, second), np.cross(second, third)
    sine = (np.cross(one, two) * second).sum(-1) / np.linalg.norm(second, axis=-1)
    return np.degrees(np.arctan2(sine, (one * two).sum(-1)))


@pytest.fixture(scope="module")
def backbones():
    return grow_backbones(40, 60, 12.0, np.random.default_rng(1))


def test_chain_of_50_monomers_is_c100h202_without_charge():
    units = POLYETHYLENE.units(50)
    elements = [symbol for unit in units for symbol in unit.elements]
    assert (elements.count("C"), elements.count("H")) == (100, 202)
    assert sum(charge for unit in units for charge in unit.charges) == pytest.approx(0.0, abs=1e-12)
    assert POLYETHYLENE.n_atoms(50) == 302


def test_bonds_run_through_the_chain_and_not_between_chains():
    topology = POLYETHYLENE.topology(2, 3)
    bonds = [(bond[0], bond[1]) for bond in topology.bonds()]
    assert len(bonds) == 2 * (POLYETHYLENE.n_atoms(3) - 1)
    assert all(a.residue.chain is b.residue.chain for a, b in bonds)
    assert sum({a.element.symbol, b.element.symbol} == {"C"} for a, b in bonds) == 2 * 5


def test_growth_depends_on_the_seed_alone():
    first, again, other = (POLYETHYLENE.grow(2, 6, 4.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_carbons_keep_their_distance_also_through_the_boundary():
    edge = 3.0
    chains = grow_backbones(4, 40, edge, np.random.default_rng(3))
    flat = chains.reshape(-1, 3)
    vectors = flat[:, None] - flat
    distances = np.linalg.norm(vectors - edge * np.round(vectors / edge), axis=-1)
    index = np.arange(len(flat))
    near = (index[:, None] // 40 == index // 40) & (abs(index[:, None] - index) <= 4)
    assert distances[~near].min() >= 0.38
    assert np.linalg.norm(np.diff(chains, axis=1), axis=-1) == pytest.approx(0.153)


def test_hydrogens_sit_on_their_carbon():
    atoms = POLYETHYLENE.grow(1, 3, 5.0, np.random.default_rng(1))
    elements = np.array([symbol for unit in POLYETHYLENE.units(3) for symbol in unit.elements])
    to_carbons = np.linalg.norm(atoms[elements == "H"][:, None] - atoms[elements == "C"], axis=-1)
    assert to_carbons.min(axis=1) == pytest.approx(0.109, abs=1e-6)
    assert pdist(atoms[elements == "H"]).min() > 0.15


@pytest.mark.physics
def test_torsions_are_mostly_trans_and_rarely_of_opposite_gauche_in_a_row(backbones):
    angles = torsions(backbones)
    is_trans = abs(angles) > 120.0
    assert 0.52 < is_trans.mean() < 0.68
    opposite = (~is_trans[:, 1:] & ~is_trans[:, :-1] & (angles[:, 1:] * angles[:, :-1] < 0)).mean()
    assert opposite < 0.25 * (~is_trans).mean() ** 2  # independent torsions would give half of the square


@pytest.mark.physics
def test_chains_are_as_stiff_as_rotational_isomers_make_them(backbones):
    ratio = ((backbones[:, -1] - backbones[:, 0]) ** 2).sum(-1).mean() / (59 * 0.153**2)
    assert 4.5 < ratio < 8.5  # a freely rotating chain has 2.2, polyethylene about 6 to 7 at this length


def test_crowded_box_is_refused():
    with pytest.raises(SimulationError, match=r"no way through a box of 1\.200 nm.*lower"):
        grow_backbones(6, 30, 1.2, np.random.default_rng(1))


def test_single_monomer_is_refused():
    with pytest.raises(InputError, match="at least 2"):
        POLYETHYLENE.topology(1, 1)
