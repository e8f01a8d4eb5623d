import pytest
import torch

from openmm_cgml.training import pair_operations
from openmm_cgml.training.batches import PairBatch
from openmm_cgml.training.pair_operations import (
    TabulatedPairs,
    convolve,
    differentiate,
    filter_slopes,
    sum_filters,
)

CUTOFF, N_KNOTS, N_BEADS, N_TYPES, N_CHANNELS = 0.9, 6, 9, 2, 3


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(1)


@pytest.fixture
def by_torch(monkeypatch):
    """The operations as they run where there are no compiled loops."""
    monkeypatch.setattr(pair_operations, "_compiled", lambda tensor: False)


def _random(*shape):
    return torch.rand(*shape, dtype=torch.float64, requires_grad=True)


def _pair_batch(n_pairs, frame_of_bead):
    """Pairs within frames, in the order of their first bead."""
    first = torch.randint(0, len(frame_of_bead), (n_pairs,)).sort().values
    second = torch.tensor([int((frame_of_bead == frame_of_bead[i]).nonzero().flatten()[-1]) for i in first.tolist()])
    distances = CUTOFF * torch.rand(n_pairs, dtype=torch.float64)
    return PairBatch(first=first, second=second.long(), distances=distances, directions=torch.zeros(n_pairs, 3))


def _pairs(n_pairs, frame_of_bead=None):
    frame_of_bead = torch.zeros(N_BEADS, dtype=torch.long) if frame_of_bead is None else frame_of_bead
    return TabulatedPairs.place(_pair_batch(n_pairs, frame_of_bead), frame_of_bead, CUTOFF, N_KNOTS)


def _types():
    return torch.arange(N_BEADS) % N_TYPES


def _operations(pairs):
    """Each operation as a function of its arguments, and arguments."""
    table, tables = _random(2 * N_KNOTS, N_CHANNELS), _random(N_TYPES * 2 * N_KNOTS, N_CHANNELS)
    senders = pairs.by_sender(_types())
    return {
        "convolve": (lambda t, h: convolve(t, h, pairs), (table, _random(N_BEADS, N_CHANNELS))),
        "differentiate": (
            lambda t, h, g: differentiate(t, h, g, pairs),
            (table, _random(N_BEADS, N_CHANNELS), _random(N_BEADS, N_CHANNELS)),
        ),
        "sum_filters": (lambda t: sum_filters(t, senders, N_BEADS), (tables,)),
        "filter_slopes": (lambda t, g: filter_slopes(t, g, senders), (tables, _random(N_BEADS, N_CHANNELS))),
    }


def _filters(table, r):
    """Cubic Hermite spline at one distance, written out."""
    spacing = CUTOFF / (N_KNOTS - 1)
    k = min(int(r / spacing), N_KNOTS - 2)
    u = r / spacing - k
    p0, m0, p1, m1 = table[2 * k : 2 * k + 4]
    return (2 * u**3 - 3 * u**2 + 1) * p0 + (u**3 - 2 * u**2 + u) * m0 + (3 * u**2 - 2 * u**3) * p1 + (u**3 - u**2) * m1


@pytest.mark.parametrize("n_pairs", [1, 9])
@pytest.mark.parametrize("is_compiled", [True, False])
def test_convolution_equals_a_sum_over_both_directions_of_each_pair(n_pairs, is_compiled, request):
    if not is_compiled:
        request.getfixturevalue("by_torch")
    frame_of_bead = torch.zeros(N_BEADS, dtype=torch.long)
    batch = _pair_batch(n_pairs, frame_of_bead)
    pairs = TabulatedPairs.place(batch, frame_of_bead, CUTOFF, N_KNOTS)
    table, h, types = _random(2 * N_KNOTS, N_CHANNELS), _random(N_BEADS, N_CHANNELS), _types()
    tables = _random(N_TYPES, 2 * N_KNOTS, N_CHANNELS)
    expected, expected_sum = (torch.zeros(N_BEADS, N_CHANNELS, dtype=torch.float64) for _ in range(2))
    for i, j, r in zip(batch.first.tolist(), batch.second.tolist(), batch.distances.tolist(), strict=True):
        expected[i] += _filters(table, r) * h[j]
        expected[j] += _filters(table, r) * h[i]
        expected_sum[i] += _filters(tables[types[j]], r)
        expected_sum[j] += _filters(tables[types[i]], r)
    torch.testing.assert_close(convolve(table, h, pairs), expected)
    torch.testing.assert_close(sum_filters(tables.flatten(0, 1), pairs.by_sender(types), N_BEADS), expected_sum)


@pytest.mark.parametrize("name", ["convolve", "differentiate", "sum_filters", "filter_slopes"])
def test_adjoints_of_the_compiled_loops_agree_with_finite_differences(name):
    operation, arguments = _operations(_pairs(7))[name]
    assert torch.autograd.gradcheck(operation, arguments)


@pytest.mark.parametrize("name", ["convolve", "differentiate", "sum_filters", "filter_slopes"])
def test_compiled_loops_equal_torch_operations_in_values_and_gradients(name, monkeypatch):
    operation, arguments = _operations(_pairs(12))[name]
    results = []
    for is_compiled in (True, False):
        monkeypatch.setattr(pair_operations, "_compiled", lambda tensor, value=is_compiled: value)
        outputs = operation(*arguments)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        loss = sum((output * torch.arange(1, output.numel() + 1).reshape(output.shape)).sum() for output in outputs)
        results.append((*outputs, *torch.autograd.grad(loss, arguments)))
    for compiled, by_torch in zip(*results, strict=True):
        torch.testing.assert_close(compiled, by_torch)


def test_differentiation_gives_the_derivatives_of_the_convolution():
    frame_of_bead = torch.zeros(N_BEADS, dtype=torch.long)
    batch = _pair_batch(8, frame_of_bead)
    table, h, g = _random(2 * N_KNOTS, N_CHANNELS), _random(N_BEADS, N_CHANNELS), _random(N_BEADS, N_CHANNELS)
    tables = _random(N_TYPES * 2 * N_KNOTS, N_CHANNELS)

    def value(operation, change=0.0):
        moved = PairBatch(**{**vars(batch), "distances": batch.distances + change})
        pairs = TabulatedPairs.place(moved, frame_of_bead, CUTOFF, N_KNOTS)
        return operation(pairs)

    def energy(pairs):
        return (g * convolve(table, h, pairs)).sum()

    def energy_sum(pairs):
        return (g * sum_filters(tables, pairs.by_sender(_types()), N_BEADS)).sum()

    on_h, slopes = value(lambda pairs: differentiate(table, h, g, pairs))
    slopes_sum = value(lambda pairs: filter_slopes(tables, g, pairs.by_sender(_types())))
    torch.testing.assert_close(on_h, torch.autograd.grad(value(energy), h)[0])
    for pair in range(8):
        step = 1e-6 * torch.nn.functional.one_hot(torch.tensor(pair), 8)
        numerical = float((value(energy, step) - value(energy, -step)).detach()) / 2e-6
        assert float(slopes[pair].detach()) == pytest.approx(numerical, rel=1e-6, abs=1e-8)
        numerical = float((value(energy_sum, step) - value(energy_sum, -step)).detach()) / 2e-6
        assert float(slopes_sum[pair].detach()) == pytest.approx(numerical, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", ["convolve", "differentiate", "sum_filters", "filter_slopes"])
def test_several_threads_give_what_one_gives(name, monkeypatch):
    monkeypatch.setattr(pair_operations, "MANY_PAIRS", 1)
    before, results = torch.get_num_threads(), []
    try:
        for n_threads in (1, 3):
            torch.manual_seed(2)
            torch.set_num_threads(n_threads)
            pairs = _pairs(20, frame_of_bead=torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3]))
            assert len(pairs.parts) == n_threads
            operation, arguments = _operations(pairs)[name]
            outputs = operation(*arguments)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            results.append(
                (*outputs, *torch.autograd.grad(sum(output.square().sum() for output in outputs), arguments))
            )
    finally:
        torch.set_num_threads(before)
    for one, several in zip(*results, strict=True):
        torch.testing.assert_close(one, several)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_parts_share_no_beads_and_hold_every_pair_once(n_threads, monkeypatch):
    monkeypatch.setattr(pair_operations, "MANY_PAIRS", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    pairs = _pairs(30, frame_of_bead=torch.tensor([0, 0, 0, 0, 1, 1, 2, 3, 3]))
    parts = [torch.cat([pairs.first[part], pairs.second[part]]) for part in pairs.parts]
    beads = [bead for part in parts for bead in set(part.tolist())]
    assert len(beads) == len(set(beads))
    assert torch.equal(torch.cat([pairs.first[part] for part in pairs.parts]), pairs.first)


@pytest.mark.parametrize("is_compiled", [True, False])
def test_no_pairs_at_all_give_zeros(is_compiled, request):
    if not is_compiled:
        request.getfixturevalue("by_torch")
    pairs = _pairs(0)
    for operation, arguments in _operations(pairs).values():
        outputs = operation(*arguments)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        assert all(float(output.detach().abs().sum()) == 0 for output in outputs)
        for gradient in torch.autograd.grad(sum(output.sum() for output in outputs), arguments):
            assert float(gradient.abs().sum()) == 0
