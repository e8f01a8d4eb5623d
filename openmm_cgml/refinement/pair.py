"""Pair priors adjusted until a simulation has the pairs and the pressure of the reference.

The energy of a pair form is linear in coefficients, U = sum of c_i F_i, where F_i sums a feature over the pairs of a
frame. The relative entropy of the two ensembles is smallest where the mean of every F_i is that of the reference; its
Newton step is kT K^-1 (<F>_model - <F>_reference), K being the covariance of the F_i in the model's ensemble (Shell,
J. Chem. Phys. 129, 144108 (2008); Chaimovich and Shell, J. Chem. Phys. 134, 094112 (2011)). Pairs without correlations
have K = sum over the pairs of the products of their features, which makes iterative Boltzmann inversion in the
features (Reith, Puetz and Mueller-Plathe, J. Comput. Chem. 24, 1624 (2003)); short simulations know this better.
The pressure is linear in the coefficients at given pairs, so a constraint of the step holds it, and the wall below the
data is kept by others.

Where pair priors act between centers beside sites, those between the centers are adjusted: they have one function for
what the structure lacks, and the forces that the sites explain stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import Centers, PairPotential, Sites
from openmm_cgml.potentials.least_squares import minimize_quadratic
from openmm_cgml.potentials.points import BuiltPoints
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.refinement.config import PairRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.pair_statistics import PairStatistics, compare_gr
from openmm_cgml.refinement.target import Row, Target, with_refined_priors
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR

_R_MAX = 1.5  # nm, of g(r)
_MOST = 0.5  # kT: the largest change of a pair's energy at once, times its own g(r) where that is below 1
_SMOOTHING = 1e-4  # of the mean curvature, for the squares of second differences
_SETTLING = 2 / 3  # of the rounds, after which steps become smaller
_LAST = 3  # rounds that a decision to stop looks at
_HALVINGS = 10


@dataclass(frozen=True, eq=False)
class _Part:
    """One term, where its coefficients stand among those of all terms, and its features by distance."""

    form: type[PairPotential]
    term: PriorTerm
    number: int
    place: slice
    features: NDArray[np.float64]
    slopes: NDArray[np.float64]


class PairTarget(Target):
    """The pair priors.

    Its rows are one for each pair of bead types (of site types, where the priors act between sites) of each form: the
    root mean square difference of g(r) between molecules from that of the half of the reference that is the target,
    that from the other half, which judges, and that of the two halves from each other, which no model can be expected
    to beat; the same three for all beads alike ("all_");
    pressure and its standard error [bar].

    Args:
        force_field: A fitted force field; it is not changed.
        ensemble: The reference.
        config: Settings.

    Raises:
        InputError: If the force field has no pair priors.
    """

    provenance_key: ClassVar[str] = "pair_refinement"
    description: ClassVar[str] = (
        "Pair priors refined in simulations after the fit towards one half of the reference; the structure of the "
        'other half is an independent test. Errors of forces under "Training" are those before this step.'
    )

    def __init__(self, force_field: ForceField, ensemble: Ensemble, config: PairRefinementConfig) -> None:
        self.force_field, self._config, self._ensemble = force_field, config, ensemble
        if not force_field.priors.cutoff:
            raise InputError(f"{force_field.name} has no pair priors; there is nothing to refine")
        priors, topology = force_field.priors, ensemble.topology
        centers = priors.bind_centers(topology)
        self._points: BuiltPoints | None = centers
        if centers is None and priors.sites:
            self._points = Sites.of(topology, priors.sites, priors.exclude_bonds)
        self._kt = BOLTZMANN * ensemble.temperature
        self._r_max = max(force_field.priors.cutoff, min(_R_MAX, 0.499 * ensemble.smallest_width))
        self._reference, self._judge = (self._statistics(frames) for frames in (ensemble.reference, ensemble.judge))
        self._beads = self._reference, self._judge
        if self._judges_beads:
            self._beads = self._of_beads(ensemble.reference), self._of_beads(ensemble.judge)
        self._last: list[float] = []

    def _statistics(self, frames: Frames) -> PairStatistics:
        """Pairs of what the pair priors act between."""
        r_max = self.force_field.priors.cutoff if self._judges_beads else self._r_max
        alike = self.force_field.priors.alike
        return PairStatistics.of(self._ensemble.topology, frames, r_max, self._points, alike=alike)

    @property
    def _judges_beads(self) -> bool:
        """Whether the structure that judges is that of the beads, rather than of what the priors act between."""
        return isinstance(self._points, Sites)

    def _of_beads(self, frames: Frames) -> PairStatistics:
        """Pairs of beads, whose structure is what judges, whatever the priors act between."""
        return PairStatistics.of(self._ensemble.topology, frames, self._r_max)

    def _parts(self, distances: NDArray[np.float64]) -> Iterator[_Part]:
        """The terms of pair forms whose bead types (or site types) occur."""
        begin = 0
        for term in self.force_field.priors.terms:
            form, types = term.potential, tuple(sorted(term.types))
            if issubclass(form, PairPotential) and types in self._reference.types:
                place = slice(begin, begin + len(form.to_coefficients(term.parameters)))
                within = (distances < term.parameters["cutoff"])[:, None]
                features, slopes = (of(term.parameters, distances) * within for of in (form.features, form.slopes))
                yield _Part(form, term, self._reference.types.index(types), place, features, slopes)
                begin = place.stop

    def measure(self, frames: Frames, number: int) -> list[Row]:
        """See `Target.measure`."""
        simulated = self._statistics(frames)
        pressure, error = self._ensemble.pressure
        of_beads = self._of_beads(frames) if self._judges_beads else simulated
        whole = _compare((of_beads, *self._beads), None)
        self._last = [*self._last, whole["gr_rmse"]][-_LAST:]
        common = {f"all_{name}": value for name, value in whole.items()}
        return [
            {
                "round": number,
                "term": str(part.term),
                **_compare((simulated, self._reference, self._judge), part.number),
                **common,
                "pressure": pressure,
                "pressure_error": error,
                "converged": self._is_at_floor(whole["gr_floor"]),
            }
            for part in self._parts(simulated.distances)
        ]

    def _is_at_floor(self, floor: float) -> bool:
        """Whether structure and pressure of the last rounds are what chance alone would make of the reference."""
        wanted, (pressure, error) = self._config.pressure, self._ensemble.pressure
        holds = wanted is None or abs(pressure - wanted) < max(2 * error, 20.0)
        return holds and len(self._last) == _LAST and float(np.mean(self._last)) <= floor

    def change(self, frames: Frames, number: int) -> None:
        """See `Target.change`."""
        simulated = self._statistics(frames)
        parts = list(self._parts(simulated.distances))
        step = self._step(simulated, parts, self._share(number))
        terms = {str(term): term for term in self.force_field.priors.terms}
        for part in parts:
            terms[str(part.term)] = _changed(part, step[part.place])
        priors = replace(self.force_field.priors, terms=tuple(terms.values()))
        self.force_field = replace(self.force_field, priors=priors)

    def _share(self, number: int) -> float:
        """Share of a correction that is made: all of it at first, then less and less, which averages."""
        late = number - int(_SETTLING * self._config.rounds)
        return self._config.step_size / max(1, late + 1)

    def _step(self, simulated: PairStatistics, parts: Sequence[_Part], share: float) -> NDArray[np.float64]:
        """Change of all coefficients [kJ/mol], shape (n,)."""
        sums = _sum_features(simulated, parts)
        # A single function of all distances is no set of local ones: only its covariance says how far to go.
        weight = 1.0 if sums.shape[1] == len(parts) else self._config.covariance_weight
        covariance = np.cov(sums.T).reshape(sums.shape[1], -1)
        matrix = weight * covariance + (1 - weight) * _uncorrelated(simulated, self._reference, parts)
        matrix = (matrix + _roughness(parts, matrix)) / self._kt
        vector = share * self._excess(sums.mean(axis=0), parts)
        pressure = self._pressure_row(simulated, parts, share)
        at_most = self._walls(parts, np.zeros_like(vector))
        step = minimize_quadratic(matrix, vector, equal=pressure, at_most=at_most)
        limited, much = self._limited(parts, step, simulated)
        free = [part for part in parts if part.place.start not in much]
        if pressure is None or len(free) in (0, len(parts)):
            return limited
        # What rare pairs were to bring of the pressure, since they cost little relative entropy, the others have to.
        rows, lacking = pressure[0], pressure[1] - pressure[0] @ limited
        kept = np.concatenate([np.eye(len(vector))[part.place] for part in parts if part.place.start in much])
        more = minimize_quadratic(
            matrix,
            np.zeros_like(vector),
            equal=(np.concatenate([rows, kept]), np.concatenate([lacking, np.zeros(len(kept))])),
            at_most=self._walls(free, limited),
        )
        return self._limited(parts, limited + more, simulated)[0]

    def _limited(
        self, parts: Sequence[_Part], step: NDArray[np.float64], simulated: PairStatistics
    ) -> tuple[NDArray[np.float64], set[int]]:
        """The step, smaller in parts that it would change too much at once, and where the places of these begin."""
        result, much = step.copy(), set()
        for part in parts:
            factor = self._factor(part, step[part.place], simulated)
            result[part.place] *= factor
            if factor < 1:
                much.add(part.place.start)
        return result, much

    def _excess(self, simulated: NDArray[np.float64], parts: Sequence[_Part]) -> NDArray[np.float64]:
        """Mean sums of the features in the simulation above those of the reference, shape (n,)."""
        return np.asarray(simulated - _sum_features(self._reference, parts).mean(axis=0))

    def _pressure_row(
        self, simulated: PairStatistics, parts: Sequence[_Part], share: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """What a change of coefficients does to the sum of forces times arms, and what it should do [kJ/mol]."""
        if self._config.pressure is None:
            return None
        arms = simulated.arms.mean(axis=0, dtype=np.float64)
        row = np.concatenate([-arms[part.number] @ part.slopes for part in parts])
        lacking = self._config.pressure - self._ensemble.pressure[0]
        return row[None], np.array([3 * share * lacking * self._ensemble.volume / KJ_PER_MOL_NM3_IN_BAR])

    def _walls(
        self, parts: Sequence[_Part], step: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and limits for what is added to a step that keep walls of some parts."""
        rows, limits = [np.zeros((0, len(step)))], [np.zeros(0)]
        for part in parts:
            own, limit = part.form.walls(part.term.parameters)
            if isinstance(self._points, Centers):
                limit = np.maximum(limit, 0.0)  # sites keep them apart
            padded = np.zeros((len(own), len(step)))
            padded[:, part.place] = own
            rows.append(padded)
            present = part.form.to_coefficients(part.term.parameters) + step[part.place]
            limits.append(np.maximum(limit - own @ present, 0.0))
        return np.concatenate(rows), np.concatenate(limits)

    def _factor(self, part: _Part, step: NDArray[np.float64], simulated: PairStatistics) -> float:
        """What to multiply a step by that would change the energy of the pairs that are there too much at once."""
        counts, ideal = simulated.counts[:, part.number].mean(axis=0), simulated.ideal[part.number]
        change = np.abs(part.features @ step) * np.minimum(counts / ideal, 1.0)
        return min(1.0, _MOST * self._kt / max(float(change.max(initial=0.0)), 1e-300))

    def is_converged(self, rows: Sequence[Row]) -> bool:
        """See `Target.is_converged`."""
        return all(row["converged"] for row in rows)

    def progress_of(self, rows: Sequence[Row]) -> float:
        """The root mean square difference of g(r) from that of the half of the reference that judges."""
        return max(float(row["all_gr_judged"]) for row in rows)

    def finished(self, record: Mapping[str, Any]) -> ForceField:
        """See `Target.finished`; the priors say so too."""
        return with_refined_priors(self.force_field, record)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `Target.state`."""
        return {}, {"priors": self.force_field.priors.to_dict(), "last": self._last}

    def restore(self, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
        """See `Target.restore`."""
        self.force_field = replace(self.force_field, priors=PriorSet.from_dict(content["priors"]))
        self._last = [float(value) for value in content.get("last", [])]


def _compare(statistics: tuple[PairStatistics, PairStatistics, PairStatistics], number: int | None) -> dict[str, float]:
    """Differences between the g(r) of a simulation, its target and what judges, of a pair of types or of all."""
    here, target, judge = (each.gr(number) for each in statistics)
    pairs = {"gr_rmse": (here, target), "gr_judged": (here, judge), "gr_floor": (target, judge)}
    return {name: compare_gr(*both) for name, both in pairs.items()}


def _sum_features(statistics: PairStatistics, parts: Sequence[_Part]) -> NDArray[np.float64]:
    """Sum of every feature over the pairs of each frame, shape (n_frames, n)."""
    return np.concatenate([statistics.counts[:, part.number] @ part.features for part in parts], axis=1)


def _uncorrelated(simulated: PairStatistics, reference: PairStatistics, parts: Sequence[_Part]) -> NDArray[np.float64]:
    """Covariance of the sums if pairs knew nothing of each other, shape (n, n).

    It takes the pairs of the ensemble that has more of them at a distance, so that a step is at most kT where the other
    has none.
    """
    n = parts[-1].place.stop
    matrix = np.zeros((n, n))
    counts = np.maximum(*(each.counts.mean(axis=0, dtype=np.float64) for each in (simulated, reference)))
    for part in parts:
        for other in parts:
            if other.number == part.number:
                weighted = counts[part.number][:, None] * other.features
                matrix[part.place, other.place] = part.features.T @ weighted
    return matrix


def _roughness(parts: Sequence[_Part], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """What keeps neighboring coefficients from changing in opposite directions, and rare ones from changing at all."""
    result = np.zeros_like(matrix)
    for part in parts:
        own = float(np.trace(matrix[part.place, part.place])) / (part.place.stop - part.place.start)
        bends = np.diff(np.eye(part.place.stop - part.place.start), n=2, axis=0)
        result[part.place, part.place] = own * (_SMOOTHING * bends.T @ bends + 1e-8 * np.eye(bends.shape[1]))
    return result


def _changed(part: _Part, step: NDArray[np.float64]) -> PriorTerm:
    """The term with a step of its coefficients, or the largest half, quarter, ... of it that the form allows."""
    before = part.form.to_coefficients(part.term.parameters)
    for share in 0.5 ** np.arange(_HALVINGS):
        try:
            parameters = part.form.from_coefficients(before + share * step, part.term.parameters)
        except InputError:
            continue
        return replace(part.term, parameters=parameters)
    return part.term
