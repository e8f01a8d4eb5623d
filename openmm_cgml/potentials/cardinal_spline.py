"""Cubic B-splines on equidistant knots: values and derivatives of the functions that coefficients weigh."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_POWERS = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6
"""Coefficients of 1, t, t^2 and t^3 of the four functions that overlap an interval, t running from 0 to 1 in it."""


def overlapping(t: NDArray[np.float64], derivative: int = 0) -> NDArray[np.float64]:
    """The four B-splines that overlap an interval, or a derivative of them by t, shape (n, 4).

    Args:
        t: Place in the interval, 0 to 1, shape (n,).
        derivative: Which derivative, 0 to 2.
    """
    powers = _POWERS
    for _ in range(derivative):
        powers = powers[:, 1:] * np.arange(1, powers.shape[1])
    return np.asarray(np.polynomial.polynomial.polyval(t, powers.T, tensor=True).T)


def design(x: NDArray[np.float64], n_intervals: int, derivative: int = 0) -> NDArray[np.float64]:
    """Every B-spline of a range, or a derivative of it by x, at places in it, shape (n, n_intervals + 3).

    Args:
        x: Places in units of the spacing of the knots, 0 to n_intervals, shape (n,).
        n_intervals: Intervals that the range is cut into.
        derivative: Which derivative, 0 to 2.
    """
    first = np.clip(np.floor(x), 0, n_intervals - 1).astype(np.int64)
    result = np.zeros((len(x), n_intervals + 3))
    rows = np.arange(len(x))[:, None]
    result[rows, first[:, None] + np.arange(4)] = overlapping(x - first, derivative)
    return result
