"""Cubic B-splines with evenly spaced knots: values and derivatives in numpy, evaluation in torch, a formula for OpenMM.

A spline over n intervals is a weighted sum of n + 3 copies of one bell, each over four intervals; it has two continuous
derivatives. Positions count in intervals from the first knot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_BELLS = np.array([[1, 4, 1, 0], [-3, 0, 3, 0], [3, -6, 3, 0], [-1, 3, -3, 1]]) / 6
"""Powers 0 to 3 of the position within an interval in each of the four bells over it."""


def spline_functions(steps: NDArray[np.float64], n_intervals: int, derivative: int = 0) -> NDArray[np.float64]:
    """The bells of a spline or derivatives of them by the position, shape (*steps.shape, n_intervals + 3).

    Args:
        steps: Positions within 0 to n_intervals, any shape.
        n_intervals: Number of intervals.
        derivative: 0, 1 or 2.
    """
    steps = np.asarray(steps, np.float64)
    interval = np.clip(steps.astype(np.int64), 0, n_intervals - 1)
    t = steps - interval
    powers = (
        np.stack([np.ones_like(t), t, t**2, t**3], axis=-1),
        np.stack([np.zeros_like(t), np.ones_like(t), 2 * t, 3 * t**2], axis=-1),
        np.stack([np.zeros_like(t), np.zeros_like(t), np.full_like(t, 2.0), 6 * t], axis=-1),
    )[derivative]
    result = np.zeros((*steps.shape, n_intervals + 3))
    np.put_along_axis(result, interval[..., None] + np.arange(4), powers @ _BELLS, axis=-1)
    return result


def spline_polynomials(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Powers 0 to 3 of the position within each interval, shape (n_intervals, 4), of n_intervals + 3 coefficients."""
    return np.asarray(np.lib.stride_tricks.sliding_window_view(coefficients, 4) @ _BELLS.T)


def evaluate_polynomials(
    steps: torch.Tensor, polynomials: torch.Tensor, first: torch.Tensor, count: torch.Tensor
) -> torch.Tensor:
    """Values of splines, shape (..., n), with two continuous derivatives.

    Args:
        steps: Positions, within 0 to `count`, shape (..., n).
        polynomials: Of the intervals of all splines, shape (n_all, 4), see `spline_polynomials`.
        first: First interval of the spline of each of the n, shape (n,).
        count: Number of intervals of that spline, shape (n,).
    """
    interval = steps.detach().long().clamp(min=0).minimum(count - 1)
    t = steps - interval
    constant, linear, square, cube = polynomials[first + interval].unbind(-1)
    return constant + t * (linear + t * (square + t * cube))


def truncated_powers(
    polynomials: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """A spline as one formula, which goes on beyond its ends as the parabolas that continue it.

    With v the position counted from the middle knot, number n // 2 of n intervals, it is the polynomial of the first
    result in v plus the sum of up_k max(0, v - k)^3 for k = 1, 2, ... and of down_k max(0, -v - k)^3 for k = 0, 1, ...
    Counted from the middle the terms are small, so that little is lost in single precision.

    Args:
        polynomials: Of the intervals, shape (n, 4), see `spline_polynomials`.

    Returns:
        Coefficients of the polynomial, shape (4,); up, shape (n - n // 2,); down, shape (n // 2 + 1,).
    """
    middle = len(polynomials) // 2
    cubes = np.concatenate([[0.0], polynomials[:, 3], [0.0]])
    jumps = np.diff(cubes)  # of the third derivative, at each knot
    return polynomials[middle], jumps[middle + 1 :], jumps[middle::-1]
