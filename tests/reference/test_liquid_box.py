import numpy as np
import openmm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import InputError
from openmm_cgml.reference import Mixture, build_liquid
from openmm_cgml.reference.atomistic_box import box_length, scale_centers
from openmm_cgml.reference.liquid_box import place_on_lattice
from tests.reference import liquids


def test_benzene_at_its_density_fills_the_known_box():
    assert box_length(500 * float(liquids.MODEL.masses.sum()), 0.8398) == pytest.approx(4.2585, abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(n_molecules=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_lattice_molecules_are_whole_rigid_copies(n_molecules, seed):
    placed = place_on_lattice(Mixture.of(liquids.MODEL, n_molecules), 3.0, seed).reshape(n_molecules, 12, 3)
    for i, j in [(0, 3), (0, 6), (6, 8)]:
        wanted = np.linalg.norm(liquids.MODEL.positions[i] - liquids.MODEL.positions[j])
        np.testing.assert_allclose(np.linalg.norm(placed[:, i] - placed[:, j], axis=1), wanted, atol=1e-10)
    handedness = np.cross(placed[:, 1] - placed[:, 0], placed[:, 2] - placed[:, 0])
    assert (np.linalg.norm(handedness, axis=1) > 1e-3).all()


def test_same_seed_gives_the_same_box_and_another_seed_another():
    one, again, other = (place_on_lattice(Mixture.of(liquids.MODEL, 8), 2.0, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.5, 2.0))
def test_scaling_moves_centers_and_keeps_molecules_rigid(scale):
    before = liquids.positions().reshape(-1, 12, 3)
    after = scale_centers(before.reshape(-1, 3), np.full(len(before), 12), scale).reshape(-1, 12, 3)
    np.testing.assert_allclose(after.mean(axis=1), scale * before.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(after - after.mean(axis=1, keepdims=True), before - before.mean(axis=1, keepdims=True))


@pytest.mark.slow
def test_built_liquid_has_the_density_asked_for_and_no_overlaps():
    system = liquids.split_system()[1]
    positions, length = build_liquid(
        liquids.BOX, system, density=0.7, temperature=300.0, initial_density=0.6,
        platform=openmm.Platform.getPlatform("CPU"), properties={"Threads": "1"},
    )  # fmt: skip
    assert length == pytest.approx(box_length(float(liquids.MODEL.masses.sum()) * liquids.N_MOLECULES, 0.7))
    vectors = positions[:, None] - positions[None]
    distances = np.linalg.norm(vectors - length * np.rint(vectors / length), axis=-1)
    assert distances[~np.kron(np.eye(liquids.N_MOLECULES, dtype=bool), np.ones((12, 12), dtype=bool))].min() > 0.18


def test_initial_density_above_the_final_one_is_refused():
    with pytest.raises(InputError, match=r"initial density 0.9.*at most 0.8"):
        build_liquid(
            Mixture.of(liquids.MODEL, 1), openmm.System(), density=0.8, temperature=300.0, initial_density=0.9,
            platform=openmm.Platform.getPlatform("Reference"),
        )  # fmt: skip
