import pytest
import torch

from openmm_cgml.training.pair_operations import PairIndex, SparseRows, convolve, interpolate, pair_products


def _random(*shape):
    return torch.rand(*shape, dtype=torch.float64, requires_grad=True)


def _pairs(n_beads, n_pairs):
    first = torch.randint(0, n_beads, (n_pairs,)).sort().values
    return PairIndex(first, torch.randint(0, n_beads, (n_pairs,)), n_beads)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(1)


@pytest.mark.parametrize("n_pairs", [0, 1, 9])
def test_convolution_equals_a_sum_over_both_directions_of_each_pair(n_pairs):
    pairs, filters, features = _pairs(5, n_pairs), _random(n_pairs, 3), _random(5, 3)
    expected = torch.zeros(5, 3, dtype=torch.float64)
    for p, (i, j) in enumerate(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)):
        expected[i] += filters[p] * features[j]
        expected[j] += filters[p] * features[i]
    torch.testing.assert_close(convolve(filters, features, pairs), expected)


@pytest.mark.parametrize("operation", [convolve, pair_products])
@pytest.mark.parametrize("n_pairs", [1, 7])
def test_first_and_second_derivatives_agree_with_finite_differences(operation, n_pairs):
    pairs = _pairs(4, n_pairs)
    left = _random(n_pairs if operation is convolve else 4, 2)
    inputs = (left, _random(4, 2))
    assert torch.autograd.gradcheck(lambda a, b: operation(a, b, pairs), inputs)
    assert torch.autograd.gradgradcheck(lambda a, b: operation(a, b, pairs), inputs)


def test_interpolation_equals_a_sparse_product_and_its_derivatives_agree():
    columns = torch.tensor([[0, 2], [1, 1], [4, 3]])
    matrix, weights, table = SparseRows(columns, 5), torch.rand(3, 2, dtype=torch.float64), _random(5, 4)
    dense = torch.zeros(3, 5, dtype=torch.float64)
    for row in range(3):
        for entry in range(2):
            dense[row, columns[row, entry]] += weights[row, entry]
    torch.testing.assert_close(interpolate(weights, table, matrix), dense @ table)
    assert torch.autograd.gradcheck(lambda t: interpolate(weights, t, matrix), (table,))
    assert torch.autograd.gradgradcheck(lambda t: interpolate(weights, t, matrix), (table,))


def test_no_pairs_at_all_give_zeros():
    assert convolve(_random(0, 3), _random(2, 3), _pairs(2, 0)).abs().sum() == 0
    assert pair_products(_random(2, 3), _random(2, 3), _pairs(2, 0)).shape == (0, 3)
    empty = SparseRows(torch.zeros(0, 4, dtype=torch.long), 6)
    table = _random(6, 3)
    result = interpolate(torch.zeros(0, 4, dtype=torch.float64), table, empty)
    result.sum().backward()
    assert result.shape == (0, 3)
    assert table.grad.abs().sum() == 0
