"""Energies and pair slopes of a SchNet with tabulated filters, as one graph that is differentiated once.

The force network is written out: forward through the blocks, then backward to the pair distances, every step a torch
operation. So training differentiates once, by the weights, where the usual way differentiates twice. Three identities
make it smaller; none of them approximates:

- Filters depend on the distance alone. They are evaluated at the knots of a table, value and derivative, and pairs
  interpolate between them: the number of pairs no longer matters for the filter networks.
- The first block sees nothing but embeddings of bead types. Its input matrix, filter and output matrix are one table
  per type of the bead that acts.
- From the activation of a block to the next nonlinearity all is linear, so features are never formed: what a later
  block takes from them is one product with the activations of each earlier block.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from openmm_cgml.networks import SchNet
from openmm_cgml.training.activations import activate
from openmm_cgml.training.batches import Batch
from openmm_cgml.training.pair_operations import (
    TabulatedPairs,
    convolve,
    differentiate,
    filter_slopes,
    sum_filters,
)


def tabulated_slopes(network: SchNet, batch: Batch, n_knots: int) -> tuple[Tensor, Tensor, Tensor]:
    """Energies of beads and slopes of pairs.

    Args:
        network: The network.
        batch: Frames.
        n_knots: Knots of the filter tables.

    Returns:
        Energy of each bead [kJ/mol], shape (n_beads,), and dE/dr of inter- and intramolecular pairs [kJ/mol/nm],
        shapes (n_inter_pairs,) and (n_intra_pairs,).
    """
    inter = TabulatedPairs.place(batch.inter, batch.frame_of_bead, network.cutoff, n_knots)
    stacks = [_Stack(network, network.inter_blocks, network.inter_basis, inter, batch.bead_types)]
    if len(network.intra_blocks):
        intra = TabulatedPairs.place(batch.intra, batch.frame_of_bead, network.intra_cutoff, n_knots)
        stacks.append(_Stack(network, network.intra_blocks, network.intra_basis, intra, batch.bead_types))
    if network.separate:
        readouts = (network.readout, network.intra_readout)
        energies = [_read_out(network, layers, [stack]) for layers, stack in zip(readouts, stacks, strict=False)]
    else:
        energies = [_read_out(network, network.readout, stacks)]
    slopes = [stack.slopes() for stack in stacks] + [torch.zeros_like(batch.intra.distances)]
    return torch.stack(energies).sum(0), slopes[0], slopes[1]


def filter_table(block: Any, basis: nn.Module, activation: str, cutoff: float, n_knots: int) -> Tensor:
    """Filters of a block at uniform knots from 0 to the cutoff, shape (2 n_knots, n_filters).

    Each knot has two rows: value, and knot spacing times derivative.

    Args:
        block: Interaction block.
        basis: Radial basis.
        activation: As in `SchNetConfig`.
        cutoff: Distance of the last knot [nm].
        n_knots: Number of knots.
    """
    enter, leave = block.conv.net[0], block.conv.net[2]
    knots = torch.linspace(0, cutoff, n_knots, dtype=enter.weight.dtype, device=enter.weight.device)
    spacing = torch.full_like(knots, cutoff / (n_knots - 1))
    with torch.no_grad():  # neither has weights
        expanded = torch.stack(torch.func.jvp(basis, (knots,), (spacing,)), dim=1)  # type: ignore[misc]
        end, end_slope = torch.func.jvp(block.conv.cutoff, (knots,), (spacing,))  # type: ignore[misc]
    z = expanded @ enter.weight.t()
    values, slopes = activate(activation, z[:, 0] + enter.bias)
    filters = torch.stack([values, slopes * z[:, 1]], dim=1) @ leave.weight.t()
    value = filters[:, 0] + leave.bias
    rows = torch.stack([value * end[:, None], filters[:, 1] * end[:, None] + value * end_slope[:, None]], dim=1)
    return rows.flatten(0, 1)


def _read_out(network: SchNet, layers: Any, stacks: list[_Stack]) -> Tensor:
    """Energies of beads from the features of the stacks, shape (n_beads,); the stacks receive their derivative."""
    enter, leave = layers[0], layers[2]
    hidden = enter.bias
    for stack in stacks:
        hidden = stack.take(enter.weight) + hidden
    values, slopes = activate(network.config.activation, hidden)
    out = network.energy_scale * leave.weight[0]
    for stack in stacks:
        stack.receive(slopes * out)
    return values @ out + network.energy_scale * leave.bias


@dataclass(eq=False)
class _Passed:
    """What an interaction block keeps for the way back.

    Attributes:
        block: The block.
        table: Its filter table, or the tables of a folded block.
        h: Features that it convolves, shape (n_beads, n_filters); None for a folded block.
        taken: Matrices that take them from the activations of earlier blocks, each (n_filters, n_features).
        slopes: Derivative of its activation, shape (n_beads, n_features).
        gradient: dE/d(activation) as far as it is known, shape (n_beads, n_features).
    """

    block: Any
    table: Tensor
    h: Tensor | None
    taken: list[Tensor]
    slopes: Tensor = field(init=False)
    gradient: Tensor | None = field(init=False, default=None)

    def add(self, gradient: Tensor) -> None:
        self.gradient = gradient if self.gradient is None else self.gradient + gradient


class _Stack:
    """Interaction blocks over one kind of pairs; construction runs them forward, `slopes` backward."""

    def __init__(
        self, network: SchNet, blocks: nn.ModuleList, basis: nn.Module, pairs: TabulatedPairs, bead_types: Tensor
    ) -> None:
        self._embedding, self._types, self._pairs = network.embedding.weight, bead_types, pairs
        self._passed: list[_Passed] = []
        self._activations: list[Tensor] = []
        # A folded table costs products of 2 n_types n_knots rows in three passes; a block that is not folded, products
        # of n_beads rows in six.
        fold = len(self._embedding) * pairs.n_knots <= len(bead_types)
        kind = network.config.activation
        for block in blocks:
            table = filter_table(block, basis, kind, pairs.cutoff, pairs.n_knots)
            z = self._fold(block, table) if fold and not self._passed else self._convolve(block, table)
            values, self._passed[-1].slopes = activate(kind, z)
            self._activations.append(values)

    def _fold(self, block: Any, table: Tensor) -> Tensor:
        """What goes into the activation of the first block, shape (n_beads, n_features), from folded tables."""
        by_type = self._embedding @ block.conv.lin1.weight.t()
        tables = ((table * by_type[:, None]) @ block.conv.lin2.weight.t()).flatten(0, 1)
        self._pairs_by_sender = self._pairs.by_sender(self._types)
        self._passed.append(_Passed(block, tables, None, []))
        return sum_filters(tables, self._pairs_by_sender, len(self._types)) + block.conv.lin2.bias

    def _convolve(self, block: Any, table: Tensor) -> Tensor:
        """What goes into the activation of another block, shape (n_beads, n_features)."""
        h, taken = self._take(block.conv.lin1.weight)
        self._passed.append(_Passed(block, table, h, taken))
        return functional.linear(convolve(table, h, self._pairs), block.conv.lin2.weight, block.conv.lin2.bias)

    def _take(self, matrix: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Product of the present features with `matrix` (n, n_features), and the matrices that make it."""
        blocks = [passed.block for passed in self._passed]
        by_type = self._embedding @ matrix.t() + sum(matrix @ block.lin.bias for block in blocks)
        taken = [matrix @ block.lin.weight for block in blocks]
        result = functional.embedding(self._types, by_type)
        for values, combined in zip(self._activations, taken, strict=True):
            result = torch.addmm(result, values, combined.t())
        return result, taken

    def take(self, matrix: Tensor) -> Tensor:
        """Product of the final features with `matrix` (n, n_features), shape (n_beads, n)."""
        result, self._taken = self._take(matrix)
        return result

    def receive(self, gradient: Tensor) -> None:
        """Take dE/d(what was taken last), shape (n_beads, n)."""
        for passed, combined in zip(self._passed, self._taken, strict=True):
            passed.add(gradient @ combined)

    def slopes(self) -> Tensor:
        """dE/dr of each pair [kJ/mol/nm], shape (n_pairs,)."""
        result = []
        for number in reversed(range(len(self._passed))):
            passed = self._passed[number]
            gradient = passed.gradient * passed.slopes
            if passed.h is None:
                result.append(filter_slopes(passed.table, gradient, self._pairs_by_sender))
                continue
            on_h, slopes = differentiate(passed.table, passed.h, gradient @ passed.block.conv.lin2.weight, self._pairs)
            result.append(slopes)
            for earlier, combined in zip(self._passed[:number], passed.taken, strict=True):
                earlier.add(on_h @ combined)
        return torch.stack(result).sum(0)
