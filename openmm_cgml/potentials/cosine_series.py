"""Series of cosines of multiples of an angle, as polynomials of its cosine."""

from __future__ import annotations

import torch


def cosine_series(cosine: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """Sum over n = 1, 2, ... of k_n (1 + cos(n x)) [kJ/mol], shape (..., n_terms).

    cos(n x) is the Chebyshev polynomial T_n of cos(x), so neither the angle nor its sine is needed, and the derivative
    is finite at 0 and 180 degrees.

    Args:
        cosine: cos(x) of each term, shape (..., n_terms).
        coefficients: k_1, k_2, ... of each term [kJ/mol], shape (n_terms, n_harmonics).
    """
    before, present = torch.ones_like(cosine), cosine
    energy = torch.zeros_like(cosine)
    for harmonic in coefficients.unbind(-1):
        energy = energy + harmonic * (1 + present)
        before, present = present, 2 * cosine * present - before
    return energy


def cosine_between(first: torch.Tensor, second: torch.Tensor, lowest: torch.Tensor) -> torch.Tensor:
    """Cosine of the angle between vectors, shape (..., n); 0 with a zero gradient where a direction is lost.

    Args:
        first: Vectors, shape (..., n, 3).
        second: Vectors, shape (..., n, 3).
        lowest: Product of their squared lengths up to which they have no direction, shape (..., n).
    """
    squares = (first * first).sum(-1) * (second * second).sum(-1)
    lost = squares <= lowest
    dot = (first * second).sum(-1)
    return torch.where(lost, torch.zeros_like(dot), dot) * torch.rsqrt(torch.where(lost, torch.ones_like(dot), squares))
