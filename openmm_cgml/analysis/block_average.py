"""Means of correlated series with an honest statistical error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError

_WINDOW = 5.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Average(Result):
    """Mean of a series with the error that its correlation leaves.

    Attributes:
        mean: Mean, in the unit of the series.
        std: Standard deviation of the samples.
        standard_error: Standard error of the mean, std * sqrt(1 / n_effective).
        correlation_time: Integrated correlation time, in the unit of the interval; half an interval if uncorrelated.
        n_samples: Samples.
        n_effective: Samples that would be as good if they were independent.
    """

    mean: float
    std: float
    standard_error: float
    correlation_time: float
    n_samples: int
    n_effective: float

    def check_ranges(self) -> None:
        """Refuse an error that does not follow from scatter and samples."""
        self.require(self.std >= 0, "std", "a standard deviation, not negative")
        self.require(self.n_samples >= 2, "n_samples", "two or more")
        self.require(1 <= self.n_effective <= self.n_samples, "n_effective", f"from 1 to {self.n_samples}")
        expected = self.std / self.n_effective**0.5
        self.require(abs(self.standard_error - expected) <= 1e-6 * expected, "standard_error", f"{expected:.6g}")
        self.require(self.correlation_time > 0, "correlation_time", "positive")


def compute_average(values: np.ndarray, *, interval: float = 1.0) -> Average:
    """Mean, error and correlation time of a series.

    n_effective = n interval / (2 tau), with the integrated correlation time tau.

    Args:
        values: A stationary series, evenly spaced, shape (n,).
        interval: Distance of two samples, such as ps.

    Raises:
        InputError: If the series has fewer than two samples or holds values that are not finite.
    """
    values = _check_series(values)
    tau = estimate_correlation_time(values)
    n_effective = float(min(len(values), max(1.0, len(values) / (2 * tau))))
    std = float(values.std(ddof=1))
    return Average(
        mean=float(values.mean()),
        std=std,
        standard_error=std / n_effective**0.5,
        correlation_time=tau * interval,
        n_samples=len(values),
        n_effective=n_effective,
    )


def estimate_correlation_time(values: np.ndarray) -> float:
    """Integrated autocorrelation time in samples: 1/2 + sum of the autocorrelation, 1/2 if uncorrelated.

    The sum is cut at the first lag that is five times the sum so far (Sokal's window; A. Sokal, "Monte Carlo Methods
    in Statistical Mechanics", 1997, section 3).

    Args:
        values: A stationary series, evenly spaced, shape (n,).

    Raises:
        InputError: If the series has fewer than two samples or holds values that are not finite.
    """
    values = _check_series(values)
    n = len(values)
    centered = values - values.mean()
    if np.abs(centered).max() <= 1e-12 * max(1.0, np.abs(values).max()):
        return 0.5
    spectrum = np.fft.rfft(centered, 2 * n)
    correlation = np.fft.irfft(spectrum * spectrum.conj(), 2 * n)[:n] / np.arange(n, 0, -1)
    tau = 0.5 + np.cumsum(correlation[1:] / correlation[0])
    enough = np.flatnonzero(np.arange(1, n) >= _WINDOW * tau)
    return float(max(0.5, tau[enough[0]] if len(enough) else tau.max()))


def block_means(values: np.ndarray, n_blocks: int) -> np.ndarray:
    """Means of consecutive blocks of nearly equal length, shape (n_blocks, ...).

    Args:
        values: Series along the first axis, shape (n, ...).
        n_blocks: Number of blocks, at most n.

    Raises:
        InputError: If there are fewer samples than blocks, or no block is asked for.
    """
    if not 1 <= n_blocks <= len(values):
        raise InputError(f"{n_blocks} blocks of {len(values)} samples; ask for 1 to {len(values)}")
    return np.stack([block.mean(axis=0) for block in np.array_split(np.asarray(values, np.float64), n_blocks)])


def detect_equilibration(values: np.ndarray, *, n_candidates: int = 20) -> int:
    """First sample to use: the start that leaves the most effective samples, at most half the series.

    J. D. Chodera, J. Chem. Theory Comput. 12, 1799 (2016).

    Args:
        values: A series that may start far from its stationary part, shape (n,).
        n_candidates: Starts tried.

    Raises:
        InputError: If the series has fewer than two samples or holds values that are not finite.
    """
    values = _check_series(values)
    starts = np.unique(np.linspace(0, len(values) // 2, n_candidates).astype(int))
    kept = [compute_average(values[start:]).n_effective for start in starts if len(values) - start >= 2]
    return int(starts[int(np.argmax(kept))])


def _check_series(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise InputError(f"a series of shape {values.shape}; an average with an error needs at least two samples")
    if not np.all(np.isfinite(values)):
        sample = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"sample {sample} of the series is {values[sample]}; use the part of the run before it")
    return values
