"""SchNet with separate filters for inter- and intramolecular pairs.

Schütt et al., J. Chem. Phys. 148, 241722 (2018). An interaction block is that of TorchMD-Net's graph network
(continuous filter convolution, activation, linear layer), weights and all: the tests compare the two. Here each filter
is evaluated once per pair instead of once per direction, which halves the cost and changes nothing, and TorchMD-Net
need not be loaded, which takes longer than loading torch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openmm_cgml.networks.config import SchNetConfig
from openmm_cgml.networks.layers import ACTIVATIONS, CosineCutoff, GaussianBasis


class PairList(NamedTuple):
    """Pairs of beads, each once, and their distances.

    Attributes:
        first: Bead numbers, shape (n_pairs,).
        second: Bead numbers, shape (n_pairs,).
        distances: Distances [nm], shape (n_pairs,).
    """

    first: Tensor
    second: Tensor
    distances: Tensor


class SchNet(nn.Module):
    """Per-bead energies from bead types and pair distances.

    Attributes:
        config: The architecture.
        n_types: Number of bead types.
        cutoff: Largest distance that matters between molecules [nm].
        intra_cutoff: Largest distance that matters within a molecule [nm].
    """

    def __init__(self, config: SchNetConfig, n_types: int) -> None:
        super().__init__()
        self.config = config
        self.n_types = n_types
        self.cutoff: float = config.cutoff
        self.intra_cutoff: float = config.intra_cutoff or config.cutoff
        self.separate: bool = config.separate_readouts
        self.energy_scale: float = config.energy_scale
        self.embedding = nn.Embedding(n_types, config.n_features)
        self.inter_basis = GaussianBasis(self.cutoff, config.n_basis)
        self.intra_basis = GaussianBasis(self.intra_cutoff, config.n_basis)
        self.inter_blocks = nn.ModuleList(_PairInteraction(config, self.cutoff) for _ in range(config.n_inter_blocks))
        self.intra_blocks = nn.ModuleList(
            _PairInteraction(config, self.intra_cutoff) for _ in range(config.n_intra_blocks)
        )
        self.readout = _readout(config)
        self.intra_readout = _readout(config) if self.separate else nn.Identity()

    def forward(self, bead_types: Tensor, inter: PairList, intra: PairList) -> Tensor:
        """Energy of each bead [kJ/mol], shape (n_beads,).

        Args:
            bead_types: Type numbers, shape (n_beads,), int64.
            inter: Pairs in different molecules, each once.
            intra: Pairs in the same molecule, each once; ignored without intramolecular blocks.
        """
        between, within = self.split_energies(bead_types, inter, intra)
        return between + within

    def split_energies(self, bead_types: Tensor, inter: PairList, intra: PairList) -> tuple[Tensor, Tensor]:
        """Inter- and intramolecular part of each bead's energy [kJ/mol], each of shape (n_beads,).

        Without separate readouts the second part is zero and the first holds everything.
        """
        x = self.embedding(bead_types)
        y = torch.zeros_like(x)
        if len(self.intra_blocks) > 0:
            y = x
            intra_basis = self.intra_basis(intra.distances)
            for intra_block in self.intra_blocks:
                y = y + intra_block(y, intra, intra_basis)
        inter_basis = self.inter_basis(inter.distances)
        for inter_block in self.inter_blocks:
            x = x + inter_block(x, inter, inter_basis)
        if self.separate:
            between = self.energy_scale * self.readout(x).squeeze(-1)
            within = torch.zeros_like(between)
            if len(self.intra_blocks) > 0:
                within = self.energy_scale * self.intra_readout(y).squeeze(-1)
            return between, within
        energies = self.energy_scale * self.readout(x + y).squeeze(-1)
        return energies, torch.zeros_like(energies)


class _PairInteraction(nn.Module):
    """An interaction block on pairs that are listed once."""

    def __init__(self, config: SchNetConfig, cutoff: float) -> None:
        super().__init__()
        activation = ACTIVATIONS[config.activation]
        enter, leave = nn.Linear(config.n_basis, config.n_filters), nn.Linear(config.n_filters, config.n_filters)
        self.conv = _FilterConvolution(config, nn.Sequential(enter, activation(), leave), cutoff)
        self.act = activation()
        self.lin = nn.Linear(config.n_features, config.n_features)
        # The order of TorchMD-Net's draws, so that a seed gives the weights that it gave with TorchMD-Net's block.
        for layer in (enter, leave, self.conv.lin1, self.conv.lin2, self.lin):
            _initialize(layer)

    def forward(self, x: Tensor, pairs: PairList, basis: Tensor) -> Tensor:
        """Update of the features `x` (n_beads, n_features), given the radial basis (n_pairs, n_basis) of the pairs."""
        filters = self.conv.net(basis) * self.conv.cutoff(pairs.distances).unsqueeze(-1)
        h = self.conv.lin1(x)
        message = torch.zeros_like(h)
        message = message.index_add(0, pairs.first, filters * h.index_select(0, pairs.second))
        message = message.index_add(0, pairs.second, filters * h.index_select(0, pairs.first))
        return self.lin(self.act(self.conv.lin2(message)))


class _FilterConvolution(nn.Module):
    """The layers of a continuous filter convolution, named as TorchMD-Net names them in files of weights."""

    def __init__(self, config: SchNetConfig, net: nn.Sequential, cutoff: float) -> None:
        super().__init__()
        self.lin1 = nn.Linear(config.n_features, config.n_filters, bias=False)
        self.lin2 = nn.Linear(config.n_filters, config.n_features)
        self.net = net
        self.cutoff = CosineCutoff(cutoff)
        _initialize(self.lin1)
        _initialize(self.lin2)


def _initialize(layer: nn.Linear) -> None:
    nn.init.xavier_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _readout(config: SchNetConfig) -> nn.Sequential:
    activation = ACTIVATIONS[config.activation]
    hidden = max(config.n_features // 2, 1)
    enter, leave = nn.Linear(config.n_features, hidden), nn.Linear(hidden, 1)
    _initialize(enter)
    _initialize(leave)
    return nn.Sequential(enter, activation(), leave)


def dimer_energy(network: SchNet, first: int, second: int, distances: NDArray[np.floating]) -> NDArray[np.float64]:
    """Network energy [kJ/mol] of two beads of different molecules less that at infinite distance, shape (n,).

    Args:
        network: The network; it is evaluated in its own precision.
        first: Bead type of one bead.
        second: Bead type of the other.
        distances: Distances [nm], shape (n,).
    """
    r = torch.tensor(distances, dtype=network.embedding.weight.dtype)
    n = len(r)
    types = torch.tensor([first, second]).repeat(n + 1)
    beads = torch.arange(2 * n)
    none = torch.zeros(0, dtype=torch.int64)
    nothing = PairList(none, none, r[:0])
    with torch.no_grad():
        energies = network(types, PairList(beads[0::2], beads[1::2], r), nothing).double().reshape(-1, 2).sum(1)
    return (energies[:-1] - energies[-1]).numpy()
