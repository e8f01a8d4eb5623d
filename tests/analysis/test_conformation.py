import numpy as np
import pytest

from openmm_cgml.analysis.conformation import (
    ChainStatistics,
    choose_separations,
    compute_chain_statistics,
    compute_separation_curves,
)
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from tests.analysis.chain_models import freely_jointed, freely_rotating, join, make_chains, rouse_modes


def statistics_of(positions, **settings):
    """Statistics of chains (n_frames, n_chains, n_beads, 3) in open space."""
    n_frames, n_chains, n_beads = positions.shape[:3]
    frames = Frames(positions=positions.reshape(n_frames, -1, 3))
    return compute_chain_statistics(frames, make_chains(n_chains, n_beads), **settings)[n_beads]


@pytest.mark.physics
def test_a_freely_jointed_chain_has_its_closed_form_dimensions():
    n, bond = 50, 0.25
    found = statistics_of(freely_jointed(np.random.default_rng(0), (20, 60), n, bond))
    bonds = n - 1
    gyration = (
        bonds * (bonds + 2) / (bonds + 1) / 6 * bond**2
    )  # M. Rubinstein, R. Colby, Polymer Physics, 2003, eq. 2.54
    assert abs(found.end_to_end.mean - bonds * bond**2) < 4 * found.end_to_end.standard_error
    assert abs(found.gyration.mean - gyration) < 4 * found.gyration.standard_error
    assert found.end_to_end.standard_error < 0.05 * found.end_to_end.mean
    curve = found.internal
    z = (curve.mean - curve.separations * bond**2)[1:] / curve.standard_error[1:]
    assert np.abs(z).max() < 4.5
    assert np.sqrt(np.mean(z**2)) > 0.3  # errors are not far too large either
    np.testing.assert_allclose(found.characteristic_ratio[:10], 1.0, atol=0.05)
    assert np.abs(found.orientation.mean[1:]).max() < 0.05


@pytest.mark.physics
def test_a_freely_rotating_chain_has_its_closed_form_dimensions_and_a_jointed_one_has_not():
    n, bond, cosine = 40, 0.25, 0.7
    found = statistics_of(freely_rotating(np.random.default_rng(1), (20, 60), n, cosine, bond))
    s = found.internal.separations
    ratio = (1 + cosine) / (1 - cosine) - 2 * cosine * (1 - cosine**s) / (s * (1 - cosine) ** 2)  # Flory 1969, ch. I
    np.testing.assert_allclose(found.characteristic_ratio, ratio, atol=0.25)
    z = (found.internal.mean - ratio * s * bond**2)[1:] / found.internal.standard_error[1:]
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(found.orientation.mean, cosine**found.orientation.separations, atol=0.03)
    jointed = statistics_of(freely_jointed(np.random.default_rng(2), (20, 60), n, bond))
    assert np.abs(jointed.characteristic_ratio - ratio).max() > 3


@pytest.mark.physics
def test_errors_cover_the_truth_as_often_as_they_should():
    z = []
    for seed in range(40):
        found = statistics_of(freely_jointed(np.random.default_rng(seed), (1, 12), 60))
        truth = found.internal.separations * 0.25**2
        chosen = [found.internal.at(s) for s in (3, 10, 20)]
        z.append(((found.internal.mean - truth) / found.internal.standard_error.clip(1e-12))[chosen])
    assert 0.75 < np.sqrt(np.mean(np.square(z))) < 1.35


@pytest.mark.physics
def test_a_rouse_chain_relaxes_in_its_rouse_time():
    n = 8
    positions = rouse_modes(np.random.default_rng(3), 3000, 60, n, friction_step=0.5)
    found = statistics_of(positions, interval=1.0)
    rates = 4 * np.sin(np.arange(1, n, 2) * np.pi / (2 * n)) ** 2
    weights = (np.cos(np.arange(1, n, 2) * np.pi / (2 * n)) ** 2) / rates
    times = found.relaxation.times
    exact = (weights * np.exp(-0.5 * rates * times[:, None])).sum(axis=1) / weights.sum()
    assert np.all(np.abs(found.relaxation.correlation - exact)[:60] < 4 * found.relaxation.standard_error[:60] + 1e-12)
    assert found.relaxation.is_relaxed
    assert abs(found.end_to_end.mean - (n - 1)) < 4 * found.end_to_end.standard_error


def test_curves_equal_direct_sums():
    rng = np.random.default_rng(4)
    positions = rng.normal(size=(3, 14, 3))
    chains = rng.permutation(14).reshape(2, 7)
    internal, orientation = compute_separation_curves(positions, chains)
    points = positions[:, chains]
    bonds = np.diff(points, axis=2)
    bonds /= np.linalg.norm(bonds, axis=3, keepdims=True)
    for s in range(1, 7):
        direct = np.mean([np.sum((points[..., i + s, :] - points[..., i, :]) ** 2, axis=-1) for i in range(7 - s)])
        assert internal.mean[internal.at(s)] == pytest.approx(direct)
    for s in range(6):
        direct = np.mean([np.sum(bonds[..., i + s, :] * bonds[..., i, :], axis=-1) for i in range(6 - s)])
        assert orientation.mean[orientation.at(s)] == pytest.approx(direct)
    with pytest.raises(InputError, match="no separation of 9 bonds"):
        internal.at(9)


def test_chain_dimensions_equal_mdanalysis():
    MDAnalysis = pytest.importorskip("MDAnalysis")
    from MDAnalysis.analysis.polymer import PersistenceLength
    from MDAnalysis.lib.distances import self_distance_array

    positions = freely_rotating(np.random.default_rng(5), (6, 3), 20, 0.6).astype(np.float32)
    universe = MDAnalysis.Universe.empty(60, trajectory=True)
    universe.load_new(positions.reshape(6, 60, 3))
    chains = [universe.atoms[20 * c : 20 * c + 20] for c in range(3)]
    theirs = PersistenceLength(chains).run().results.bond_autocorrelation
    found = statistics_of(positions)
    np.testing.assert_allclose(found.orientation.mean, theirs[: len(found.orientation.mean)], atol=1e-5)
    i, j = np.triu_indices(20, 1)
    squares = np.square([[self_distance_array(chain.positions) for chain in chains] for _ in universe.trajectory])
    msid = [squares[..., j - i == s].mean() for s in found.internal.separations]
    np.testing.assert_allclose(found.internal.mean, msid, rtol=1e-5)
    assert found.end_to_end.mean == pytest.approx(msid[-1], rel=1e-5)


def test_mixed_lengths_are_kept_apart_and_other_molecules_left_out():
    topology = join([make_chains(2, 10), make_chains(1, 3), make_chains(3, 6)])
    rng = np.random.default_rng(6)
    frames = Frames(positions=rng.normal(size=(5, topology.n_beads, 3)), times=np.arange(5.0))
    found = compute_chain_statistics(frames, topology)
    assert {length: each.n_chains for length, each in found.items()} == {6: 3, 10: 2}
    assert found[6].relaxation is None
    alone = compute_chain_statistics(frames.replace(positions=frames.positions[:, 23:]), make_chains(3, 6))
    assert found[6].to_json() == alone[6].to_json()
    assert set(compute_chain_statistics(frames, topology, min_beads=2)) == {3, 6, 10}
    assert compute_chain_statistics(Frames(positions=frames.positions[:, 20:23]), make_chains(1, 3)) == {}
    assert ChainStatistics.from_json(found[10].to_json()).to_json() == found[10].to_json()


def test_one_chain_has_an_error_from_its_frames():
    found = statistics_of(freely_jointed(np.random.default_rng(7), (400, 1), 10))
    assert found.gyration.standard_error > 0
    assert statistics_of(freely_jointed(np.random.default_rng(7), (1, 1), 10)).gyration.standard_error is None


def test_the_root_of_a_mean_square_carries_its_error():
    found = statistics_of(freely_jointed(np.random.default_rng(8), (3, 30), 10)).gyration
    assert found.root == pytest.approx(found.mean**0.5)
    high, low = (found.mean + found.standard_error * 1e-4) ** 0.5, (found.mean - found.standard_error * 1e-4) ** 0.5
    assert found.root_error == pytest.approx((high - low) / 2e-4)


def test_separations_are_dense_first_and_reach_the_end():
    assert choose_separations(5).tolist() == [1, 2, 3, 4, 5]
    long = choose_separations(999)
    assert long[:20].tolist() == list(range(1, 21))
    assert long[-1] == 999
    assert len(long) < 60
    assert set(choose_separations(99)[:-1]) <= set(long.tolist())


def test_wrapped_chains_are_refused():
    positions = freely_jointed(np.random.default_rng(9), (2, 4), 30).reshape(2, 120, 3)
    frames = Frames(positions=positions % 1.0, box=np.stack([np.eye(3)] * 2))
    with pytest.raises(InputError, match="whole molecules"):
        compute_chain_statistics(frames, make_chains(4, 30))
