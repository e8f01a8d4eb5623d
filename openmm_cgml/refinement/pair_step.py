"""One correction of pair coefficients from what a simulation has too much of.

The energy of a pair form is linear in coefficients, U = sum of c_i F_i, where F_i sums a feature over the pairs of a
frame. The relative entropy of the two ensembles is smallest where the mean of every F_i is that of the reference; its
Newton step is kT K^-1 (<F>_model - <F>_reference), K being the covariance of the F_i in the model's ensemble (Shell,
J. Chem. Phys. 129, 144108 (2008); Chaimovich and Shell, J. Chem. Phys. 134, 094112 (2011)). Pairs without correlations
have K = sum over the pairs of the products of their features, which makes iterative Boltzmann inversion in the
features (Reith, Puetz and Mueller-Plathe, J. Comput. Chem. 24, 1624 (2003)); short simulations know this better.
The pressure is linear in the coefficients at given pairs, so a constraint of the step holds it, and the wall below the
data is kept by others. Forces add what they say of the coefficients (`refinement.forces`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import PairPotential
from openmm_cgml.potentials.least_squares import minimize_quadratic
from openmm_cgml.priors import PriorTerm
from openmm_cgml.refinement.forces import ForceLikelihood
from openmm_cgml.refinement.pair_statistics import PairStatistics

_MOST = 0.5  # kT: the largest change of a pair's energy at once, times its own g(r) where that is below 1
_SMOOTHING = 1e-4  # of the mean curvature, for the squares of second differences
_HALVINGS = 10


@dataclass(frozen=True, eq=False)
class Part:
    """One term, where its coefficients stand among those of all terms, and its features by distance.

    Attributes:
        form: The form.
        term: The term.
        number: Of its pair of types in the statistics.
        place: Where its coefficients stand.
        features: In the middle of each bin, shape (n_bins, n).
        slopes: Their derivatives by the distance [1/nm], shape (n_bins, n).
        follows: Whether forces alone tell its coefficients, structure being adjusted by other terms; features and
            slopes are then zero, and the number is that of any pair of types.
    """

    form: type[PairPotential]
    term: PriorTerm
    number: int
    place: slice
    features: NDArray[np.float64]
    slopes: NDArray[np.float64]
    follows: bool = False

    @classmethod
    def of(cls, term: PriorTerm, number: int | None, begin: int, distances: NDArray[np.float64]) -> Part:
        """The part of a term.

        Args:
            term: A term of a pair form.
            number: Of its pair of types in the statistics; None where it is not among them, so that the term follows.
            begin: Where its coefficients begin.
            distances: Middles of the bins [nm], shape (n_bins,).
        """
        form = term.potential
        assert issubclass(form, PairPotential)  # the callers look
        place = slice(begin, begin + len(coefficients_of(term)))
        if number is None:
            nothing = np.zeros((len(distances), place.stop - place.start))
            return cls(form, term, 0, place, nothing, nothing, follows=True)
        within = (distances < term.parameters["cutoff"])[:, None]
        features, slopes = (of(term.parameters, distances) * within for of in (form.features, form.slopes))
        return cls(form, term, number, place, features, slopes)

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """The present ones [kJ/mol], shape (n,)."""
        return coefficients_of(self.term)

    def changed(self, step: NDArray[np.float64]) -> PriorTerm:
        """The term with a step of its coefficients, or the largest half, quarter, ... of it that the form allows."""
        for share in 0.5 ** np.arange(_HALVINGS):
            try:
                parameters = self.form.from_coefficients(self.coefficients + share * step, self.term.parameters)
            except InputError:
                continue
            return replace(self.term, parameters=parameters)
        return self.term


def coefficients_of(term: PriorTerm) -> NDArray[np.float64]:
    """The coefficients of a term of a pair form [kJ/mol], shape (n,)."""
    form = term.potential
    assert issubclass(form, PairPotential)  # the callers look
    return form.to_coefficients(term.parameters)


@dataclass(frozen=True, eq=False, kw_only=True)
class PairStep:
    """What a correction is made from.

    Attributes:
        parts: The terms that are corrected, those that structure adjusts first.
        simulated: Pairs of the simulation.
        reference: Pairs of the reference.
        kt: Thermal energy [kJ/mol].
        covariance_weight: See `PairRefinementConfig`.
        kept_apart: Types of pairs that something else keeps from each other, so that their walls need not be steep.
        forces: What the forces say of the coefficients; None for nothing.
        force_weight: What that counts.
        present: Coefficients of every term that the forces tell of [kJ/mol], by its types.
    """

    parts: Sequence[Part]
    simulated: PairStatistics
    reference: PairStatistics
    kt: float
    covariance_weight: float
    kept_apart: Set[tuple[str, ...]] = frozenset()
    forces: ForceLikelihood | None = None
    force_weight: float = 0.0
    present: Mapping[tuple[str, ...], NDArray[np.float64]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of coefficients."""
        return self.parts[-1].place.stop

    def excess(self) -> NDArray[np.float64]:
        """Mean sums of the features in the simulation above those of the reference, shape (n,)."""
        simulated, reference = (_sum_features(of, self.parts).mean(axis=0) for of in (self.simulated, self.reference))
        return np.asarray(simulated - reference)

    def virial_row(self) -> NDArray[np.float64]:
        """Sum of forces times arms by each coefficient, shape (n,)."""
        arms = self.simulated.arms.mean(axis=0, dtype=np.float64)
        return np.concatenate([self._virial(part, arms[part.number]) for part in self.parts])

    def _virial(self, part: Part, arms: NDArray[np.float64]) -> NDArray[np.float64]:
        if part.follows and self.forces is not None:
            return self.forces.virial[self.forces.places[part.term.types]]
        return np.asarray(-arms @ part.slopes)

    def solve(
        self, excess: NDArray[np.float64], *, share: float = 1.0, virial: float | None = None
    ) -> NDArray[np.float64]:
        """Change of all coefficients [kJ/mol], shape (n,).

        Args:
            excess: Mean sums of the features that are to go, shape (n,).
            share: Share of the correction that is made, also of that which the forces want.
            virial: What the change is to add to the sum of forces times arms [kJ/mol]; None leaves the pressure to
                itself.
        """
        matrix, vector = self._curvature(), share * excess
        if self.forces is not None:
            types = [part.term.types for part in self.parts]
            curvature, slope = self.forces.derivatives(self.present, types)
            matrix += self.kt * self.force_weight * curvature
            vector -= self.kt * self.force_weight * share * slope
        pressure = None if virial is None else (self.virial_row()[None], np.array([virial]))
        step = minimize_quadratic(matrix, vector, equal=pressure, at_most=self._walls(self.parts, np.zeros(self.n)))
        limited, much = self.limited(step)
        free = [part for part in self.parts if part.place.start not in much]
        if pressure is None or len(free) in (0, len(self.parts)):
            return limited
        # What rare pairs were to bring of the pressure, since they cost little relative entropy, the others have to.
        rows, lacking = pressure[0], pressure[1] - pressure[0] @ limited
        kept = np.concatenate([np.eye(self.n)[part.place] for part in self.parts if part.place.start in much])
        more = minimize_quadratic(
            matrix,
            np.zeros_like(vector),
            equal=(np.concatenate([rows, kept]), np.concatenate([lacking, np.zeros(len(kept))])),
            at_most=self._walls(free, limited),
        )
        return self.limited(limited + more)[0]

    def _curvature(self) -> NDArray[np.float64]:
        """KT times the second derivatives of the relative entropy, shape (n, n)."""
        sums = _sum_features(self.simulated, self.parts)
        # A single function of all distances is no set of local ones: only its covariance says how far to go.
        alone = all(len(part.coefficients) == 1 for part in self.parts if not part.follows)
        weight = 1.0 if alone else self.covariance_weight
        covariance = np.cov(sums.T).reshape(self.n, self.n)
        matrix = weight * covariance + (1 - weight) * self._uncorrelated()
        return np.asarray((matrix + self._roughness(matrix)) / self.kt)

    def _uncorrelated(self) -> NDArray[np.float64]:
        """Covariance of the sums if pairs knew nothing of each other, shape (n, n).

        It takes the pairs of the ensemble that has more of them at a distance, so that a step is at most kT where the
        other has none.
        """
        matrix = np.zeros((self.n, self.n))
        both = self.simulated, self.reference
        counts = np.maximum(*(each.counts.mean(axis=0, dtype=np.float64) for each in both))
        for part in self.parts:
            for other in self.parts:
                if other.number == part.number:
                    weighted = counts[part.number][:, None] * other.features
                    matrix[part.place, other.place] = part.features.T @ weighted
        return matrix

    def _roughness(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """What keeps neighboring coefficients from changing in opposite directions, and rare ones from changing."""
        result = np.zeros_like(matrix)
        for part in self.parts:
            n = part.place.stop - part.place.start
            own = float(np.trace(matrix[part.place, part.place])) / n
            bends = np.diff(np.eye(n), n=2, axis=0)
            result[part.place, part.place] = own * (_SMOOTHING * bends.T @ bends + 1e-8 * np.eye(n))
        return result

    def _walls(
        self, parts: Sequence[Part], step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and limits for what is added to a step that keep walls of some parts."""
        rows, limits = [np.zeros((0, len(step)))], [np.zeros(0)]
        for part in parts:
            own, limit = part.form.walls(part.term.parameters)
            if part.term.types in self.kept_apart:
                limit = np.maximum(limit, 0.0)
            padded = np.zeros((len(own), len(step)))
            padded[:, part.place] = own
            rows.append(padded)
            limits.append(np.maximum(limit - own @ (part.coefficients + step[part.place]), 0.0))
        return np.concatenate(rows), np.concatenate(limits)

    def limited(self, step: NDArray[np.float64]) -> tuple[NDArray[np.float64], set[int]]:
        """The step, smaller in parts that it would change too much at once, and where the places of these begin."""
        result, much = step.copy(), set()
        for part in self.parts:
            factor = self._factor(part, step[part.place])
            result[part.place] *= factor
            if factor < 1:
                much.add(part.place.start)
        return result, much

    def _factor(self, part: Part, step: NDArray[np.float64]) -> float:
        """What to multiply a step by that would change the energy of the pairs that are there too much at once."""
        counts, ideal = self.simulated.counts[:, part.number].mean(axis=0), self.simulated.ideal[part.number]
        change = np.abs(part.features @ step) * np.minimum(counts / ideal, 1.0)
        return min(1.0, _MOST * self.kt / max(float(change.max(initial=0.0)), 1e-300))


def _sum_features(statistics: PairStatistics, parts: Sequence[Part]) -> NDArray[np.float64]:
    """Sum of every feature over the pairs of each frame, shape (n_frames, n)."""
    return np.concatenate([statistics.counts[:, part.number] @ part.features for part in parts], axis=1)
