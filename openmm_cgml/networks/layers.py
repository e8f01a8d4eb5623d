"""The functions of a SchNet without weights to train: radial basis, cutoff, activations; those of TorchMD-Net."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class ShiftedSoftplus(nn.Module):
    """log(1 + exp(x)) - log(2), which is 0 at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.shift: float = torch.log(torch.tensor(2.0)).item()  # in single precision, as every saved network has it

    def forward(self, x: Tensor) -> Tensor:
        """The activation of `x`, of its shape."""
        return functional.softplus(x) - self.shift


ACTIVATIONS: dict[str, type[nn.Module]] = {"shifted_softplus": ShiftedSoftplus, "tanh": nn.Tanh, "silu": nn.SiLU}
"""Name in a configuration -> activation."""


class GaussianBasis(nn.Module):
    """Gaussians of one width, with centers evenly spaced from 0 to the cutoff [nm]."""

    def __init__(self, cutoff: float, n_basis: int) -> None:
        super().__init__()
        centers = torch.linspace(0.0, cutoff, n_basis)
        self.register_buffer("coeff", -0.5 / (centers[1] - centers[0]) ** 2)
        self.register_buffer("offset", centers)

    def forward(self, distances: Tensor) -> Tensor:
        """Values of the functions, shape (n_pairs, n_basis), at `distances` [nm], shape (n_pairs,)."""
        return torch.exp(self.coeff * torch.pow(distances.unsqueeze(-1) - self.offset, 2))


class CosineCutoff(nn.Module):
    """Half a cosine, from 1 at distance 0 to 0 at the cutoff [nm] and beyond."""

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff

    def forward(self, distances: Tensor) -> Tensor:
        """The factor at `distances` [nm], of their shape."""
        factors = 0.5 * (torch.cos(distances * math.pi / self.cutoff) + 1.0)
        return factors * (distances < self.cutoff)
