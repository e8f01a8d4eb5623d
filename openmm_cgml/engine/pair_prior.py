"""The pair prior in plain torch operations, so that TorchScript can hold it beside the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openmm_cgml.potentials import PowerRepulsion
from openmm_cgml.potentials.power_repulsion import switched_power


class PairPrior(nn.Module):
    """Energy of a pair prior over a list of pairs: the analytic form, as the native force has it."""

    def __init__(self, potential: PowerRepulsion) -> None:
        """Args:
        potential: The prior, bound to the beads of the System.
        """
        super().__init__()
        self.exponent: int = int(potential.exponent)
        self.cutoff: float = potential.cutoff
        self.switch_distance: float = potential.switch_distance
        self.n_beads: int = len(potential.bead_types)
        coefficient = torch.tensor(potential.epsilon * potential.sigma ** int(potential.exponent))
        self.register_buffer("coefficient", coefficient, persistent=False)
        self.register_buffer("bead_types", torch.tensor(potential.bead_types), persistent=False)
        excluded = torch.tensor(potential.exclusions)
        self.register_buffer("excluded", excluded[:, 0] * self.n_beads + excluded[:, 1], persistent=False)

    def forward(self, first: Tensor, second: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Energy [kJ/mol] and its derivatives by the distances [kJ/mol/nm], shape (n_pairs,), both float64.

        Args:
            first: Lower bead number of each pair, shape (n_pairs,).
            second: Higher bead number, shape (n_pairs,).
            distances: Distances [nm], shape (n_pairs,), float64.
        """
        types = self.bead_types.index_select(0, first), self.bead_types.index_select(0, second)
        coefficient = self.coefficient[types[0], types[1]]
        if self.excluded.shape[0] > 0:
            interacts = ~torch.isin(first * self.n_beads + second, self.excluded)  # type: ignore[arg-type]
            coefficient = coefficient * interacts.to(coefficient.dtype)
        energies, slopes = switched_power(
            distances, coefficient, float(self.exponent), self.switch_distance, self.cutoff
        )
        return energies.sum(), slopes


class NoPairPrior(nn.Module):
    """No pair prior: no energy and no forces."""

    def forward(self, first: Tensor, second: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros in the shapes of `PairPrior`."""
        return torch.zeros_like(distances.sum()), torch.zeros_like(distances)
