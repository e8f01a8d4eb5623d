"""Boltzmann inversion by maximum likelihood: the energies whose distribution is nearest to that of the data.

A bond, an angle or a torsion x with the energy U alone has the density p(x) ~ J(x) exp(-U(x) / kT), where the Jacobian
J is r^2 for a bond (the surface of a sphere), sin(theta) for an angle and 1 for a torsion. All forms here are linear in
their coefficients, U = sum c_i f_i(x), so the likelihood has one maximum: there the mean of every f_i is that of the
data, and the Kullback-Leibler divergence of the model from the data is smallest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.coordinate import Coordinate

_N_BINS = 7200  # 0.025 degrees of an angle
_N_COARSE = (24, 72, 144, 288)  # of them together, for a comparison
_SAMPLES_PER_BIN = 50
_MAX_STEPS = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Samples of one coordinate as a fine histogram.

    Attributes:
        coordinate: What was sampled.
        values: Bin centers [nm or rad], shape (n_bins,).
        shares: Share of the samples in each bin, shape (n_bins,); they sum to 1.
        size: Number of samples; infinite where the shares are exact.
    """

    coordinate: Coordinate
    values: NDArray[np.float64]
    shares: NDArray[np.float64]
    size: float = math.inf

    @classmethod
    def of(
        cls, coordinate: Coordinate, samples: NDArray[np.float64], weights: NDArray[np.float64] | None = None
    ) -> Samples:
        """The histogram of samples over all that the coordinate can be.

        Without a limit it reaches twelve standard deviations from the mean.

        Args:
            coordinate: What was sampled.
            samples: Of any shape [nm or rad].
            weights: What each counts, in the same order; None for all alike.
        """
        samples, weights = samples.ravel(), None if weights is None else weights.ravel()
        mean, reach = float(samples.mean()), 12 * float(samples.std())
        low, high = coordinate.limits
        if not math.isfinite(high):
            low, high = max(low, min(mean - reach, samples.min())), max(mean + reach, samples.max())
        counts, edges = np.histogram(samples, bins=_N_BINS, range=(low, high), weights=weights)
        values = (edges[1:] + edges[:-1]) / 2
        return cls(coordinate=coordinate, values=values, shares=counts / counts.sum(), size=float(counts.sum()))

    @property
    def mean(self) -> float:
        """Mean of the samples [nm or rad]."""
        return float(self.shares @ self.values)

    @property
    def variance(self) -> float:
        """Variance of the samples [nm^2 or rad^2]."""
        return float(self.shares @ (self.values - self.mean) ** 2)

    def range_without(self, tail: float) -> tuple[float, float]:
        """Lowest and highest value [nm or rad] when this share of the samples is left out at either end."""
        below, above = np.cumsum(self.shares), np.cumsum(self.shares[::-1])
        return float(self.values[np.argmax(below > tail)]), float(self.values[::-1][np.argmax(above > tail)])

    @property
    def log_jacobian(self) -> NDArray[np.float64]:
        """Logarithm of J in each bin, shape (n_bins,). See `Coordinate.jacobian`."""
        return np.asarray(np.log(self.coordinate.jacobian(self.values)))


def fit_linear(
    samples: Samples,
    features: NDArray[np.float64],
    kt: float,
    *,
    fixed: NDArray[np.float64] | float = 0.0,
    roughness: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Coefficients c of the energy `fixed + features @ c` whose distribution is nearest to the samples, shape (n,).

    Args:
        samples: The data.
        features: Functions of the coordinate in each bin, shape (n_bins, n).
        kt: Thermal energy [kJ/mol].
        fixed: The part of the energy that is given [kJ/mol], shape (n_bins,).
        roughness: Combinations r of the coefficients that are small before any data, shape (n_rows, n): half the sum of
            the squares of r @ c is taken off the mean log-likelihood. None takes off nothing.

    Raises:
        InputError: If the maximum is not found, because the data are too few or too narrow for so many coefficients.
    """
    rough = np.zeros((0, features.shape[1])) if roughness is None else roughness
    return _maximize(samples, -features / kt, samples.log_jacobian - fixed / kt, rough)


def _maximize(
    samples: Samples, features: NDArray[np.float64], base: NDArray[np.float64], rough: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Coefficients c that maximize the likelihood of exp(base + features @ c), by damped Newton steps.

    Args:
        samples: The data.
        features: Shape (n_bins, n).
        base: The fixed part of the logarithm of the density, shape (n_bins,).
        rough: Shape (n_rows, n), see `fit_linear`.
    """
    centered = features - samples.shares @ features
    _, mix = np.linalg.qr(np.concatenate([np.sqrt(samples.shares)[:, None] * centered, rough]))
    if not np.abs(np.diag(mix)).min() > 1e-9 * np.abs(mix).max():
        raise InputError("has too few different values for so many parameters")
    white = np.linalg.solve(mix.T, centered.T).T  # uncorrelated in the data, which takes the stiffness out
    rough = np.linalg.solve(mix.T, rough.T).T
    coefficients = np.zeros(white.shape[1])
    likelihood, density = _likelihood(white, base, rough, coefficients)
    for _ in range(_MAX_STEPS):
        mean = density @ white  # that of the data is zero in each column
        gradient = -mean - rough.T @ (rough @ coefficients)
        hessian = (white * density[:, None]).T @ white - np.outer(mean, mean) + rough.T @ rough
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-14)[0]
        gain = float(gradient @ step)
        if gain < 1e-12:
            return np.linalg.solve(mix, coefficients)
        for length in 0.5 ** np.arange(30):
            trial, trial_density = _likelihood(white, base, rough, coefficients + length * step)
            if trial >= likelihood + 1e-4 * length * gain:
                break
        else:
            break
        coefficients, likelihood, density = coefficients + length * step, trial, trial_density
    if gain < 1e-7:  # rounding ends the search a little earlier where the features are nearly dependent
        return np.linalg.solve(mix, coefficients)
    raise InputError("has no most likely parameters: its samples are too few or too narrow for so many of them")


def _likelihood(
    white: NDArray[np.float64],
    base: NDArray[np.float64],
    rough: NDArray[np.float64],
    coefficients: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Mean log-likelihood less roughness up to a constant, and the normalized density, shape (n_bins,)."""
    logarithm = base + white @ coefficients
    highest = float(logarithm.max())
    density = np.exp(logarithm - highest)
    total = float(density.sum())
    return -(highest + math.log(total)) - float(((rough @ coefficients) ** 2).sum()) / 2, density / total


def excess_divergence(samples: Samples, energies: NDArray[np.float64], kt: float) -> float:
    """Jensen-Shannon divergence of an energy's distribution from samples beyond what chance would make it [bit].

    Samples of the distribution itself have a divergence of (n - 1) / (8 N ln 2), within a deviation of
    sqrt(2 (n - 1)) / (8 N ln 2), for N of them in n bins; that and three deviations are taken off.

    Args:
        samples: The data.
        energies: Energy in each of their bins [kJ/mol], shape (n_bins,).
        kt: Thermal energy [kJ/mol].
    """
    logarithm = samples.log_jacobian - energies / kt
    density = np.exp(logarithm - logarithm.max())
    n_bins = max((n for n in _N_COARSE if n <= samples.size / _SAMPLES_PER_BIN), default=_N_COARSE[0])
    data, model = (of.reshape(n_bins, -1).sum(axis=1) for of in (samples.shares, density / density.sum()))
    free = np.count_nonzero(data) - 1
    return max(0.0, divergence(data, model) - (free + 3 * math.sqrt(2 * free)) / (8 * math.log(2) * samples.size))


def divergence(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Jensen-Shannon divergence of two distributions over the same bins [bit]: 0 for equal, 1 for disjoint ones."""
    middle = (first + second) / 2
    parts = [p[p > 0] @ np.log2(p[p > 0] / middle[p > 0]) for p in (first, second)]
    return max(0.0, float(sum(parts)) / 2)
