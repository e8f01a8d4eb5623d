"""Energy and pair slopes of a folded network: what lies between pairs and forces, in phases for a crew of threads.

Each interaction block is two phases forward and two back. In a pair phase a thread goes through its pairs and sums up
at the beads, in a buffer of its own; in a row phase it takes the sums of its beads from all buffers and does the
matrix products and activations, in tiles that stay in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.engine import kernels
from openmm_cgml.engine.aligned import aligned_copy, aligned_zeros
from openmm_cgml.engine.crew import Phase
from openmm_cgml.engine.folding import (
    FoldedBlock,
    FoldedFirstBlock,
    FoldedNetwork,
    FoldedReadout,
    FoldedStack,
    pad_channels,
)
from openmm_cgml.engine.matrix_products import Product
from openmm_cgml.engine.pair_lists import Pairs
from openmm_cgml.engine.row_kernels import LANES
from openmm_cgml.engine.tables import Table

_TILE = 512

_Array = NDArray[np.float32]
_Activation = Callable[..., None]


class Evaluation:
    """A folded network for fixed bead types: energy and dE/dr of every pair.

    Attributes:
        types: Bead types, shape (n_beads,); may be reordered in place between evaluations.
        energies: Energy of each thread's beads [kJ/mol], shape (n_threads,).
    """

    def __init__(self, folded: FoldedNetwork, types: NDArray[np.integer], n_threads: int) -> None:
        """Args:
        folded: The network.
        types: Bead types, shape (n_beads,).
        n_threads: Number of threads that will run the phases.
        """
        folded = pad_channels(folded, LANES)
        self.types = np.array(types, np.int32)
        self.energies = np.zeros(n_threads)
        bounds = [thread * len(types) // n_threads for thread in range(n_threads + 1)]
        self._tiles = [_cut(begin, end) for begin, end in pairwise(bounds)]
        activate = kernels.ACTIVATIONS[folded.activation]
        self._readouts = [_Readout(readout, self.types, activate) for readout in folded.readouts]
        self._stacks = [
            _Stack(stack, self._readouts[stack.readout], self.types, activate, n_threads) for stack in folded.stacks
        ]
        self._pairs: list[list[Pairs]] = [[] for _ in range(n_threads)]
        self._slopes: list[list[NDArray[np.float64]]] = [[] for _ in range(n_threads)]

    def begin(self, thread: int, pairs: list[Pairs]) -> None:
        """To be called by every thread in the first phase, with its pairs, one `Pairs` per stack."""
        self._pairs[thread] = pairs
        self._slopes[thread] = [np.zeros(len(kind.first)) for kind in pairs]
        begin, end = self._tiles[thread][0][0], self._tiles[thread][-1][1]
        self.energies[thread] = 0.0
        for readout in self._readouts:
            readout.begin(begin, end)
        for stack in self._stacks:
            stack.begin(begin, end)

    def phases(self) -> list[Phase]:
        """What the threads do after they have called `begin`."""
        depth = max(len(stack.layers) for stack in self._stacks)
        phases: list[Phase] = []
        for height in range(depth, 1, -1):  # height counts layers from the readout down
            phases += [partial(self._gather, height), partial(self._rows, height)]
        phases += [partial(self._gather, 1), self._turn, partial(self._spread, 1)]
        for height in range(2, depth + 1):
            phases += [partial(self._rows_back, height), partial(self._spread, height)]
        return phases

    def slopes(self, thread: int) -> list[NDArray[np.float64]]:
        """dE/dr of the thread's pairs after the phases [kJ/mol/nm], one array (n_pairs,) per stack."""
        return self._slopes[thread]

    def clear(self) -> None:
        """Forget what an interrupted evaluation left behind."""
        for stack in self._stacks:
            stack.clear()

    def _gather(self, height: int, thread: int) -> None:
        for stack, pairs in zip(self._stacks, self._pairs[thread], strict=True):
            if height <= len(stack.layers):
                stack.gather(height, pairs, thread)

    def _rows(self, height: int, thread: int) -> None:
        for begin, end in self._tiles[thread]:
            for stack in self._stacks:
                if height <= len(stack.layers):
                    stack.forward(height, begin, end)

    def _turn(self, thread: int) -> None:
        """The last row phase forward, the readout, and the first row phase back."""
        for begin, end in self._tiles[thread]:
            for stack in self._stacks:
                stack.forward(1, begin, end)
            for readout in self._readouts:
                self.energies[thread] += readout.turn(begin, end)
            for stack in self._stacks:
                stack.backward(1, begin, end)

    def _spread(self, height: int, thread: int) -> None:
        for stack, pairs, slopes in zip(self._stacks, self._pairs[thread], self._slopes[thread], strict=True):
            if height <= len(stack.layers):
                stack.spread(height, pairs, slopes, thread)

    def _rows_back(self, height: int, thread: int) -> None:
        for begin, end in self._tiles[thread]:
            for stack in self._stacks:
                if height <= len(stack.layers):
                    stack.backward(height, begin, end)


def _cut(begin: int, end: int) -> list[tuple[int, int]]:
    """Even tiles of at most `_TILE` beads, at least one."""
    n_tiles = max(1, -(-(end - begin) // _TILE))
    return list(pairwise(begin + k * (end - begin) // n_tiles for k in range(n_tiles + 1)))


class _Readout:
    """A readout and what it takes of every bead."""

    def __init__(self, folded: FoldedReadout, types: NDArray[np.int32], activate: _Activation) -> None:
        self._folded, self._types, self._activate = folded, types, activate
        self._no_bias = np.zeros_like(folded.out)
        self.hidden = aligned_zeros((len(types), len(folded.out)))
        """Input of the hidden layer, and after `turn` the gradient of the energy by it; (n_beads, n_hidden)."""

    def begin(self, begin: int, end: int) -> None:
        np.take(self._folded.by_type, self._types[begin:end], axis=0, out=self.hidden[begin:end])

    def turn(self, begin: int, end: int) -> float:
        """Energy of a tile's beads [kJ/mol]; replaces `hidden` by the gradient."""
        hidden = self.hidden[begin:end]
        value, slope = np.empty_like(hidden), np.empty_like(hidden)
        self._activate(hidden, self._no_bias, value, slope)
        energy: float = kernels.weigh_rows(value, slope, self._folded.out, hidden)
        return energy + self._folded.out_bias * (end - begin)


class _Stack:
    """The blocks over one kind of pairs."""

    def __init__(
        self,
        folded: FoldedStack,
        readout: _Readout,
        types: NDArray[np.int32],
        activate: _Activation,
        n_threads: int,
    ) -> None:
        self._cutoff, self._readout, self._types, self._activate = folded.cutoff, readout, types, activate
        widest = max([len(matrix.T) for matrix in folded.leave] + [block.table.n_channels for block in folded.blocks])
        self._workspace = aligned_zeros(n_threads * len(types) * widest)
        room = _Room(self._workspace, n_threads, len(types))
        layers = [_Layer(block, room) for block in folded.blocks]
        self.layers: list[_FirstLayer | _Layer] = [*layers]
        if folded.first is not None:
            self.layers.insert(0, _FirstLayer(folded.first, room))
        self._later = [layers[len(layers) - height :] for height in range(len(self.layers) - 1, -1, -1)]
        taken = [self._taken_from(number, folded) for number in range(len(self.layers))]
        self._leave = [Product(matrix) for matrix in taken]
        self._leave_back = [Product(matrix.T) for matrix in taken]

    def _taken_from(self, number: int, folded: FoldedStack) -> _Array:
        """What the later blocks and the readout take of a block's activation, side by side: one product for all."""
        later = [layer.matrices[number] for layer in self._later[number]]
        return np.concatenate([*later, folded.leave[number]])

    def begin(self, begin: int, end: int) -> None:
        for layer in self.layers:
            layer.begin(self._types, begin, end)

    def clear(self) -> None:
        self._workspace[:] = 0

    def gather(self, height: int, pairs: Pairs, thread: int) -> None:
        """Sum the messages of a thread's pairs."""
        self.layers[-height].gather(pairs, self._types, self._cutoff, thread)

    def spread(self, height: int, pairs: Pairs, slopes: NDArray[np.float64], thread: int) -> None:
        """Add to dE/dr of a thread's pairs, and sum the gradients by the features."""
        self.layers[-height].spread(pairs, self._types, self._cutoff, slopes, thread)

    def forward(self, height: int, begin: int, end: int) -> None:
        """From a block's sums to what the later blocks and the readout take of its activation."""
        number = len(self.layers) - height
        layer = self.layers[number]
        z = layer.preactivation(begin, end)
        value = np.empty_like(z)
        self._activate(z, layer.bias, value, layer.slope[begin:end])
        taken, column = self._leave[number](value), 0
        for later in self._later[number]:
            later.enter(number, taken, column, self._types, begin)
            column += later.n_channels
        kernels.add_columns(taken, column, self._readout.hidden[begin:end])

    def backward(self, height: int, begin: int, end: int) -> None:
        """From the gradients of the later blocks and the readout to that of a block's sums."""
        number = len(self.layers) - height
        layer = self.layers[number]
        of_taken, column = np.empty((end - begin, self._leave[number].n_outputs), np.float32), 0
        for later in self._later[number]:
            kernels.copy_columns(later.gradient_of_features(number, begin, end), column, of_taken)
            column += later.n_channels
        kernels.copy_columns(self._readout.hidden[begin:end], column, of_taken)
        gradient = self._leave_back[number](of_taken)
        kernels.multiply(gradient, layer.slope[begin:end])
        layer.set_gradient(gradient, begin, end)


class _Room:
    """Space for the sums of all threads, all zero whenever no sum is under way."""

    def __init__(self, workspace: _Array, n_threads: int, n_beads: int) -> None:
        self._workspace, self._n_threads, self.n_beads = workspace, n_threads, n_beads

    def sums(self, n_channels: int) -> _Array:
        """Shape (n_threads, n_beads, n_channels)."""
        size = self._n_threads * self.n_beads * n_channels
        return self._workspace[:size].reshape(self._n_threads, self.n_beads, n_channels)


class _FirstLayer:
    """The folded first block."""

    def __init__(self, folded: FoldedFirstBlock, room: _Room) -> None:
        self.bias = folded.bias
        self._tables = aligned_copy(np.stack([_knot_rows(table) for table in folded.tables]))
        self._sums = room.sums(len(folded.bias))
        self.slope = aligned_zeros((room.n_beads, len(folded.bias)))
        self._gradient = aligned_zeros(self.slope.shape)

    def begin(self, types: NDArray[np.int32], begin: int, end: int) -> None:
        pass

    def gather(self, pairs: Pairs, types: NDArray[np.int32], cutoff: float, thread: int) -> None:
        kernels.add_table_sums(
            pairs.first, pairs.second, pairs.distances, types, self._tables, cutoff, self._sums[thread]
        )

    def spread(
        self, pairs: Pairs, types: NDArray[np.int32], cutoff: float, slopes: NDArray[np.float64], thread: int
    ) -> None:
        kernels.add_table_slopes(
            pairs.first, pairs.second, pairs.distances, types, self._tables, cutoff, self._gradient, slopes
        )

    def preactivation(self, begin: int, end: int) -> _Array:
        z = np.empty((end - begin, len(self.bias)), np.float32)
        kernels.take_sums(self._sums, begin, end, z)
        return z

    def set_gradient(self, gradient: _Array, begin: int, end: int) -> None:
        self._gradient[begin:end] = gradient


class _Layer:
    """A block that sees features."""

    def __init__(self, folded: FoldedBlock, room: _Room) -> None:
        self.n_channels = n_channels = folded.table.n_channels
        self.bias = folded.leave_bias
        self.matrices = folded.enter
        self._knots = aligned_copy(_knot_rows(folded.table))
        self._by_type = folded.by_type
        self._leave = Product(folded.leave)
        self._leave_back = Product(folded.leave.T)
        self._sums = room.sums(n_channels)
        self.slope = aligned_zeros((room.n_beads, len(self.bias)))
        self._h = aligned_zeros((room.n_beads, n_channels))
        self._gradient = aligned_zeros(self._h.shape)

    def begin(self, types: NDArray[np.int32], begin: int, end: int) -> None:
        if not self.matrices:
            np.take(self._by_type, types[begin:end], axis=0, out=self._h[begin:end])

    def gather(self, pairs: Pairs, types: NDArray[np.int32], cutoff: float, thread: int) -> None:
        kernels.convolve(pairs.first, pairs.second, pairs.distances, self._knots, cutoff, self._h, self._sums[thread])

    def spread(
        self, pairs: Pairs, types: NDArray[np.int32], cutoff: float, slopes: NDArray[np.float64], thread: int
    ) -> None:
        of_pairs = (pairs.first, pairs.second, pairs.distances, self._knots, cutoff, self._h, self._gradient, slopes)
        if self.matrices:
            kernels.convolve_back(*of_pairs, self._sums[thread])
        else:  # features that no position changes
            kernels.convolve_slopes(*of_pairs)

    def preactivation(self, begin: int, end: int) -> _Array:
        sums = np.empty((end - begin, self._h.shape[1]), np.float32)
        kernels.take_sums(self._sums, begin, end, sums)
        return self._leave(sums)

    def set_gradient(self, gradient: _Array, begin: int, end: int) -> None:
        self._leave_back.into(gradient, self._gradient[begin:end])

    def enter(self, number: int, taken: _Array, column: int, types: NDArray[np.int32], begin: int) -> None:
        """Add what this block takes of the activation of block `number`, from `column` on, to its features."""
        h = self._h[begin : begin + len(taken)]
        if number == 0:
            kernels.set_columns_with_type(taken, column, types[begin : begin + len(taken)], self._by_type, h)
        else:
            kernels.add_columns(taken, column, h)

    def gradient_of_features(self, number: int, begin: int, end: int) -> _Array:
        """Gradient of the energy by a tile's features, for block `number`."""
        gradient = self._gradient[begin:end]
        if number == len(self.matrices) - 1:  # the first to ask; before, it was that of the sums
            kernels.take_sums(self._sums, begin, end, gradient)
        return gradient


def _knot_rows(table: Table) -> _Array:
    """Values and then slopes of all channels at each knot, shape (n_knots, 2 n_channels)."""
    return table.knots.reshape(len(table.knots), -1)
