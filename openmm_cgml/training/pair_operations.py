"""The three operations on pairs that training spends its time in, differentiable as often as one likes.

Training on forces differentiates twice, and these operations are closed under it: the gradients of `convolve` are
`convolve` and `pair_products`, those of `pair_products` are the same two, and `interpolate` is linear. Each runs as a
few calls of torch's `embedding_bag`, a fused gather-and-sum, so nothing larger than (n_pairs, n_filters) is ever made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def _sum_rows(rows: Tensor, indices: Tensor, offsets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sums of (weighted) rows by bag, shape (n_bags, n_columns)."""
    if len(indices) == 0:
        return rows.new_zeros(len(offsets), rows.shape[1])
    result: Tensor = torch.nn.functional.embedding_bag(indices, rows, offsets, per_sample_weights=weights, mode="sum")
    return result


def _offsets(sorted_keys: Tensor, n: int) -> Tensor:
    return torch.searchsorted(sorted_keys, torch.arange(n, device=sorted_keys.device))


@dataclass(frozen=True, eq=False)
class PairIndex:
    """Pairs of beads, prepared for sums over the pairs of each bead.

    Attributes:
        first: Bead numbers in increasing order, shape (n_pairs,).
        second: Bead numbers, shape (n_pairs,).
        n_beads: Number of beads.
    """

    first: Tensor
    second: Tensor
    n_beads: int

    def __post_init__(self) -> None:
        order = torch.argsort(self.second, stable=True)
        object.__setattr__(self, "_all", torch.arange(len(order), device=order.device))
        object.__setattr__(self, "_first_offsets", _offsets(self.first, self.n_beads))
        object.__setattr__(self, "_second_order", order)
        object.__setattr__(self, "_second_offsets", _offsets(self.second[order], self.n_beads))

    def sum_at_first(self, values: Tensor) -> Tensor:
        """Sum of pair values at the first bead of each pair, shape (n_beads, n_columns)."""
        return _sum_rows(values, self._all, self._first_offsets)  # type: ignore[attr-defined]

    def sum_at_second(self, values: Tensor) -> Tensor:
        """Sum of pair values at the second bead of each pair, shape (n_beads, n_columns)."""
        return _sum_rows(values, self._second_order, self._second_offsets)  # type: ignore[attr-defined]


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, filters: Tensor, features: Tensor, pairs: PairIndex) -> Tensor:
        ctx.save_for_backward(filters, features)
        ctx.pairs = pairs
        to_first = features.index_select(0, pairs.second).mul_(filters)
        to_second = features.index_select(0, pairs.first).mul_(filters)
        return pairs.sum_at_first(to_first) + pairs.sum_at_second(to_second)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        filters, features = ctx.saved_tensors
        needs_filters, needs_features, _ = ctx.needs_input_grad
        return (
            pair_products(gradient, features, ctx.pairs) if needs_filters else None,
            convolve(filters, gradient, ctx.pairs) if needs_features else None,
            None,
        )


class _PairProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, pairs: PairIndex) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.pairs = pairs
        result = left.index_select(0, pairs.first).mul_(right.index_select(0, pairs.second))
        return result.addcmul_(left.index_select(0, pairs.second), right.index_select(0, pairs.first))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # type: ignore[override]
        left, right = ctx.saved_tensors
        needs_left, needs_right, _ = ctx.needs_input_grad
        return (
            convolve(gradient, right, ctx.pairs) if needs_left else None,
            convolve(gradient, left, ctx.pairs) if needs_right else None,
            None,
        )


def convolve(filters: Tensor, features: Tensor, pairs: PairIndex) -> Tensor:
    """Continuous-filter convolution y_i = sum_j filters_ij * features_j, shape (n_beads, n_filters).

    Args:
        filters: Filter of each pair, the same in both directions, shape (n_pairs, n_filters).
        features: Features of each bead, shape (n_beads, n_filters).
        pairs: The pairs, each once.
    """
    result: Tensor = _Convolve.apply(filters, features, pairs)  # type: ignore[no-untyped-call]
    return result


def pair_products(left: Tensor, right: Tensor, pairs: PairIndex) -> Tensor:
    """left_i * right_j + left_j * right_i for every pair, shape (n_pairs, n_columns).

    Args:
        left: Values of each bead, shape (n_beads, n_columns).
        right: Values of each bead, shape (n_beads, n_columns).
        pairs: The pairs, each once.
    """
    result: Tensor = _PairProducts.apply(left, right, pairs)  # type: ignore[no-untyped-call]
    return result


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A sparse matrix with the same number of entries in every row, prepared for products from both sides.

    Attributes:
        columns: Columns of the entries, shape (n_rows, n_entries).
        n_columns: Number of columns.
    """

    columns: Tensor
    n_columns: int

    def __post_init__(self) -> None:
        flat = self.columns.reshape(-1)
        order = torch.argsort(flat, stable=True)
        object.__setattr__(self, "_order", order)
        object.__setattr__(self, "_rows", torch.div(order, self.columns.shape[1], rounding_mode="floor"))
        object.__setattr__(self, "_offsets", _offsets(flat[order], self.n_columns))

    def multiply(self, weights: Tensor, table: Tensor) -> Tensor:
        """Matrix with entries `weights` times `table`, shape (n_rows, n)."""
        if len(weights) == 0:
            return table.new_zeros(0, table.shape[1])
        result: Tensor = torch.nn.functional.embedding_bag(self.columns, table, per_sample_weights=weights, mode="sum")
        return result

    def multiply_transposed(self, weights: Tensor, values: Tensor) -> Tensor:
        """Transposed matrix with entries `weights` times `values`, shape (n_columns, n)."""
        ordered = weights.reshape(-1)[self._order]  # type: ignore[attr-defined]
        return _sum_rows(values, self._rows, self._offsets, ordered)  # type: ignore[attr-defined]


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, table: Tensor, matrix: SparseRows) -> Tensor:
        ctx.weights, ctx.matrix = weights, matrix
        return matrix.multiply(weights, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # type: ignore[override]
        return None, _InterpolateTransposed.apply(ctx.weights, gradient, ctx.matrix), None  # type: ignore[no-untyped-call]


class _InterpolateTransposed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weights: Tensor, values: Tensor, matrix: SparseRows) -> Tensor:
        ctx.weights, ctx.matrix = weights, matrix
        return matrix.multiply_transposed(weights, values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # type: ignore[override]
        return None, interpolate(ctx.weights, gradient, ctx.matrix), None


def interpolate(weights: Tensor, table: Tensor, matrix: SparseRows) -> Tensor:
    """Rows of `table` combined with constant weights, differentiable in the table, shape (n_rows, n).

    Args:
        weights: Entries of the matrix, shape (n_rows, n_entries).
        table: Shape (n_columns, n).
        matrix: Where the entries stand.
    """
    result: Tensor = _Interpolate.apply(weights, table, matrix)  # type: ignore[no-untyped-call]
    return result
