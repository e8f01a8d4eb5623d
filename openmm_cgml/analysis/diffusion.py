"""Mean square displacement and diffusion coefficient.

A coarse-grained model diffuses faster than the atoms it stands for: its time is "CG time", and only ratios to a
reference measured in the same way mean something.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.result import Result, is_average_of, is_even_grid
from openmm_cgml.errors import InputError

CM2_PER_S = 1e-2
"""One nm^2/ps [cm^2/s]."""
CG_TIME = "CG time"
ATOMISTIC_TIME = "atomistic time"
TIME_SCALES = (CG_TIME, ATOMISTIC_TIME)


@dataclass(frozen=True, eq=False, kw_only=True)
class MeanSquareDisplacement(Result):
    """Mean square displacement of particles, averaged over time origins.

    Attributes:
        times: Lag times [ps], shape (n_lags,), from zero.
        msd: Mean square displacement [nm^2], shape (n_lags,).
        standard_error: Standard error from groups of particles [nm^2], shape (n_lags,); None for one particle.
        group_msd: Mean square displacement of each group of particles [nm^2], shape (n_groups, n_lags).
        time_scale: "CG time" or "atomistic time".
    """

    times: np.ndarray
    msd: np.ndarray
    group_msd: np.ndarray
    time_scale: str

    def check_ranges(self) -> None:
        """Refuse displacements that do not start at zero, fall below it, or are not the average of their groups."""
        self.require(is_even_grid(self.times) and self.times[0] == 0, "times", "evenly spaced from zero")
        shaped = self.msd.shape == self.times.shape
        self.require(shaped and self.msd[0] == 0 and self.msd.min() >= 0, "msd", f"{len(self.times)} values from zero")
        self.require(self.group_msd.min(initial=0.0) >= 0, "group_msd", "not negative")
        self.require(is_average_of(self.msd, self.group_msd), "group_msd", "groups whose average is msd")
        self.require(self.time_scale in TIME_SCALES, "time_scale", " or ".join(TIME_SCALES))

    @property
    def standard_error(self) -> np.ndarray | None:
        """Standard error of the mean from the scatter of the groups [nm^2], shape (n_lags,); None for one group."""
        n_groups = len(self.group_msd)
        if n_groups < 2:
            return None
        error: np.ndarray = self.group_msd.std(axis=0, ddof=1) / np.sqrt(n_groups)
        return error


@dataclass(frozen=True, eq=False, kw_only=True)
class DiffusionCoefficient(Result):
    """Diffusion coefficient from a straight line through the mean square displacement.

    Attributes:
        value: D [nm^2/ps]; times `CM2_PER_S` for cm^2/s.
        standard_error: Standard error from groups of particles [nm^2/ps]; None for one group.
        fit_start: First lag time of the fit [ps].
        fit_end: Last lag time of the fit [ps].
        time_scale: "CG time" or "atomistic time".
    """

    value: float
    standard_error: float | None
    fit_start: float
    fit_end: float
    time_scale: str

    def check_ranges(self) -> None:
        """Refuse a range of the fit that holds nothing, and errors below zero."""
        self.require(0 <= self.fit_start < self.fit_end, "fit_end", f"later than {self.fit_start:g} ps")
        self.require(self.standard_error is None or self.standard_error >= 0, "standard_error", "not negative")
        self.require(self.time_scale in TIME_SCALES, "time_scale", " or ".join(TIME_SCALES))


def compute_msd(
    positions: np.ndarray,
    *,
    interval: float,
    time_scale: str = CG_TIME,
    max_lag: int | None = None,
    n_groups: int = 10,
) -> MeanSquareDisplacement:
    """Mean square displacement over all time origins, relative to the mean of all particles.

    The motion of the whole is taken out, since a Langevin thermostat lets the box drift. Groups of particles give the
    error. Computed with Fourier transforms (G. R. Kneller et al., Comput. Phys. Commun. 91, 191 (1995)).

    Args:
        positions: Unwrapped positions [nm], shape (n_frames, n, 3), evenly spaced in time.
        interval: Time between frames [ps].
        time_scale: "CG time" or "atomistic time".
        max_lag: Largest lag in frames; half the frames if not given.
        n_groups: Groups of particles for the error.

    Raises:
        InputError: If there are fewer than two frames, the interval is not positive, or the lag is out of range.
    """
    n_frames, n = positions.shape[:2]
    if n_frames < 2 or not interval > 0:
        raise InputError(f"{n_frames} frames {interval} ps apart; a displacement needs two frames and an interval > 0")
    max_lag = n_frames // 2 if max_lag is None else max_lag
    if not 1 <= max_lag < n_frames:
        raise InputError(f"max_lag is {max_lag}; with {n_frames} frames it must be 1 to {n_frames - 1}")
    positions = np.asarray(positions, dtype=np.float64)
    if n > 1:
        positions = positions - positions.mean(axis=1, keepdims=True)
    groups = [_msd_of(part, max_lag) for part in np.array_split(positions, min(n_groups, n), axis=1)]
    sizes = [part.shape[1] for part in np.array_split(positions, min(n_groups, n), axis=1)]
    return MeanSquareDisplacement(
        times=np.arange(max_lag + 1) * interval,
        msd=np.average(groups, axis=0, weights=sizes),
        group_msd=np.stack(groups),
        time_scale=time_scale,
    )


def fit_diffusion(
    msd: MeanSquareDisplacement, *, fit_start: float | None = None, fit_end: float | None = None
) -> DiffusionCoefficient:
    """D from the slope of the mean square displacement, msd = 6 D t + c.

    Args:
        msd: Mean square displacement.
        fit_start: First lag time of the fit [ps]; a fifth of the longest if not given.
        fit_end: Last lag time of the fit [ps]; half the longest if not given.

    Raises:
        InputError: If the range holds fewer than two lag times.
    """
    longest = float(msd.times[-1])
    fit_start = longest / 5 if fit_start is None else fit_start
    fit_end = longest / 2 if fit_end is None else fit_end
    inside = (msd.times >= fit_start) & (msd.times <= fit_end)
    if inside.sum() < 2:
        raise InputError(
            f"{inside.sum()} lag times between {fit_start:g} and {fit_end:g} ps; a line needs two: run longer, or "
            "widen fit_start and fit_end"
        )
    times = msd.times[inside]
    slopes = np.polyfit(times, msd.group_msd[:, inside].T, 1)[0] / 6
    n_groups = len(slopes)
    return DiffusionCoefficient(
        value=float(np.polyfit(times, msd.msd[inside], 1)[0] / 6),
        standard_error=float(slopes.std(ddof=1) / np.sqrt(n_groups)) if n_groups > 1 else None,
        fit_start=float(times[0]),
        fit_end=float(times[-1]),
        time_scale=msd.time_scale,
    )


def _msd_of(positions: np.ndarray, max_lag: int) -> np.ndarray:
    """Mean square displacement [nm^2] of positions (n_frames, n, 3), shape (max_lag + 1,)."""
    n_frames, n = positions.shape[:2]
    positions = positions - positions.mean(axis=0)  # smaller numbers, same displacements
    spectrum = np.fft.rfft(positions, 2 * n_frames, axis=0)
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=(1, 2))
    products = np.fft.irfft(power, 2 * n_frames)[: max_lag + 1]
    squares = (positions**2).sum(axis=(1, 2))
    cumulative = np.concatenate([[0.0], np.cumsum(squares)])
    lags = np.arange(max_lag + 1)
    sums = cumulative[n_frames - lags] + cumulative[-1] - cumulative[lags]
    msd: np.ndarray = (sums - 2 * products) / ((n_frames - lags) * n)
    msd[0] = 0.0
    return msd


def check_unwrapped(positions: np.ndarray, box: np.ndarray) -> None:
    """Refuse positions that were folded back into the box, from which no displacement can be computed.

    Args:
        positions: Positions [nm], shape (n_frames, n, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3).

    Raises:
        InputError: If every point lies inside the box in every frame and one crosses half the box between two frames.
    """
    fractions = np.asarray(positions, dtype=np.float64) @ np.linalg.inv(np.asarray(box, dtype=np.float64))
    jumps = np.abs(np.diff(fractions, axis=0)).max(axis=(1, 2), initial=0.0)
    if fractions.min() >= 0 and fractions.max() <= 1 and np.any(jumps > 0.5):
        raise InputError(
            f"positions are wrapped into the box (a point jumps across it after frame {int(np.argmax(jumps > 0.5))}); "
            "displacements need unwrapped positions, as the simulation records them"
        )
