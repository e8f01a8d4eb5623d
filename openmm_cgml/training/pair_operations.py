"""The operations on pairs that training spends its time in, each once differentiable.

Filters are read from tables on the way, so nothing of size (n_pairs, n_filters) is kept. On a CPU compiled loops do the
work and their adjoints are written out; elsewhere the same functions are made of torch's operations.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor

from openmm_cgml.training import pair_kernels
from openmm_cgml.training.batches import PairBatch

MANY_PAIRS = 4000
"""With fewer pairs it takes longer to wake other threads than to do their work."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TabulatedPairs:
    """Pairs of beads and where their filters stand in a table.

    A table has two rows for each knot, value and knot spacing times derivative, and a pair combines four rows in
    sequence: cubic Hermite interpolation, what the deployed network does.

    Attributes:
        first: Bead numbers, shape (n_pairs,).
        second: Bead numbers, shape (n_pairs,).
        rows: First of the four rows of each pair, shape (n_pairs,); with one table per bead type shape (n_pairs, 2),
            the rows of the filter that acts on the first and on the second bead.
        values: Weights of the rows in the filter, shape (n_pairs, 4).
        slopes: Weights of the rows in its derivative [1/nm], shape (n_pairs, 4).
        cutoff: Distance of the last knot [nm].
        n_knots: Knots of a table.
        parts: Pairs that can be worked on at the same time, as no bead is in two of these ranges.
    """

    first: Tensor
    second: Tensor
    rows: Tensor
    values: Tensor
    slopes: Tensor
    cutoff: float
    n_knots: int
    parts: tuple[slice, ...] = (slice(None),)

    @classmethod
    def place(cls, pairs: PairBatch, frame_of_bead: Tensor, cutoff: float, n_knots: int) -> TabulatedPairs:
        """Pairs in tables with uniform knots.

        Args:
            pairs: The pairs.
            frame_of_bead: Frame of each bead, shape (n_beads,); pairs are of one frame.
            cutoff: Distance of the last knot [nm]; the first stands at 0.
            n_knots: Number of knots.
        """
        spacing = cutoff / (n_knots - 1)
        scaled = pairs.distances / spacing
        interval = scaled.long().clamp_(max=n_knots - 2)
        values, slopes = _hermite(scaled - interval, spacing)
        return cls(
            first=pairs.first,
            second=pairs.second,
            rows=2 * interval,
            values=values,
            slopes=slopes,
            cutoff=cutoff,
            n_knots=n_knots,
            parts=_parts(frame_of_bead[pairs.first]) if _compiled(scaled) else (slice(None),),
        )

    def by_sender(self, bead_types: Tensor) -> TabulatedPairs:
        """The same in tables that stand one after the other for each type of the bead that acts.

        Args:
            bead_types: Type of each bead, shape (n_beads,).
        """
        senders = torch.stack([bead_types[self.second], bead_types[self.first]], dim=1)
        return replace(self, rows=self.rows[:, None] + 2 * self.n_knots * senders)


def _parts(frames: Tensor) -> tuple[slice, ...]:
    """Ranges of pairs of whole frames, about as many pairs in each, at most one range per thread.

    Args:
        frames: Frame of each pair in increasing order, shape (n_pairs,).
    """
    n, n_threads = len(frames), torch.get_num_threads()
    if n_threads == 1 or n < MANY_PAIRS:
        return (slice(None),)
    starts = torch.searchsorted(frames, torch.arange(int(frames[-1]) + 1))
    wanted = torch.arange(1, n_threads) * n // n_threads
    nearest = starts[(starts[:, None] - wanted).abs().argmin(0)]
    bounds = sorted({0, *nearest.tolist(), n})
    return tuple(slice(*ends) for ends in itertools.pairwise(bounds))


def _hermite(u: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
    """Weights of value and scaled slope at both ends of an interval, at a fraction `u` of it, and their derivatives."""
    v = 1 - u
    values = torch.stack([(1 + 2 * u) * v * v, u * v * v, u * u * (3 - 2 * u), -u * u * v], dim=1)
    slopes = torch.stack([-6 * u * v, v * (1 - 3 * u), 6 * u * v, u * (3 * u - 2)], dim=1) / spacing
    return values, slopes


def convolve(table: Tensor, h: Tensor, pairs: TabulatedPairs) -> Tensor:
    """Continuous-filter convolution y_i = sum_j f_ij * h_j, shape (n_beads, n_channels).

    Args:
        table: Filters, shape (2 n_knots, n_channels).
        h: Features of each bead, shape (n_beads, n_channels).
        pairs: The pairs, each once.
    """
    if _compiled(h):
        return cast(Tensor, _Convolve.apply(table, h, pairs))  # type: ignore[no-untyped-call]
    return _both_ways(_combine(table, pairs.rows, pairs.values), h, pairs)


def differentiate(table: Tensor, h: Tensor, g: Tensor, pairs: TabulatedPairs) -> tuple[Tensor, Tensor]:
    """Derivatives of sum(g y), y from `convolve`.

    Args:
        table: Filters, shape (2 n_knots, n_channels).
        h: Features of each bead, shape (n_beads, n_channels).
        g: Shape (n_beads, n_channels).
        pairs: The pairs, each once.

    Returns:
        With respect to h, shape (n_beads, n_channels), and to the distances [1/nm], shape (n_pairs,).
    """
    if _compiled(h):
        return cast(tuple[Tensor, Tensor], _Differentiate.apply(table, h, g, pairs))  # type: ignore[no-untyped-call]
    products = g[pairs.first] * h[pairs.second] + g[pairs.second] * h[pairs.first]
    slopes = (_combine(table, pairs.rows, pairs.slopes) * products).sum(1)
    return _both_ways(_combine(table, pairs.rows, pairs.values), g, pairs), slopes


def sum_filters(tables: Tensor, pairs: TabulatedPairs, n_beads: int) -> Tensor:
    """y_i = sum_j f_ij with filters that depend on the type of j, shape (n_beads, n_channels).

    Args:
        tables: One after the other for each type, shape (n_types * 2 n_knots, n_channels).
        pairs: The pairs, each once, placed `by_sender`.
        n_beads: Number of beads.
    """
    if _compiled(tables):
        return cast(Tensor, _SumFilters.apply(tables, pairs, n_beads))  # type: ignore[no-untyped-call]
    y = tables.new_zeros(n_beads, tables.shape[1])
    y = y.index_add(0, pairs.first, _combine(tables, pairs.rows[:, 0], pairs.values))
    return y.index_add(0, pairs.second, _combine(tables, pairs.rows[:, 1], pairs.values))


def filter_slopes(tables: Tensor, g: Tensor, pairs: TabulatedPairs) -> Tensor:
    """Derivatives of sum(g y), y from `sum_filters`, with respect to the distances [1/nm], shape (n_pairs,).

    Args:
        tables: One after the other for each type, shape (n_types * 2 n_knots, n_channels).
        g: Shape (n_beads, n_channels).
        pairs: The pairs, each once, placed `by_sender`.
    """
    if _compiled(g):
        return cast(Tensor, _FilterSlopes.apply(tables, g, pairs))  # type: ignore[no-untyped-call]
    to_first = (g[pairs.first] * _combine(tables, pairs.rows[:, 0], pairs.slopes)).sum(1)
    return to_first + (g[pairs.second] * _combine(tables, pairs.rows[:, 1], pairs.slopes)).sum(1)


def _compiled(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu"


def _combine(table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Filters or their derivatives, shape (n_pairs, n_channels)."""
    four = rows[:, None] + torch.arange(4, device=rows.device)
    if not len(rows):
        return weights @ table[:4]  # embedding_bag takes no empty input
    return torch.nn.functional.embedding_bag(four, table, per_sample_weights=weights, mode="sum")


def _both_ways(filters: Tensor, h: Tensor, pairs: TabulatedPairs) -> Tensor:
    y = torch.zeros_like(h).index_add(0, pairs.first, filters * h[pairs.second])
    return y.index_add(0, pairs.second, filters * h[pairs.first])


def _run(
    kernel: Any,
    pairs: TabulatedPairs,
    of_pairs: tuple[Tensor, ...],
    others: tuple[Tensor, ...],
    on_table: Tensor | None = None,
) -> None:
    """Run a kernel over all pairs, each part of them on a thread of its own.

    Args:
        kernel: One of `pair_kernels`.
        pairs: The pairs.
        of_pairs: Arguments with a row per pair.
        others: Arguments that all parts share: parts have no beads in common.
        on_table: Output that all parts add to.
    """
    sliced = [tensor.detach().numpy() for tensor in (pairs.first, pairs.second, pairs.rows, *of_pairs)]
    shared = [tensor.detach().numpy() for tensor in others]
    tables = [] if on_table is None else [on_table, *(torch.zeros_like(on_table) for _ in pairs.parts[1:])]

    def work(number: int) -> None:
        output = [tables[number].numpy()] if tables else []
        kernel(*(array[pairs.parts[number]] for array in sliced), *shared, *output)

    if len(pairs.parts) == 1:
        work(0)
    else:
        list(_threads(len(pairs.parts)).map(work, range(len(pairs.parts))))
    for table in tables[1:]:
        tables[0].add_(table)


@lru_cache(maxsize=1)
def _threads(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number)


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, h: Tensor, pairs: TabulatedPairs) -> Tensor:
        ctx.save_for_backward(table, h)
        ctx.pairs = pairs
        y = torch.zeros_like(h)
        _run(pair_kernels.convolve, pairs, (pairs.values,), (table, h, y))
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        table, h = ctx.saved_tensors
        pairs, g = ctx.pairs, g.contiguous()
        on_table, on_h = torch.zeros_like(table), torch.zeros_like(h)
        _run(pair_kernels.convolve_table, pairs, (pairs.values,), (g, h), on_table)
        _run(pair_kernels.convolve, pairs, (pairs.values,), (table, g, on_h))
        return on_table, on_h, None


class _Differentiate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: Tensor, h: Tensor, g: Tensor, pairs: TabulatedPairs) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(table, h, g)
        ctx.pairs = pairs
        on_h, s = torch.zeros_like(h), h.new_zeros(len(pairs.first))
        _run(pair_kernels.differentiate, pairs, (pairs.values, pairs.slopes, s), (table, h, g, on_h))
        return on_h, s

    @staticmethod
    def backward(ctx: Any, u: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        table, h, g = ctx.saved_tensors
        pairs, u, s = ctx.pairs, u.contiguous(), s.contiguous()
        of_pairs = pairs.values, pairs.slopes, s
        on_table, on_h, on_g = torch.zeros_like(table), torch.zeros_like(h), torch.zeros_like(g)
        _run(pair_kernels.differentiate_beads, pairs, of_pairs, (table, h, g, u, on_h, on_g))
        _run(pair_kernels.differentiate_table, pairs, of_pairs, (h, g, u), on_table)
        return on_table, on_h, on_g, None


class _SumFilters(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tables: Tensor, pairs: TabulatedPairs, n_beads: int) -> Tensor:
        ctx.pairs, ctx.shape = pairs, tables.shape
        y = tables.new_zeros(n_beads, tables.shape[1])
        _run(pair_kernels.sum_filters, pairs, (pairs.values,), (tables, y))
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        on_tables = g.new_zeros(ctx.shape)
        _run(pair_kernels.sum_filters_table, ctx.pairs, (ctx.pairs.values,), (g.contiguous(),), on_tables)
        return on_tables, None, None


class _FilterSlopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tables: Tensor, g: Tensor, pairs: TabulatedPairs) -> Tensor:
        ctx.save_for_backward(tables, g)
        ctx.pairs = pairs
        s = g.new_zeros(len(pairs.first))
        _run(pair_kernels.filter_slopes, pairs, (pairs.slopes, s), (tables, g))
        return s

    @staticmethod
    def backward(ctx: Any, s: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        tables, g = ctx.saved_tensors
        weights = ctx.pairs.slopes * s[:, None]
        on_tables, on_g = torch.zeros_like(tables), torch.zeros_like(g)
        _run(pair_kernels.sum_filters_table, ctx.pairs, (weights,), (g,), on_tables)
        _run(pair_kernels.sum_filters, ctx.pairs, (weights,), (tables, on_g))
        return on_tables, on_g, None
