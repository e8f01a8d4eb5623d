"""SchNet with separate filters for inter- and intramolecular pairs, from TorchMD-Net's blocks.

Schütt et al., J. Chem. Phys. 148, 241722 (2018). The interaction blocks are TorchMD-Net's `InteractionBlock`
(continuous filter convolution, activation, linear layer); here each filter is evaluated once per pair instead of once
per direction, which halves the cost and changes nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor, nn

from openmm_cgml.config import Config, Energy, Length
from openmm_cgml.networks._torchmdnet import GaussianSmearing, InteractionBlock, act_class_mapping

Channels = Annotated[int, Field(ge=1, le=4096)]
Blocks = Annotated[int, Field(ge=1, le=64)]
"""Bounds far beyond any network of use here, so that a damaged number is refused before memory is asked for."""

_ACTIVATIONS = {"shifted_softplus": "ssp", "tanh": "tanh", "silu": "silu"}


class SchNetConfig(Config):
    """Architecture of a `SchNet`.

    Attributes:
        n_features: Length of a bead's feature vector.
        n_filters: Channels of the continuous filters, independent of `n_features`.
        n_inter_blocks: Interaction blocks over pairs of beads in different molecules.
        n_intra_blocks: Interaction blocks over pairs of beads in the same molecule.
        activation: Nonlinearity everywhere.
        n_basis: Gaussian radial basis functions, evenly spaced from 0 to the cutoff.
        cutoff: Range of the intermolecular filters [nm].
        intra_cutoff: Range of the intramolecular filters [nm]; `cutoff` if not given.
        include_bonded: Whether excluded (bonded) pairs are among the intramolecular pairs.
        separate_readouts: Give inter- and intramolecular features a dense readout each, so that the energy is a sum of
            the two and each part can be trained on its own share of the forces; otherwise features are summed first.
        energy_scale: Energy that an output of one stands for [kJ/mol].
    """

    kind: Literal["schnet"] = "schnet"
    n_features: Channels = 64
    n_filters: Channels = 64
    n_inter_blocks: Blocks = 2
    n_intra_blocks: int = Field(default=0, le=64)
    activation: Literal["shifted_softplus", "tanh", "silu"] = "shifted_softplus"
    n_basis: Channels = 40
    cutoff: Length
    intra_cutoff: Length | None = None
    include_bonded: bool = True
    separate_readouts: bool = False
    energy_scale: Energy = 1.0

    @model_validator(mode="after")
    def _check(self) -> SchNetConfig:
        if self.cutoff <= 0 or (self.intra_cutoff is not None and self.intra_cutoff <= 0):
            raise ValueError(f"cutoffs are positive lengths, not {self.cutoff} and {self.intra_cutoff} nm")
        if self.n_intra_blocks < 0 or self.n_basis < 2 or self.energy_scale <= 0:
            raise ValueError("n_intra_blocks is at least 0, n_basis at least 2, energy_scale above 0")
        return self


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
        self.inter_basis = GaussianSmearing(0.0, self.cutoff, config.n_basis, trainable=False)
        self.intra_basis = GaussianSmearing(0.0, self.intra_cutoff, config.n_basis, trainable=False)
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


class _PairInteraction(InteractionBlock):
    """TorchMD-Net's interaction block on pairs that are listed once."""

    def __init__(self, config: SchNetConfig, cutoff: float) -> None:
        activation = act_class_mapping[_ACTIVATIONS[config.activation]]
        super().__init__(config.n_features, config.n_basis, config.n_filters, activation, 0.0, cutoff)
        del self.mlp  # the same module as `conv.net`; a state dict should hold it once

    def forward(self, x: Tensor, pairs: PairList, basis: Tensor) -> Tensor:
        """Update of the features `x` (n_beads, n_features), given the radial basis (n_pairs, n_basis) of the pairs."""
        filters = self.conv.net(basis) * self.conv.cutoff(pairs.distances).unsqueeze(-1)
        h = self.conv.lin1(x)
        message = torch.zeros_like(h)
        message = message.index_add(0, pairs.first, filters * h.index_select(0, pairs.second))
        message = message.index_add(0, pairs.second, filters * h.index_select(0, pairs.first))
        return self.lin(self.act(self.conv.lin2(message)))


def _readout(config: SchNetConfig) -> nn.Sequential:
    activation = act_class_mapping[_ACTIVATIONS[config.activation]]
    hidden = max(config.n_features // 2, 1)
    enter, leave = nn.Linear(config.n_features, hidden), nn.Linear(hidden, 1)
    for layer in (enter, leave):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
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
