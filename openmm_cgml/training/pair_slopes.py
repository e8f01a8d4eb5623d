"""dE/dr of every pair from a network, by which training computes forces.

A network of pair distances has forces F_i = sum_j dE/dr_ij (x_j - x_i)/r_ij, so the geometry of a frame is constant and
only distances are differentiated. In SchNet the filters depend on the distance alone: they are evaluated at a few
hundred knots per step and interpolated by cubic B-splines, exactly what the deployed network does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from openmm_cgml.networks import SchNet
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.training.batches import Batch, PairBatch
from openmm_cgml.training.pair_operations import PairIndex, SparseRows, convolve, interpolate


@dataclass(frozen=True, eq=False)
class Slopes:
    """Energies and their slopes.

    Attributes:
        energies: Energy of each bead [kJ/mol], shape (n_beads,).
        inter: dE/dr of each intermolecular pair [kJ/mol/nm], shape (n_inter_pairs,).
        intra: dE/dr of each intramolecular pair [kJ/mol/nm], shape (n_intra_pairs,).
    """

    energies: Tensor
    inter: Tensor
    intra: Tensor


def compute_slopes(network: SchNet, batch: Batch, *, n_knots: int, create_graph: bool) -> Slopes:
    """Energies of a batch and their derivatives with respect to pair distances.

    Args:
        network: The network.
        batch: Frames.
        n_knots: Knots of the filters; 0 evaluates them at every pair.
        create_graph: Whether the slopes can be differentiated with respect to the weights.
    """
    with torch.enable_grad():
        compute = _interpolated_slopes if n_knots else _exact_slopes
        slopes = compute(network, batch, n_knots, create_graph)
    return slopes if create_graph else Slopes(slopes.energies.detach(), slopes.inter.detach(), slopes.intra.detach())


def pair_forces(slopes: Tensor, pairs: PairBatch, n_beads: int) -> Tensor:
    """Forces on beads from slopes of pairs [kJ/mol/nm], shape (n_beads, 3).

    Args:
        slopes: dE/dr of each pair [kJ/mol/nm], shape (n_pairs,).
        pairs: The pairs.
        n_beads: Number of beads.
    """
    on_first = slopes[:, None] * pairs.directions
    forces = on_first.new_zeros(n_beads, 3).index_add(0, pairs.first, on_first)
    return forces.index_add(0, pairs.second, -on_first)


def _exact_slopes(network: SchNet, batch: Batch, _: int, create_graph: bool) -> Slopes:
    inter = batch.inter.distances.detach().requires_grad_()
    intra = batch.intra.distances.detach().requires_grad_()
    energies = network(
        batch.bead_types,
        PairList(batch.inter.first, batch.inter.second, inter),
        PairList(batch.intra.first, batch.intra.second, intra),
    )
    slopes = torch.autograd.grad(energies.sum(), [inter, intra], create_graph=create_graph, allow_unused=True)
    return Slopes(
        energies, *(torch.zeros_like(r) if s is None else s for s, r in zip(slopes, (inter, intra), strict=True))
    )


def _interpolated_slopes(network: SchNet, batch: Batch, n_knots: int, create_graph: bool) -> Slopes:
    embedded = network.embedding(batch.bead_types)
    inter = _Stack(network.inter_blocks, network.inter_basis, network.cutoff, batch.inter, n_knots)
    intra = _Stack(network.intra_blocks, network.intra_basis, network.intra_cutoff, batch.intra, n_knots)
    x = inter.update(embedded)
    if network.separate:
        energies = network.readout(x)
        if intra.filters or len(network.intra_blocks):
            energies = energies + network.intra_readout(intra.update(embedded))
    else:
        energies = network.readout(x + intra.update(embedded) if len(network.intra_blocks) else x)
    energies = network.energy_scale * energies.squeeze(-1)
    wanted = [*inter.filters, *intra.filters]
    gradients = torch.autograd.grad(energies.sum(), wanted, create_graph=create_graph)
    return Slopes(
        energies, inter.slopes(gradients[: len(inter.filters)]), intra.slopes(gradients[len(inter.filters) :])
    )


class _Stack:
    """Interaction blocks over one set of pairs, their filters interpolated."""

    def __init__(self, blocks: nn.ModuleList, basis: nn.Module, cutoff: float, pairs: PairBatch, n_knots: int) -> None:
        self._blocks: list[Any] = list(blocks)
        self._pairs = pairs
        self.filters: list[Tensor] = []
        if not self._blocks:
            return
        spacing = cutoff / (n_knots - 1)
        knots = torch.linspace(0, cutoff, n_knots, dtype=pairs.distances.dtype, device=pairs.distances.device)
        expanded = basis(knots)
        to_spline = _spline_matrix(n_knots).to(knots)
        self._tables = [
            to_spline @ (block.conv.net(expanded) * block.conv.cutoff(knots)[:, None]) for block in self._blocks
        ]
        scaled = pairs.distances / spacing
        interval = scaled.long().clamp(max=n_knots - 2)
        values, self._derivatives = _basis_splines(scaled - interval, spacing)
        self._matrix = SparseRows(interval[:, None] + torch.arange(4, device=interval.device), n_knots + 2)
        self.filters = [interpolate(values, table, self._matrix) for table in self._tables]
        for filters in self.filters:
            if not filters.requires_grad:  # frozen weights; the slopes are wanted all the same
                filters.requires_grad_()

    def update(self, features: Tensor) -> Tensor:
        """Features after all blocks, shape (n_beads, n_features)."""
        if self.filters:
            index = PairIndex(self._pairs.first, self._pairs.second, len(features))
        for block, filters in zip(self._blocks, self.filters, strict=True):
            message = convolve(filters, block.conv.lin1(features), index)
            features = features + block.lin(block.act(block.conv.lin2(message)))
        return features

    def slopes(self, gradients: tuple[Tensor, ...]) -> Tensor:
        """dE/dr of each pair from dE/d(filters), shape (n_pairs,)."""
        total = torch.zeros_like(self._pairs.distances)
        if self.filters:
            for gradient, table in zip(gradients, self._tables, strict=True):
                total = total + (gradient * interpolate(self._derivatives, table, self._matrix)).sum(1)
        return total


@lru_cache(maxsize=4)
def _spline_matrix(n_knots: int) -> Tensor:
    """Matrix from values at uniform knots to coefficients of cubic B-splines, shape (n_knots + 2, n_knots), float64.

    The two free conditions make the third derivative continuous at the second and last but one knot.
    """
    size = n_knots + 2
    system = np.zeros((size, size))
    rows = np.arange(n_knots)
    for shift, weight in enumerate((1 / 6, 4 / 6, 1 / 6)):
        system[rows, rows + shift] = weight
    system[-2, :5] = system[-1, -5:] = (1, -4, 6, -4, 1)
    return torch.from_numpy(np.linalg.inv(system)[:, :n_knots].copy())


def _basis_splines(u: Tensor, spacing: float) -> tuple[Tensor, Tensor]:
    """The four cubic B-splines that do not vanish at a fraction `u` of an interval, and their derivatives [1/nm]."""
    v = 1 - u
    values = torch.stack([v**3, 3 * u**3 - 6 * u**2 + 4, 3 * v**3 - 6 * v**2 + 4, u**3], dim=1) / 6
    slopes = torch.stack([-(v**2), 3 * u**2 - 4 * u, -3 * v**2 + 4 * v, u**2], dim=1) / (2 * spacing)
    return values, slopes
