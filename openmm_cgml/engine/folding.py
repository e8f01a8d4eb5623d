"""A trained SchNet as plain arrays, with every matrix product taken out that does not depend on positions.

Three identities, exact but for rounding (they are carried out in float64):

- The first block of a stack sees the embeddings of the bead types only. Its input matrix, filter and output matrix are
  one curve per channel and sender type, which is tabulated: no matrix product and no feature is left of it.
- Between the last activation of a block and the next nonlinearity everything is linear. The features themselves are
  never needed, only what the next blocks and the readout take from them: products with the activations of all
  blocks before.
- The energy scale is in the last layer of the readout.

With more bead types than `MAX_FOLDED_TYPES` the first block keeps its filter table and reads its features from a
table by bead type.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from openmm_cgml.engine.tables import N_KNOTS, Table, filter_curves, tabulate
from openmm_cgml.networks import SchNet

MAX_FOLDED_TYPES = 8
"""Up to this many bead types the first block is folded into one table per sender type."""

_Array = NDArray[np.float32]
_Double = NDArray[np.float64]


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldedBlock:
    """An interaction block between two activations: z = leave @ (sum over j of filter * h_j) + leave_bias.

    h = by_type[bead type] + sum over earlier blocks b of enter[b] @ activation_b. Matrices are (outputs, inputs).

    Attributes:
        table: Filters, n_filters channels.
        by_type: Shape (n_types, n_filters).
        enter: One matrix (n_filters, n_features) per earlier block of the stack.
        leave: Shape (n_features, n_filters).
        leave_bias: Shape (n_features,).
    """

    table: Table
    by_type: _Array
    enter: tuple[_Array, ...]
    leave: _Array
    leave_bias: _Array


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldedFirstBlock:
    """The first block of a stack: z_i = bias + sum over j of tables[type of j](r_ij).

    Attributes:
        tables: One per sender type, n_features channels.
        bias: Shape (n_features,).
    """

    tables: tuple[Table, ...]
    bias: _Array


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldedStack:
    """Interaction blocks over one kind of pairs.

    Attributes:
        cutoff: Range of its filters [nm].
        first: The first block where it was folded, else None.
        blocks: The other blocks; with `first` None all of them, of which the first has no `enter`.
        readout: Index of the readout that takes its activations.
        leave: One matrix (n_hidden, n_features) per block: what the readout's hidden layer takes of its activation.
    """

    cutoff: float
    first: FoldedFirstBlock | None
    blocks: tuple[FoldedBlock, ...]
    readout: int
    leave: tuple[_Array, ...]

    @property
    def n_blocks(self) -> int:
        """Number of blocks, the first included."""
        return len(self.leave)


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldedReadout:
    """A bead's energy: out @ act(by_type[bead type] + contributions of the stacks) + out_bias [kJ/mol].

    Attributes:
        by_type: Shape (n_types, n_hidden).
        out: Shape (n_hidden,).
        out_bias: [kJ/mol].
    """

    by_type: _Array
    out: _Array
    out_bias: float


@dataclass(frozen=True, eq=False, kw_only=True)
class FoldedNetwork:
    """A SchNet as plain arrays.

    Attributes:
        activation: `shifted_softplus`, `tanh` or `silu`.
        n_features: Channels of every activation of a block.
        inter: Blocks over pairs in different molecules.
        intra: Blocks over pairs in the same molecule, or None.
        readouts: One, or one per stack.
    """

    activation: str
    n_features: int
    inter: FoldedStack
    intra: FoldedStack | None
    readouts: tuple[FoldedReadout, ...]

    @property
    def stacks(self) -> tuple[FoldedStack, ...]:
        """The stacks there are: inter, and intra if the network has one."""
        return (self.inter,) if self.intra is None else (self.inter, self.intra)


def fold(network: SchNet, n_knots: int = N_KNOTS, max_folded_types: int = MAX_FOLDED_TYPES) -> FoldedNetwork:
    """The trained network as plain float32 arrays.

    Args:
        network: The network; it is not changed.
        n_knots: Knots per table.
        max_folded_types: Up to this many bead types the first blocks are folded.
    """
    double = copy.deepcopy(network).to(device="cpu", dtype=torch.float64).eval()
    embedding = _double(double.embedding.weight)
    has_intra = len(double.intra_blocks) > 0
    separate = double.separate and has_intra
    is_first_folded = len(embedding) <= max_folded_types
    readout = _Hidden(double.readout)
    intra_readout = _Hidden(double.intra_readout) if separate else readout
    inter, inter_bias = _fold_stack(
        double.inter_blocks, double.inter_basis, double.cutoff, embedding, readout, 0, n_knots, is_first_folded
    )
    if not has_intra:
        return FoldedNetwork(
            activation=network.config.activation,
            n_features=network.config.n_features,
            inter=inter,
            intra=None,
            readouts=(readout.fold(embedding @ readout.weight.T + inter_bias, double.energy_scale),),
        )
    intra, intra_bias = _fold_stack(
        double.intra_blocks,
        double.intra_basis,
        double.intra_cutoff,
        embedding,
        intra_readout,
        int(separate),
        n_knots,
        is_first_folded,
    )
    of_inter = embedding @ readout.weight.T + inter_bias
    of_intra = embedding @ intra_readout.weight.T + intra_bias
    scale = double.energy_scale
    readouts = (
        (readout.fold(of_inter, scale), intra_readout.fold(of_intra, scale))
        if separate
        else (readout.fold(of_inter + of_intra, scale),)
    )
    return FoldedNetwork(
        activation=network.config.activation,
        n_features=network.config.n_features,
        inter=inter,
        intra=intra,
        readouts=readouts,
    )


class _Hidden:
    """A dense readout in float64."""

    def __init__(self, layers: nn.Module) -> None:
        self.weight = _double(layers[0].weight)
        self.bias = _double(layers[0].bias)
        self.out = _double(layers[2].weight)[0]
        self.out_bias = float(layers[2].bias.detach()[0])

    def fold(self, by_type: _Double, scale: float) -> FoldedReadout:
        return FoldedReadout(
            by_type=_single(by_type + self.bias), out=_single(scale * self.out), out_bias=scale * self.out_bias
        )


def _fold_stack(
    blocks: Iterable[Any],
    basis: nn.Module,
    cutoff: float,
    embedding: _Double,
    readout: _Hidden,
    readout_index: int,
    n_knots: int,
    is_first_folded: bool,
) -> tuple[FoldedStack, _Double]:
    """The stack, and the constant that its last layers add to the readout's hidden layer."""
    blocks = list(blocks)
    mixes = [(_double(block.lin.weight), _double(block.lin.bias)) for block in blocks]
    first, rest = None, list(enumerate(blocks))
    if is_first_folded:
        first = _fold_first(blocks[0], basis, cutoff, embedding, n_knots)
        rest = rest[1:]
    folded = []
    for number, block in rest:
        enter = _double(block.conv.lin1.weight)
        features = embedding + sum(bias for _, bias in mixes[:number])
        folded.append(
            FoldedBlock(
                table=Table(
                    cutoff=cutoff, knots=_single(tabulate(filter_curves(block, basis, cutoff), cutoff, n_knots))
                ),
                by_type=_single(features @ enter.T),
                enter=tuple(_single(enter @ mix) for mix, _ in mixes[:number]),
                leave=_single(_double(block.conv.lin2.weight)),
                leave_bias=_single(_double(block.conv.lin2.bias)),
            )
        )
    stack = FoldedStack(
        cutoff=cutoff,
        first=first,
        blocks=tuple(folded),
        readout=readout_index,
        leave=tuple(_single(readout.weight @ mix) for mix, _ in mixes),
    )
    return stack, readout.weight @ sum(bias for _, bias in mixes)


def _fold_first(block: Any, basis: nn.Module, cutoff: float, embedding: _Double, n_knots: int) -> FoldedFirstBlock:
    filters = tabulate(filter_curves(block, basis, cutoff), cutoff, n_knots)
    features = embedding @ _double(block.conv.lin1.weight).T
    leave = _double(block.conv.lin2.weight)
    return FoldedFirstBlock(
        tables=tuple(Table(cutoff=cutoff, knots=_single((filters * h) @ leave.T)) for h in features),
        bias=_single(_double(block.conv.lin2.bias)),
    )


def _double(tensor: torch.Tensor) -> _Double:
    return tensor.detach().numpy().astype(np.float64)


def _single(array: NDArray[Any]) -> _Array:
    return np.ascontiguousarray(array, dtype=np.float32)


def pad_channels(folded: FoldedNetwork, multiple: int) -> FoldedNetwork:
    """The same network with features and filters filled up with zeros to a multiple of `multiple` channels.

    All activations vanish at zero, so channels that are zero stay zero.
    """
    return replace(
        folded,
        n_features=_rounded_up(folded.n_features, multiple),
        inter=_pad_stack(folded.inter, multiple),
        intra=None if folded.intra is None else _pad_stack(folded.intra, multiple),
    )


def _pad_stack(stack: FoldedStack, multiple: int) -> FoldedStack:
    first = stack.first
    if first is not None:
        first = FoldedFirstBlock(
            tables=tuple(_pad_table(table, multiple) for table in first.tables), bias=_pad(first.bias, multiple, 0)
        )
    blocks = tuple(
        FoldedBlock(
            table=_pad_table(block.table, multiple),
            by_type=_pad(block.by_type, multiple, 1),
            enter=tuple(_pad(matrix, multiple, 0, 1) for matrix in block.enter),
            leave=_pad(block.leave, multiple, 0, 1),
            leave_bias=_pad(block.leave_bias, multiple, 0),
        )
        for block in stack.blocks
    )
    return replace(stack, first=first, blocks=blocks, leave=tuple(_pad(matrix, multiple, 1) for matrix in stack.leave))


def _pad_table(table: Table, multiple: int) -> Table:
    return Table(cutoff=table.cutoff, knots=_pad(table.knots, multiple, 2))


def _pad(array: _Array, multiple: int, *axes: int) -> _Array:
    return np.pad(
        array,
        [(0, _rounded_up(size, multiple) - size if axis in axes else 0) for axis, size in enumerate(array.shape)],
    )


def _rounded_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
