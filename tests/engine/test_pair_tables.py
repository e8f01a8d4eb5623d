import numpy as np
import pytest
import torch

from openmm_cgml.engine.pair_kernels import add_table_forces
from openmm_cgml.engine.pair_prior import PairPrior
from openmm_cgml.engine.pair_tables import WALL_ENERGY, tabulate_pairs
from openmm_cgml.potentials import PowerRepulsion, evaluate

SHAPES = {"exponent 12": (12, 0.7, 0.6), "exponent 6": (6, 0.9, 0.5), "late switch": (12, 0.8, 0.78)}


def repulsion(exponent=12, cutoff=0.7, switch_distance=0.6, bead_types=(0, 1, 0, 1), exclusions=((0, 1), (1, 3))):
    return PowerRepulsion(
        bead_types=bead_types,
        sigma=[[0.36, 0.4], [0.4, 0.45]],
        epsilon=[[4.184, 3.0], [3.0, 5.0]],
        exponent=exponent,
        cutoff=cutoff,
        switch_distance=switch_distance,
        exclusions=exclusions,
    )


def analytic(potential, r, a, b):
    r = torch.tensor(r, requires_grad=True)
    energy = potential.pair_energy(r, a, b)
    (slope,) = torch.autograd.grad(energy.sum(), r)
    return energy.detach().numpy(), slope.numpy()


def error(table, potential, r, a, b):
    energy, slope = analytic(potential, r, a, b)
    found, found_slope = table.evaluate(r, a, b)
    scale = [np.maximum(np.abs(values), 1.0) for values in (energy, slope)]
    return (np.abs(found - energy) / scale[0]).max(), (np.abs(found_slope - slope) / scale[1]).max()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("types", [(0, 0), (0, 1), (1, 1)])
def test_a_table_is_as_good_as_the_analytic_form(shape, types):
    potential = repulsion(*SHAPES[shape])
    r = np.random.default_rng(0).uniform(0.16, potential.cutoff, 3000)
    r = r[r > (table := tabulate_pairs([potential])).start]
    energy, slope = error(table, potential, r, *types)
    assert energy < 1e-8 and slope < 1e-5, (energy, slope)
    coarse = error(tabulate_pairs([potential], n_knots=64), potential, r, *types)
    assert coarse[1] > 1e-4  # a table of too few knots is seen


def test_beads_that_overlap_are_driven_apart_by_a_finite_force():
    table = tabulate_pairs([repulsion()])
    r = np.linspace(0.0, table.start, 50)
    energy, slope = table.evaluate(r, 0, 1)
    assert np.all(np.isfinite(energy)) and energy.min() >= WALL_ENERGY
    assert np.ptp(slope) < 1e-9 * abs(slope[0]) and slope[0] < 0
    np.testing.assert_allclose(np.gradient(energy, r), slope, rtol=1e-9)
    below, above = table.evaluate(np.array([table.start - 1e-9, table.start + 1e-9]), 0, 1)[1]
    assert below == pytest.approx(above, rel=1e-6)  # the force is continuous there


def test_nothing_is_left_at_the_cutoff_and_beyond():
    table = tabulate_pairs([repulsion()])
    energy, slope = table.evaluate(np.array([table.cutoff, np.nextafter(table.cutoff, 1), 3.0]), 1, 1)
    assert not energy.any() and not slope.any()
    assert table.evaluate(np.array([table.cutoff - 0.01]), 1, 1)[0][0] > 0


def test_kernel_and_torch_form_give_what_the_potential_gives():
    """The three ways to the same sum, with excluded pairs and pairs beyond the cutoff among them."""
    potential = repulsion()
    x = np.array([[0.0, 0, 0], [0.3, 0, 0], [0, 0.4, 0], [0.1, 0.2, 1.0]])
    first, second = np.triu_indices(4, 1)
    vectors = x[first] - x[second]
    distances = np.linalg.norm(vectors, axis=1)
    assert (distances > potential.cutoff).any()
    energy, forces = evaluate([potential], torch.tensor(x))
    table, of_kernel, of_torch = tabulate_pairs([potential]), np.zeros_like(x), np.zeros_like(x)
    kept = np.array([[i, j] not in potential.exclusions.tolist() for i, j in zip(first, second, strict=True)])
    total = add_table_forces(
        first[kept], second[kept], vectors[kept], distances[kept], *kernel_tables(table), of_kernel
    )
    prior, slopes = PairPrior(table)(*(torch.from_numpy(array) for array in (first, second, distances)))
    pulls = (slopes.numpy() / distances)[:, None] * vectors
    np.add.at(of_torch, first, -pulls)
    np.add.at(of_torch, second, pulls)
    for found, sums in ((total, of_kernel), (float(prior), of_torch)):
        assert found == pytest.approx(float(energy), rel=1e-6)
        np.testing.assert_allclose(sums, forces.numpy(), atol=1e-6 * float(forces.abs().max()))
    without = PairPrior(tabulate_pairs([repulsion(exclusions=())]))(
        *(torch.from_numpy(array) for array in (first, second, distances))
    )
    assert float(without[0]) > 1.01 * float(energy)  # forgotten exclusions are seen


def kernel_tables(table, cutoffs=None):
    """What the kernel takes of tables; with other cutoffs by pair of types, shape (n_types, n_types)."""
    n_types = len(table.knots)
    ranges = np.tile([table.start, table.scale, table.cutoff], (n_types**2, 1))
    if cutoffs is not None:
        ranges[:, 2] = np.ravel(cutoffs)
    return table.bead_types, n_types, table.polynomials().reshape(n_types**2, -1, 4), ranges


def test_forces_are_added_to_what_is_there():
    table, forces = tabulate_pairs([repulsion(exclusions=())]), np.full((4, 3), 7.0)
    pair = np.array([0]), np.array([2]), np.array([[0.0, 0.4, 0.0]]), np.array([0.4])
    energy = add_table_forces(*pair, *kernel_tables(table), forces)
    expected = table.evaluate(pair[3], 0, 0)
    assert energy == pytest.approx(expected[0][0])
    assert forces[0, 1] - 7.0 == pytest.approx(-expected[1][0])
    np.testing.assert_allclose(forces[0] + forces[2], 14.0)
    assert (forces[[1, 3]] == 7.0).all()


def test_every_pair_of_types_may_end_at_a_cutoff_of_its_own():
    table = tabulate_pairs([repulsion(exclusions=())])
    x = np.array([[0.0, 0, 0], [0.4, 0, 0], [0, 0.4, 0]])  # bead types 0, 1, 0
    first, second = np.triu_indices(3, 1)
    vectors = x[first] - x[second]
    pairs = first, second, vectors, np.linalg.norm(vectors, axis=1)
    energy = add_table_forces(*pairs, *kernel_tables(table, [[0.7, 0.3], [0.3, 0.7]]), np.zeros((4, 3)))
    assert energy == pytest.approx(table.evaluate(np.array([0.4]), 0, 0)[0][0])
    assert add_table_forces(*pairs, *kernel_tables(table), np.zeros((4, 3))) > 1.5 * energy  # all of them interact
