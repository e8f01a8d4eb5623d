"""What the pair loops do to the rows of two beads, 16 channels at a time, as LLVM vector instructions.

Compilers cannot know that rows of two beads never overlap, and the checks that they insert take as long as the row
itself. So these loops are written out. They take addresses of rows in float32 and a number of channels that is a
multiple of `LANES`; on processors with narrower registers LLVM splits the vectors.

Filters are cubic Hermite splines: a knot's row holds the values and then the slopes of all channels, and the row of the
next knot follows. The weights (value and slope at the lower knot, value and slope at the upper) come from the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LANES = 16
"""Channels that are done together; rows are padded to a multiple of it."""

_CONTRACT = ("contract", "reassoc", "nsz")
_INDEX = ir.IntType(64)
_VECTOR = ir.VectorType(ir.FloatType(), LANES)

_Builder = Any
_Value = Any


@intrinsic
def add_values(typingctx, knots, sums_i, sums_j, n, v0, d0, v1, d1):  # type: ignore[no-untyped-def]
    """Add the interpolated row to both rows of sums."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, sums_i, sums_j, n, *weights = args
        row = _Rows(builder, n)
        weights = row.splat(weights)

        def body(c: _Value, _: list[_Value]) -> list[_Value]:
            value = row.interpolate(knots, c, weights)
            row.add(sums_i, c, value)
            row.add(sums_j, c, value)
            return []

        row.loop([], body)
        return context.get_dummy_value()

    return _signature(3, 4), generate


@intrinsic
def add_values_to_one(typingctx, knots, sums, n, v0, d0, v1, d1):  # type: ignore[no-untyped-def]
    """Add the interpolated row to a row of sums."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, sums, n, *weights = args
        row = _Rows(builder, n)
        weights = row.splat(weights)

        def body(c: _Value, _: list[_Value]) -> list[_Value]:
            row.add(sums, c, row.interpolate(knots, c, weights))
            return []

        row.loop([], body)
        return context.get_dummy_value()

    return _signature(2, 4), generate


@intrinsic
def dot_sum(typingctx, knots, grad_i, grad_j, n, v0, d0, v1, d1):  # type: ignore[no-untyped-def]
    """Interpolated row times the sum of both gradients, summed over channels."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, grad_i, grad_j, n, *weights = args
        row = _Rows(builder, n)
        weights = row.splat(weights)

        def body(c: _Value, total: list[_Value]) -> list[_Value]:
            both = row.plus(row.load(grad_i, c), row.load(grad_j, c))
            return [row.multiply_add(row.interpolate(knots, c, weights), both, total[0])]

        return row.reduce(row.loop([row.zeros()], body)[0])

    return _signature(3, 4, types.float32), generate


@intrinsic
def dot_one(typingctx, knots, grad, n, v0, d0, v1, d1):  # type: ignore[no-untyped-def]
    """Interpolated row times a gradient, summed over channels."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, grad, n, *weights = args
        row = _Rows(builder, n)
        weights = row.splat(weights)

        def body(c: _Value, total: list[_Value]) -> list[_Value]:
            return [row.multiply_add(row.interpolate(knots, c, weights), row.load(grad, c), total[0])]

        return row.reduce(row.loop([row.zeros()], body)[0])

    return _signature(2, 4, types.float32), generate


@intrinsic
def add_messages(typingctx, knots, h_i, h_j, sums_i, sums_j, n, v0, d0, v1, d1):  # type: ignore[no-untyped-def]
    """Add filter times the other bead's features to both rows of sums."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, h_i, h_j, sums_i, sums_j, n, *weights = args
        row = _Rows(builder, n)
        weights = row.splat(weights)

        def body(c: _Value, _: list[_Value]) -> list[_Value]:
            value = row.interpolate(knots, c, weights)
            row.add_product(sums_i, c, value, row.load(h_j, c))
            row.add_product(sums_j, c, value, row.load(h_i, c))
            return []

        row.loop([], body)
        return context.get_dummy_value()

    return _signature(5, 4), generate


@intrinsic
def dot_messages(typingctx, knots, h_i, h_j, grad_i, grad_j, n, v0, d0, v1, d1):  # type: ignore[no-untyped-def]
    """Filter slope times (grad_i h_j + grad_j h_i), summed over channels."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, h_i, h_j, grad_i, grad_j, n, *weights = args
        row = _Rows(builder, n)
        weights = row.splat(weights)

        def body(c: _Value, total: list[_Value]) -> list[_Value]:
            slope = row.interpolate(knots, c, weights)
            product = row.times(row.load(grad_i, c), row.load(h_j, c))
            product = row.multiply_add(row.load(grad_j, c), row.load(h_i, c), product)
            return [row.multiply_add(slope, product, total[0])]

        return row.reduce(row.loop([row.zeros()], body)[0])

    return _signature(5, 4, types.float32), generate


@intrinsic
def dot_and_add_messages(  # type: ignore[no-untyped-def]
    typingctx, knots, h_i, h_j, grad_i, grad_j, back_i, back_j, n, v0, d0, v1, d1, sv0, sd0, sv1, sd1
):
    """As `dot_messages` with the weights of the slope, and add filter times the other gradient to the rows `back`."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        knots, h_i, h_j, grad_i, grad_j, back_i, back_j, n, *weights = args
        row = _Rows(builder, n)
        of_value, of_slope = row.splat(weights[:4]), row.splat(weights[4:])

        def body(c: _Value, total: list[_Value]) -> list[_Value]:
            knot = row.load_knots(knots, c)
            value, slope = row.combine(knot, of_value), row.combine(knot, of_slope)
            gi, gj = row.load(grad_i, c), row.load(grad_j, c)
            product = row.multiply_add(gj, row.load(h_i, c), row.times(gi, row.load(h_j, c)))
            row.add_product(back_j, c, value, gi)
            row.add_product(back_i, c, value, gj)
            return [row.multiply_add(slope, product, total[0])]

        return row.reduce(row.loop([row.zeros()], body)[0])

    return _signature(7, 8, types.float32), generate


def _signature(n_rows: int, n_weights: int, result: Any = types.void) -> Any:
    return result(*[types.uintp] * n_rows, types.intp, *[types.float32] * n_weights)


class _Rows:
    """Emits loops over rows of n channels."""

    def __init__(self, builder: _Builder, n: _Value) -> None:
        self._builder, self._n = builder, n

    def loop(self, start: list[_Value], body: Callable[[_Value, list[_Value]], list[_Value]]) -> list[_Value]:
        """For c = 0, LANES, ... below n: carried = body(c, carried); returns what is carried in the end."""
        builder = self._builder
        before, inside = builder.basic_block, builder.append_basic_block("row")
        after = builder.append_basic_block("row_end")
        builder.branch(inside)
        builder.position_at_end(inside)
        c = builder.phi(_INDEX)
        carried = [builder.phi(value.type) for value in start]
        c.add_incoming(_INDEX(0), before)
        for phi, value in zip(carried, start, strict=True):
            phi.add_incoming(value, before)
        results = body(c, carried)
        following = builder.add(c, _INDEX(LANES))
        c.add_incoming(following, inside)
        for phi, value in zip(carried, results, strict=True):
            phi.add_incoming(value, inside)
        builder.cbranch(builder.icmp_signed("<", following, self._n), inside, after)
        builder.position_at_end(after)
        return results

    def splat(self, numbers: list[_Value]) -> list[_Value]:
        """Vectors of one number each."""
        builder, none = self._builder, ir.Constant(_VECTOR, ir.Undefined)
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return [
            builder.shuffle_vector(builder.insert_element(none, number, ir.IntType(32)(0)), none, mask)
            for number in numbers
        ]

    def zeros(self) -> _Value:
        return ir.Constant(_VECTOR, [0.0] * LANES)

    def load(self, address: _Value, c: _Value) -> _Value:
        value = self._builder.load(self._at(address, c))
        value.align = 4
        return value

    def load_knots(self, address: _Value, c: _Value) -> list[_Value]:
        """Value and slope at the lower knot, value and slope at the upper one."""
        builder = self._builder
        return [self.load(address, builder.add(c, builder.mul(self._n, _INDEX(k)))) for k in range(4)]

    def combine(self, values: list[_Value], weights: list[_Value]) -> _Value:
        total = self.times(values[0], weights[0])
        for value, weight in zip(values[1:], weights[1:], strict=True):
            total = self.multiply_add(value, weight, total)
        return total

    def interpolate(self, knots: _Value, c: _Value, weights: list[_Value]) -> _Value:
        return self.combine(self.load_knots(knots, c), weights)

    def add(self, address: _Value, c: _Value, value: _Value) -> None:
        self._store(self.plus(self.load(address, c), value), address, c)

    def add_product(self, address: _Value, c: _Value, a: _Value, b: _Value) -> None:
        self._store(self.multiply_add(a, b, self.load(address, c)), address, c)

    def plus(self, a: _Value, b: _Value) -> _Value:
        return self._builder.fadd(a, b, flags=_CONTRACT)

    def times(self, a: _Value, b: _Value) -> _Value:
        return self._builder.fmul(a, b, flags=_CONTRACT)

    def multiply_add(self, a: _Value, b: _Value, c: _Value) -> _Value:
        return self.plus(c, self.times(a, b))

    def reduce(self, vector: _Value) -> _Value:
        """Sum of the lanes."""
        builder, width = self._builder, LANES
        while width > 1:
            width //= 2
            mask = [k + width if k < width else 0 for k in range(LANES)]
            shuffled = builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(ir.IntType(32), LANES), mask))
            vector = self.plus(vector, shuffled)
        return builder.extract_element(vector, ir.IntType(32)(0))

    def _at(self, address: _Value, c: _Value) -> _Value:
        builder = self._builder
        byte = builder.add(address, builder.mul(c, _INDEX(4)))
        return builder.inttoptr(byte, _VECTOR.as_pointer())

    def _store(self, value: _Value, address: _Value, c: _Value) -> None:
        self._builder.store(value, self._at(address, c)).align = 4
