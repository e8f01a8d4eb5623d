"""dE/dr of every pair from a network, by which training computes forces.

A network of pair distances has forces F_i = sum_j dE/dr_ij (x_j - x_i)/r_ij, so the geometry of a frame is constant and
only distances are differentiated. In SchNet the filters depend on the distance alone: they are evaluated at the knots
of a table, value and derivative, and interpolated by cubic Hermite splines, as in the deployed network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from openmm_cgml.networks import SchNet
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.training.batches import Batch, PairBatch
from openmm_cgml.training.force_graph import tabulated_slopes


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
    if n_knots:
        with torch.set_grad_enabled(create_graph):
            return Slopes(*tabulated_slopes(network, batch, n_knots))
    with torch.enable_grad():
        slopes = _exact_slopes(network, batch, create_graph)
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


def _exact_slopes(network: SchNet, batch: Batch, create_graph: bool) -> Slopes:
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
