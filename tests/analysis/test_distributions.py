import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.analysis.distributions import (
    compute_angle_distributions,
    compute_bond_distributions,
    compute_distribution,
    compute_torsion_distributions,
)
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.analysis.chain_models import make_chains


def test_moments_and_density_of_a_normal_distribution():
    values = np.random.default_rng(0).normal(0.25, 0.01, (200, 500))
    found = compute_distribution(values, bin_width=0.002)
    assert found.mean == pytest.approx(0.25, abs=4 * found.standard_error)
    assert found.standard_error == pytest.approx(0.01 / np.sqrt(100_000), rel=0.3)
    assert found.std == pytest.approx(0.01, rel=0.01)
    assert np.sum(found.density) * 0.002 == pytest.approx(1.0)
    assert (found.minimum, found.maximum) == (values.min(), values.max())
    assert found.density.max() == pytest.approx(1 / (0.01 * np.sqrt(2 * np.pi)), rel=0.03)


@settings(max_examples=30)
@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=50), st.sampled_from([0.002, 0.01, 0.1]))
def test_every_sample_falls_into_a_bin(values, width):
    found = compute_distribution(np.array([values]), bin_width=width)
    assert np.sum(found.density) * width == pytest.approx(1.0)
    assert found.bin_edges[0] <= min(values) + 1e-9
    assert found.bin_edges[-1] >= max(values) - 1e-9
    assert found.standard_error is None


def test_no_samples_are_refused():
    with pytest.raises(InputError, match="no samples"):
        compute_distribution(np.zeros((3, 0)), bin_width=0.1)


def test_kinds_are_named_by_types_in_either_direction():
    chain = ResidueTemplate(
        name="CHN", bead_names=("a", "b", "c", "d"), bead_type_names=("E", "M", "M", "E"), masses=(1.0,) * 4,
        bonds=((0, 1), (1, 2), (2, 3)),
    )  # fmt: skip
    topology = CGTopology.from_residues([(chain, 2)])
    positions = np.zeros((2, 8, 3))
    positions[..., 0] = np.arange(8) * 0.15
    frames = Frames(positions=positions)
    bonds, angles = compute_bond_distributions(frames, topology), compute_angle_distributions(frames, topology)
    assert {name: found.n_samples for name, found in bonds.items()} == {"E-M": 8, "M-M": 4}
    assert {name: found.n_samples for name, found in angles.items()} == {"E-M-M": 8}
    assert angles["E-M-M"].mean == pytest.approx(np.pi)


def test_torsions_are_kept_by_type_and_without_sign():
    chain = make_chains(3, 6, types=[1, 0, 0, 0, 0, 1])
    frames = Frames(positions=np.random.default_rng(2).normal(size=(400, 18, 3)))
    found = compute_torsion_distributions(frames, chain)
    assert {name: each.n_samples for name, each in found.items()} == {"M-M-M-E": 2400, "M-M-M-M": 1200}
    assert all(0 <= each.minimum < each.maximum <= np.pi for each in found.values())
    ring = CGTopology.from_residues([(ResidueTemplate(name="RNG", bead_names=("a", "b", "c"), bead_type_names=("M",) * 3,
                                                      masses=(1.0,) * 3, bonds=((0, 1), (1, 2), (0, 2))), 2)])  # fmt: skip
    assert compute_torsion_distributions(Frames(positions=np.zeros((2, 6, 3))), ring) == {}


def test_errors_hold_for_coordinates_that_do_not_move():
    rng = np.random.default_rng(3)
    frozen = np.tile(rng.normal(0.25, 0.01, (1, 40)), (500, 1)) + rng.normal(0, 1e-4, (500, 40))
    assert compute_distribution(frozen, bin_width=0.001).standard_error == pytest.approx(0.01 / np.sqrt(40), rel=0.4)


@pytest.mark.physics
def test_errors_of_moments_cover_the_truth():
    rng = np.random.default_rng(4)
    found = [compute_distribution(rng.normal(0.25, 0.01, (50, 20)), bin_width=0.001) for _ in range(60)]
    z = np.array([[(d.mean - 0.25) / d.standard_error, (d.std - 0.01) / d.std_error] for d in found])
    assert np.all((np.sqrt(np.mean(z**2, axis=0)) > 0.6) & (np.sqrt(np.mean(z**2, axis=0)) < 1.2))
