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

_N_BINS = 7200  # 0.025 degrees of an angle
_MAX_STEPS = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class Samples:
    """Samples of one coordinate as a fine histogram.

    Attributes:
        kind: "bond", "angle" or "torsion".
        values: Bin centers [nm or rad], shape (n_bins,).
        shares: Share of the samples in each bin, shape (n_bins,); they sum to 1.
    """

    kind: str
    values: NDArray[np.float64]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, kind: str, samples: NDArray[np.float64]) -> Samples:
        """The histogram of samples, shape (n,), over all that the coordinate can be; twelve deviations for a bond."""
        mean, reach = float(samples.mean()), 12 * float(samples.std())
        ends = {
            "bond": (max(0.0, min(mean - reach, samples.min())), max(mean + reach, samples.max())),
            "angle": (0.0, math.pi),
            "torsion": (-math.pi, math.pi),
        }
        counts, edges = np.histogram(samples, bins=_N_BINS, range=ends[kind])
        return cls(kind=kind, values=(edges[1:] + edges[:-1]) / 2, shares=counts / counts.sum())

    @property
    def log_jacobian(self) -> NDArray[np.float64]:
        """Logarithm of J in each bin, shape (n_bins,). See `jacobian`."""
        return np.log(jacobian(self.kind, self.values))


def jacobian(kind: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density of a coordinate without energy, up to a factor, shape (n,).

    Args:
        kind: "bond", "angle" or "torsion".
        values: Where [nm or rad], shape (n,).
    """
    if kind == "torsion":
        return np.ones_like(values)
    return values**2 if kind == "bond" else np.sin(values)


def fit_harmonic(
    samples: Samples, kt: float, *, center: float | None = None, stiffness: float | None = None
) -> tuple[float, float]:
    """Center [nm or rad] and stiffness [kJ/mol/nm^2 or kJ/mol/rad^2] of 1/2 k (x - x0)^2.

    Args:
        samples: The data.
        kt: Thermal energy [kJ/mol].
        center: The center if it is given, to fit the stiffness alone.
        stiffness: The stiffness if it is given, to fit the center alone.

    Raises:
        InputError: If no valley describes the data, because without energy they would be less spread out.
    """
    mean = float(samples.shares @ samples.values)
    x = samples.values - mean  # about the mean, so that x and x^2 are not nearly the same
    half = 0.5 / kt
    if stiffness is not None:
        base = samples.log_jacobian - half * stiffness * x**2
        return mean - float(_maximize(samples, -x[:, None] / kt, base)[0]) / stiffness, stiffness
    if center is None:
        linear, curvature = _maximize(samples, -np.stack([x / kt, half * x**2], axis=1), samples.log_jacobian)
        if curvature > 0 and (samples.kind != "angle" or mean - linear / curvature <= math.pi):
            return mean - float(linear / curvature), float(curvature)
        center = math.pi if samples.kind == "angle" and mean > math.pi / 2 else mean
    (curvature,) = _maximize(samples, -half * (samples.values[:, None] - center) ** 2, samples.log_jacobian)
    if not curvature > 0:
        raise InputError("is spread out more than it would be without any energy, so that no harmonic term fits")
    return center, float(curvature)


def fit_cosines(samples: Samples, kt: float, n_harmonics: int) -> NDArray[np.float64]:
    """Coefficients k_n [kJ/mol] of sum k_n (1 + cos(n x)), shape (n_harmonics,).

    Args:
        samples: The data.
        kt: Thermal energy [kJ/mol].
        n_harmonics: Length of the series.

    Raises:
        InputError: If the maximum is not found, because the data are too few or too narrow for so many harmonics.
    """
    harmonics = np.cos(np.arange(1, n_harmonics + 1) * samples.values[:, None])
    return _maximize(samples, -harmonics / kt, samples.log_jacobian)


def _maximize(samples: Samples, features: NDArray[np.float64], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients c that maximize the likelihood of exp(base + features @ c), by damped Newton steps.

    Args:
        samples: The data.
        features: Shape (n_bins, n).
        base: The fixed part of the logarithm of the density, shape (n_bins,).
    """
    centered = features - samples.shares @ features
    _, mix = np.linalg.qr(np.sqrt(samples.shares)[:, None] * centered)
    if not np.abs(np.diag(mix)).min() > 1e-9 * np.abs(mix).max():
        raise InputError("has too few different values for so many parameters")
    white = np.linalg.solve(mix.T, centered.T).T  # uncorrelated in the data, which takes the stiffness out
    coefficients = np.zeros(white.shape[1])
    likelihood, density = _likelihood(white, base, coefficients)
    for _ in range(_MAX_STEPS):
        gradient = -density @ white  # the data's own mean of each column is zero
        hessian = (white * density[:, None]).T @ white - np.outer(gradient, gradient)
        step = np.linalg.lstsq(hessian, gradient, rcond=1e-14)[0]
        gain = float(gradient @ step)
        if gain < 1e-12:
            return np.linalg.solve(mix, coefficients)
        for length in 0.5 ** np.arange(30):
            trial, trial_density = _likelihood(white, base, coefficients + length * step)
            if trial >= likelihood + 1e-4 * length * gain:
                break
        else:
            break
        coefficients, likelihood, density = coefficients + length * step, trial, trial_density
    if gain < 1e-7:  # rounding ends the search a little earlier where the features are nearly dependent
        return np.linalg.solve(mix, coefficients)
    raise InputError("has no most likely parameters: its samples are too few or too narrow for so many of them")


def _likelihood(
    white: NDArray[np.float64], base: NDArray[np.float64], coefficients: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Mean log-likelihood up to a constant, and the normalized density, shape (n_bins,)."""
    logarithm = base + white @ coefficients
    highest = float(logarithm.max())
    density = np.exp(logarithm - highest)
    total = float(density.sum())
    return -(highest + math.log(total)), density / total
