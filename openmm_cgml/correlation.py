"""How many independent samples a correlated series holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def effective_samples(series: NDArray[np.floating], *, centered: bool = False) -> float:
    """The number of independent samples among correlated ones, n / (1 + 2 sum of the autocorrelation).

    The sum stops where the autocorrelation, averaged over the columns, first falls to zero (Chodera et al., J. Chem.
    Theory Comput. 3, 26 (2007)).

    Args:
        series: Samples in order, shape (n_samples, n_series).
        centered: The means are known to be zero and not subtracted.
    """
    n_samples = len(series)
    if n_samples < 3:
        return float(n_samples)
    correlation = np.zeros(n_samples)
    for column in range(0, series.shape[1], 30):
        values = np.asarray(series[:, column : column + 30], dtype=np.float64)
        values = values if centered else values - values.mean(axis=0)
        spectrum = np.fft.rfft(values, n=2 * n_samples, axis=0)
        correlation += np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:n_samples].sum(axis=1)
    if correlation[0] <= 0:
        return 1.0
    correlation = correlation / correlation[0]  # with the weights 1 - t/n that a finite series has
    below = np.flatnonzero(correlation <= 0)
    stop = below[0] if len(below) else n_samples
    return float(n_samples / (1 + 2 * correlation[1:stop].sum()))
