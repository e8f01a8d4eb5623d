"""The pair priors' table in plain torch operations, so that TorchScript can hold it beside the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openmm_cgml.engine.pair_tables import PairTable


class PairPrior(nn.Module):
    """Energy of a table over a list of pairs."""

    def __init__(self, table: PairTable) -> None:
        """Args:
        table: The tables, bound to the beads of the System.
        """
        super().__init__()
        self.start: float = table.start
        self.cutoff: float = table.cutoff
        self.n_beads: int = len(table.bead_types)
        self.n_types: int = table.knots.shape[0]
        self.n_knots: int = table.knots.shape[2]
        self.register_buffer("knots", torch.tensor(table.knots).reshape(-1, 2), persistent=False)
        self.register_buffer("bead_types", torch.tensor(table.bead_types), persistent=False)
        excluded = torch.tensor(table.exclusions)
        self.register_buffer("excluded", excluded[:, 0] * self.n_beads + excluded[:, 1], persistent=False)

    def forward(self, first: Tensor, second: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Energy [kJ/mol] and its derivatives by the distances [kJ/mol/nm], shape (n_pairs,), both float64.

        Args:
            first: Lower bead number of each pair, shape (n_pairs,).
            second: Higher bead number, shape (n_pairs,).
            distances: Distances [nm], shape (n_pairs,), float64.
        """
        scale = float(self.n_knots - 1) / (self.cutoff - self.start)
        place = (distances - self.start) * scale
        knot = place.floor().clamp(0.0, float(self.n_knots - 2))
        tables = self.bead_types.index_select(0, first) * self.n_types + self.bead_types.index_select(0, second)
        rows = tables * self.n_knots + knot.to(torch.int64)
        low, high = self.knots.index_select(0, rows), self.knots.index_select(0, rows + 1)
        t = place - knot
        u = 1.0 - t
        energies = (1.0 + 2.0 * t) * u * u * low[:, 0] + t * u * u * low[:, 1]
        energies = energies + t * t * (3.0 - 2.0 * t) * high[:, 0] - t * t * u * high[:, 1]
        slopes = 6.0 * t * u * (high[:, 0] - low[:, 0]) + u * (1.0 - 3.0 * t) * low[:, 1]
        slopes = (slopes + t * (3.0 * t - 2.0) * high[:, 1]) * scale
        overlaps = place < 0.0
        energies = torch.where(overlaps, low[:, 0] + low[:, 1] * place, energies)
        slopes = torch.where(overlaps, low[:, 1] * scale, slopes)
        interacts = distances < self.cutoff
        if self.excluded.shape[0] > 0:
            keys = first * self.n_beads + second
            interacts = interacts & ~torch.isin(keys, self.excluded)  # type: ignore[arg-type]
        count = interacts.to(distances.dtype)
        return (energies * count).sum(), slopes * count


class NoPairPrior(nn.Module):
    """No pair prior: no energy and no forces."""

    def forward(self, first: Tensor, second: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Zeros in the shapes of `PairPrior`."""
        return torch.zeros_like(distances.sum()), torch.zeros_like(distances)
