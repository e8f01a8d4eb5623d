"""Architectures of networks; read without torch, so that a wrong key is told before anything heavy is imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from openmm_cgml.config import Config, Energy, Length

Channels = Annotated[int, Field(ge=1, le=4096)]
Blocks = Annotated[int, Field(ge=1, le=64)]
"""Bounds far beyond any network of use here, so that a damaged number is refused before memory is asked for."""


class SchNetConfig(Config):
    """Architecture of a `SchNet`.

    Attributes:
        kind: Kind of network; there is one.
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
