"""Relaxation of chains: autocorrelation of their end-to-end vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.diffusion import TIME_SCALES
from openmm_cgml.analysis.result import Result, is_even_grid
from openmm_cgml.errors import InputError

_ENOUGH_TIMES = 10.0
_DECAYED = 1 / np.e


@dataclass(frozen=True, eq=False, kw_only=True)
class EndToEndRelaxation(Result):
    """Autocorrelation of end-to-end vectors, <R(t0) R(t0 + t)> / <R^2>, over all time origins and chains.

    Attributes:
        times: Lag times [ps], shape (n_lags,), from zero.
        correlation: Autocorrelation, shape (n_lags,), one at zero.
        standard_error: Standard error from the scatter of the chains, shape (n_lags,); None for one chain.
        relaxation_time: Time at which the correlation falls to 1/e [ps]; None if it does not within the lag times.
        duration: Length of the run [ps].
        time_scale: "CG time" or "atomistic time".
    """

    times: np.ndarray
    correlation: np.ndarray
    standard_error: np.ndarray | None
    relaxation_time: float | None
    duration: float
    time_scale: str

    def check_ranges(self) -> None:
        """Refuse a correlation that does not start at one, and a relaxation time that is not its own."""
        times, n_lags = self.times, len(self.times)
        self.require(is_even_grid(times) and times[0] == 0, "times", "evenly spaced from zero")
        starts_at_one = self.correlation.shape == times.shape and abs(self.correlation[0] - 1) < 1e-6
        self.require(starts_at_one, "correlation", f"{n_lags} values from one")
        error, found = self.standard_error, _find_decay(times, self.correlation)
        good = error is None or (error.shape == times.shape and error.min() >= 0)
        self.require(good, "standard_error", f"{n_lags} values, not negative")
        stored, again = (-times[-1] if time is None else time for time in (self.relaxation_time, found))
        self.require(abs(stored - again) <= 1e-4 * times[-1], "relaxation_time", f"{found} ps")
        longest = 2 * times[-1] + times[1] / 2
        self.require(times[-1] <= self.duration <= longest, "duration", f"{times[-1]:g} to {longest:g} ps")
        self.require(self.time_scale in TIME_SCALES, "time_scale", " or ".join(TIME_SCALES))

    @property
    def is_relaxed(self) -> bool:
        """Whether the run is long enough, ten relaxation times, for chains to have forgotten their start."""
        return self.relaxation_time is not None and self.duration >= _ENOUGH_TIMES * self.relaxation_time

    @property
    def statement(self) -> str:
        """What the run allows to say about the relaxation of its chains."""
        if self.relaxation_time is None:
            return (
                f"end-to-end vectors keep {self.correlation[-1]:.2f} of themselves over {self.times[-1]:.4g} ps, half "
                "of the run: chains do not relax in this run, their dimensions are those of its start"
            )
        times = self.duration / self.relaxation_time
        text = (
            f"end-to-end vectors relax in {self.relaxation_time:.3g} ps ({self.time_scale}); the run is {times:.2g} "
            "times that"
        )
        return text if self.is_relaxed else f"{text}: too short for chains to forget their start"


def compute_relaxation(end_to_end: np.ndarray, *, interval: float, time_scale: str) -> EndToEndRelaxation:
    """Autocorrelation of end-to-end vectors up to half of the run, and the time at which it falls to 1/e.

    Args:
        end_to_end: End-to-end vectors [nm], shape (n_frames, n_chains, 3), evenly spaced in time.
        interval: Time between frames [ps].
        time_scale: "CG time" or "atomistic time".

    Raises:
        InputError: If there are fewer than two frames, no chain, or the interval is not positive.
    """
    n_frames, n_chains = end_to_end.shape[:2]
    if n_frames < 2 or n_chains == 0 or not interval > 0:
        raise InputError(
            f"{n_frames} frames {interval} ps apart of {n_chains} chains; an autocorrelation needs two frames, "
            "a chain and an interval > 0"
        )
    n_lags = n_frames // 2 + 1
    vectors = np.asarray(end_to_end, dtype=np.float64)
    spectrum = np.fft.rfft(vectors, 2 * n_frames, axis=0)
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=2)
    products = np.fft.irfft(power, 2 * n_frames, axis=0)[:n_lags] / (n_frames - np.arange(n_lags))[:, None]
    by_chain = products / products[0].mean()
    correlation = by_chain.mean(axis=1)
    times = np.arange(n_lags) * interval
    return EndToEndRelaxation(
        times=times,
        correlation=correlation,
        standard_error=_find_error(by_chain, correlation) if n_chains > 1 else None,
        relaxation_time=_find_decay(times, correlation),
        duration=(n_frames - 1) * interval,
        time_scale=time_scale,
    )


def _find_error(by_chain: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Standard error of a ratio of means over chains, (n_lags, n_chains) over its first row, shape (n_lags,)."""
    residuals = by_chain - correlation[:, None] * by_chain[0]
    error: np.ndarray = residuals.std(axis=1, ddof=1) / np.sqrt(by_chain.shape[1])
    return error


def _find_decay(times: np.ndarray, correlation: np.ndarray) -> float | None:
    """First time at which the correlation is 1/e, between the samples around it."""
    below = np.flatnonzero(correlation <= _DECAYED)
    if not len(below) or below[0] == 0:
        return None
    after = int(below[0])
    high, low = correlation[after - 1], correlation[after]
    return float(times[after - 1] + (times[after] - times[after - 1]) * (high - _DECAYED) / (high - low))
