"""A bonded prior corrected by what a simulation with it shows, so that the next one has the distribution of the data.

In a simulation the surroundings act on a bond, an angle or a torsion as well. Boltzmann inversion of the simulated
distribution gives the energy of the term and its surroundings together, that of the data the one that is wanted; their
difference, added to the term, is iterative Boltzmann inversion (Reith, Puetz and Mueller-Plathe, J. Comput. Chem. 24,
1624 (2003)) within the term's own form. It rests where the means of the form's functions are those of the data, which
is where the relative entropy of the two ensembles is smallest (Shell, J. Chem. Phys. 129, 144108 (2008)).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import Samples
from openmm_cgml.priors.term import PriorTerm

_DETERMINED = 0.5  # share of the samples in what is known of a combination
_MOST = 2.0  # kT: the largest change of a term over a standard deviation of the data


class TermFeatures:
    """The functions that a bonded term weighs, uncorrelated, with mean 0 and variance 1 in the reference.

    They are combinations of the features of its form, such as x and x^2 or cos(n x). Of a harmonic term the first
    follows the mean of the coordinate, the second its width. Of a spline they are the combinations that the samples of
    the reference determine better than its smoothness does, so that nothing is changed where there are no samples.

    Attributes:
        term: The term.
        n: Number of features; of a series of cosines up to its last harmonic that is not zero.
        largest: Square of the largest difference that noise makes of means, in squares of their standard errors: 1, and
            among the many local features of a spline 2 ln n.
    """

    def __init__(
        self, term: PriorTerm, reference: NDArray[np.float64], weights: NDArray[np.float64] | None = None
    ) -> None:
        """Features of a term.

        Args:
            term: The term, of a bonded form.
            reference: Samples of its coordinate in the data [nm or rad], any shape.
            weights: What its energy is multiplied by in each, see `BondedPotential.weights`; None for nothing.

        Raises:
            InputError: If the samples are too few or too much alike, or the term is of no bonded form.
        """
        self.term, self._form = term, term.bonded
        self._basis = self._form.basis_of(term.parameters, float(reference.mean()))
        plain = self._plain(reference, weights).reshape(-1, self._basis.n)
        self._mean = plain.mean(axis=0)
        centered, rough = plain - self._mean, self._form.roughness(self._basis)
        self._mix = _independent(centered) if rough is None else _determined(centered, rough)
        self.n = self._mix.shape[1]
        if not self.n:
            raise InputError(f"{term} has too few different values in the reference to be refined")
        self.largest = 1.0 if rough is None else max(1.0, 2 * math.log(self.n))
        self._project = (centered @ self._mix).T @ centered / len(centered)

    def __call__(self, values: NDArray[np.float64], weights: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """The features at values of the coordinate [nm or rad], with their weights, shape (*values.shape, n)."""
        plain = self._plain(values, weights) - self._mean
        return np.asarray(plain @ self._mix)

    def _plain(self, values: NDArray[np.float64], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        features = self._form.features(values, self._basis)
        return features if weights is None else features * weights[..., None]

    def invert(
        self, samples: NDArray[np.float64], kt: float, weights: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Coefficients of the features [kJ/mol] in the energy whose distribution is nearest to samples, shape (n,)."""
        histogram = Samples.of(self._form.coordinate, samples, weights)
        return np.asarray(self._project @ self._form.invert(histogram, kt, self._basis))

    def changed(self, change: NDArray[np.float64]) -> PriorTerm:
        """The term with a change of the coefficients [kJ/mol], shape (n,), or as much of it as the form allows."""
        parameters = self._form.changed(self.term.parameters, self._mix @ change, self._basis)
        return replace(self.term, parameters=parameters)


def _independent(centered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Combinations of all columns, in order, with variance 1 and no correlation, shape (n, n); none if that fails."""
    _, triangle = np.linalg.qr(centered / np.sqrt(len(centered)))
    if not np.abs(np.diag(triangle)).min() > 1e-9 * np.abs(triangle).max():
        return np.zeros((len(triangle), 0))
    return np.asarray(np.linalg.inv(triangle))


def _determined(centered: NDArray[np.float64], rough: NDArray[np.float64]) -> NDArray[np.float64]:
    """Combinations of columns with variance 1 and no correlation, the best determined by samples first, shape (n, m).

    Kept are those of which the samples say more than the rule that rough combinations are small.

    Args:
        centered: Features of the samples less their means, shape (n_samples, n).
        rough: See `BondedPotential.roughness`.
    """
    covariance = centered.T @ centered / len(centered)
    from scipy.linalg import eigh

    shares, directions = eigh(covariance, covariance + rough.T @ rough / len(centered))
    kept = np.flatnonzero(shares > _DETERMINED)[::-1]
    return np.asarray(directions[:, kept] / np.sqrt(shares[kept]))


def correct_term(
    features: TermFeatures,
    reference: NDArray[np.float64],
    simulated: NDArray[np.float64],
    kt: float,
    *,
    weights: tuple[NDArray[np.float64] | None, NDArray[np.float64] | None] = (None, None),
    error: NDArray[np.float64] | None = None,
    doubt: float | None = None,
    step_size: float = 1.0,
) -> PriorTerm:
    """The term with the inversion of the data added and that of the simulation taken away.

    One step is exact if the surroundings act as an energy of the term's own form would.

    Args:
        features: Features of the term that was simulated.
        reference: Samples of its coordinate in the data [nm or rad], any shape.
        simulated: Samples of its coordinate in the simulation, any shape.
        kt: Thermal energy [kJ/mol].
        weights: What the energy is multiplied by in the samples of the data and of the simulation, of their shapes.
        error: Standard errors of the differences of the mean features, shape (n,): a difference loses the share of its
            square that its error explains, so that noise is not followed. By default they are exact.
        doubt: Squares of its error that count as explained; by default `TermFeatures.largest`.
        step_size: Share of the correction that is made.
    """
    difference = features(simulated, weights[1]).reshape(-1, features.n).mean(axis=0)
    try:
        change = features.invert(reference, kt, weights[0]) - features.invert(simulated, kt, weights[1])
    except InputError:  # far from the data, or of few samples; its first order is always known
        change = kt * difference
    if error is not None:
        explained = (features.largest if doubt is None else doubt) * error**2
        change = change * np.maximum(0.0, 1 - explained / np.maximum(difference**2, 1e-300))
    change *= step_size * min(1.0, _MOST * kt / max(float(np.linalg.norm(change)), 1e-300))
    return features.changed(change)
