"""A bonded prior corrected by what a simulation with it shows, so that the next one has the distribution of the data.

In a simulation the surroundings act on a bond, an angle or a torsion as well. Boltzmann inversion of the simulated
distribution gives the energy of the term and its surroundings together, that of the data the one that is wanted; their
difference, added to the term, is iterative Boltzmann inversion (Reith, Puetz and Mueller-Plathe, J. Comput. Chem. 24,
1624 (2003)) within the term's own form. It rests where the means of the form's functions are those of the data, which
is where the relative entropy of the two ensembles is smallest (Shell, J. Chem. Phys. 129, 144108 (2008)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.priors.inversion import Samples, fit_cosines, fit_harmonic
from openmm_cgml.priors.term import FORMS, PriorTerm, cosine_term

_MOST = 2.0  # kT: the largest change of a term over a standard deviation of the data
_SOFTEST = 0.5  # of a stiffness that one correction leaves at least


class TermFeatures:
    """The functions that a bonded term weighs, uncorrelated, with mean 0 and variance 1 in the reference.

    They are combinations of x and x^2 (harmonic terms) or of cos(n x). The first follows the mean of the coordinate,
    the second its width.

    Attributes:
        term: The term.
        kind: "bond", "angle" or "torsion".
    """

    def __init__(self, term: PriorTerm, reference: NDArray[np.float64]) -> None:
        """Features of a term.

        Args:
            term: The term; of a series of cosines the harmonics up to its last one that is not zero.
            reference: Samples of its coordinate in the data [nm or rad], any shape.

        Raises:
            InputError: If the samples are too few or too much alike.
        """
        self.term, self.kind = term, term.form.split("_")[1]
        self.n = 2 if term.form.startswith("harmonic") else last_harmonic(term)
        self._center = float(reference.mean())
        plain = self._plain(reference.ravel())
        self._mean = plain.mean(axis=0)
        _, self._mix = np.linalg.qr((plain - self._mean) / np.sqrt(len(plain)))
        if not np.abs(np.diag(self._mix)).min() > 1e-9 * np.abs(self._mix).max():
            raise InputError(f"{term} has too few different values in the reference to be refined")

    def __call__(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The features at values of the coordinate [nm or rad], shape (*values.shape, n)."""
        plain = self._plain(values) - self._mean
        return np.linalg.solve(self._mix.T, plain.reshape(-1, self.n).T).T.reshape(plain.shape)

    def _plain(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.term.form.startswith("harmonic"):
            x = values - self._center
            return np.stack([x, x**2 / 2], axis=-1)
        return np.cos(np.arange(1, self.n + 1) * values[..., None])

    def invert(self, samples: NDArray[np.float64], kt: float) -> NDArray[np.float64]:
        """Coefficients of the features [kJ/mol] in the energy whose distribution is nearest to samples, shape (n,)."""
        histogram = Samples.of(self.kind, samples.ravel())
        if self.term.form.startswith("cosine"):
            return self._mix @ fit_cosines(histogram, kt, self.n)
        return self._mix @ self._linear(*fit_harmonic(histogram, kt))

    def changed(self, change: NDArray[np.float64]) -> PriorTerm:
        """The term with a change of the coefficients [kJ/mol], shape (n,); a spring becomes half as stiff at most."""
        plain = np.linalg.solve(self._mix, change)
        term = self.term
        if term.form.startswith("cosine"):
            return cosine_term(term.form, term.types, (np.array(term.coefficients)[: self.n] + plain).tolist())
        names = tuple(FORMS[term.form].units)
        center, stiffness = (term.parameters[name] for name in names)
        plain = plain * min(1.0, (1 - _SOFTEST) * stiffness / max(-plain[1], 1e-300))
        slope, stiffness = self._linear(center, stiffness) + plain
        values = (self._center - slope / stiffness, stiffness)
        return PriorTerm(form=term.form, types=term.types, parameters=dict(zip(names, values, strict=True)))

    def _linear(self, center: float, stiffness: float) -> NDArray[np.float64]:
        """Coefficients of x and x^2/2, counted from the mean of the data, in 1/2 k (x - x0)^2."""
        return np.array([stiffness * (self._center - center), stiffness])


def correct_term(
    features: TermFeatures,
    reference: NDArray[np.float64],
    simulated: NDArray[np.float64],
    kt: float,
    *,
    error: NDArray[np.float64] | None = None,
    step_size: float = 1.0,
) -> PriorTerm:
    """The term with the inversion of the data added and that of the simulation taken away.

    One step is exact if the surroundings act as an energy of the term's own form would.

    Args:
        features: Features of the term that was simulated.
        reference: Samples of its coordinate in the data [nm or rad], any shape.
        simulated: Samples of its coordinate in the simulation, any shape.
        kt: Thermal energy [kJ/mol].
        error: Standard errors of the differences of the mean features, shape (n,): a difference loses the share of its
            square that its error explains, so that noise is not followed. By default they are exact.
        step_size: Share of the correction that is made.
    """
    difference = features(simulated).reshape(-1, features.n).mean(axis=0)
    try:
        change = features.invert(reference, kt) - features.invert(simulated, kt)
    except InputError:  # far from the data, or of few samples; its first order is always known
        change = kt * difference
    if error is not None:
        change = change * np.maximum(0.0, 1 - error**2 / np.maximum(difference**2, 1e-300))
    change *= step_size * min(1.0, _MOST * kt / max(float(np.linalg.norm(change)), 1e-300))
    return features.changed(change)


def last_harmonic(term: PriorTerm) -> int:
    """The highest harmonic of a series of cosines with a coefficient that is not zero, at least 1."""
    return int(np.flatnonzero(term.coefficients).max(initial=0)) + 1
