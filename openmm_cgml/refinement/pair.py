"""Pair priors adjusted by relative entropy until a simulation has the pairs of the reference.

The energy of a pair form is linear in coefficients, U = sum of c_i F_i, where F_i sums a feature over the pairs of a
frame. The relative entropy of the two ensembles is smallest where the mean of every F_i is that of the reference; its
Newton step is kT C^-1 (<F>_model - <F>_reference), C being the covariance of the F_i in the model's ensemble (Shell,
J. Chem. Phys. 129, 144108 (2008); Chaimovich and Shell, J. Chem. Phys. 134, 094112 (2011)).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.analysis.compare import compare_rdf
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs, pair_distances
from openmm_cgml.potentials import PairPotential
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.refinement.config import PairRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.target import Row, Target, with_refined_priors
from openmm_cgml.units import BOLTZMANN

_WITHIN = 2.0  # standard errors
_RIDGE = 1e-3  # of the variances, added to them: features that few frames tell apart change little
_MOST = 1.0  # kT per bead: the largest change of the mean energy of a frame in one round
_HALVINGS = 10


@dataclass(frozen=True, eq=False)
class _Part:
    """One term, and where its coefficients stand among those of all terms."""

    form: type[PairPotential]
    term: PriorTerm
    place: slice


class PairTarget(Target):
    """The pair priors.

    Its rows are one for each pair of bead types of each form: the largest relative difference of the mean of a feature
    and its standard error, whether it has converged, and the root mean square difference of g(r) of centers of mass.

    Args:
        force_field: A fitted force field; it is not changed.
        ensemble: The reference.
        config: Settings.

    Raises:
        InputError: If the force field has no pair priors.
    """

    provenance_key: ClassVar[str] = "pair_refinement"
    description: ClassVar[str] = (
        "Pair priors refined in simulations after the fit, so the structure is not an independent test; errors of "
        'forces under "Training" are those before this step.'
    )

    def __init__(self, force_field: ForceField, ensemble: Ensemble, config: PairRefinementConfig) -> None:
        self.force_field, self._config, self._ensemble = force_field, config, ensemble
        if not force_field.priors.cutoff:
            raise InputError(f"{force_field.name} has no pair priors; there is nothing to refine")
        self._kt = BOLTZMANN * ensemble.temperature
        self._exclusions = force_field.priors.excluded_pairs(ensemble.topology)
        self._reference_g = ensemble.compute_gr(ensemble.reference)
        self._reference = self._sums(ensemble.reference)

    def _parts(self) -> Iterator[_Part]:
        """The terms of pair forms whose bead types occur."""
        present = {self._ensemble.topology.type_names[t] for t in np.unique(self._ensemble.topology.bead_types)}
        begin = 0
        for term in self.force_field.priors.terms:
            form = term.potential
            if issubclass(form, PairPotential) and set(term.types) <= present:
                n = len(form.to_coefficients(term.parameters))
                yield _Part(form, term, slice(begin, begin + n))
                begin += n

    def _sums(self, frames: Frames) -> NDArray[np.float64]:
        """Sum of every feature over the pairs of each frame, shape (n_frames, n)."""
        parts = list(self._parts())
        topology, cutoff = self._ensemble.topology, self.force_field.priors.cutoff
        names = list(topology.type_names)
        sums = np.zeros((len(frames), parts[-1].place.stop))
        for index, positions in enumerate(np.asarray(frames.positions, np.float64)):
            pairs = find_pairs(positions, self._ensemble.box, cutoff, exclusions=self._exclusions)
            distances = pair_distances(positions, self._ensemble.box, *pairs)
            types = np.sort(topology.bead_types[pairs], axis=0)
            for part in parts:
                first, second = sorted(names.index(name) for name in part.term.types)
                chosen = distances[(types[0] == first) & (types[1] == second)]
                sums[index, part.place] = part.form.features(part.term.parameters, chosen).sum(axis=0)
        return sums

    def measure(self, frames: Frames, number: int) -> list[Row]:
        """See `Target.measure`."""
        sums = self._sums(frames)
        deviation, error = _compare(self._reference, sums)
        rmse = compare_rdf(self._ensemble.compute_gr(frames), self._reference_g)
        rows: list[Row] = []
        for part in self._parts():
            own, own_error = np.abs(deviation[part.place]), error[part.place]
            worst = int(own.argmax())
            rows.append(
                {
                    "round": number,
                    "term": str(part.term),
                    "deviation": float(own[worst]),
                    "standard_error": float(own_error[worst]),
                    "converged": bool(np.all(own <= np.maximum(self._config.tolerance, _WITHIN * own_error))),
                    "gr_com_rmse": rmse,
                }
            )
        return rows

    def change(self, frames: Frames, number: int) -> None:
        """See `Target.change`."""
        step = self._config.step_size * newton_step(self._reference, self._sums(frames), self._kt, self._most())
        terms = {str(term): term for term in self.force_field.priors.terms}
        for part in self._parts():
            terms[str(part.term)] = _changed(part, step[part.place])
        priors = replace(self.force_field.priors, terms=tuple(terms.values()))
        self.force_field = replace(self.force_field, priors=priors)

    def _most(self) -> float:
        return _MOST * self._kt * self._ensemble.topology.n_beads

    def is_converged(self, rows: Sequence[Row]) -> bool:
        """See `Target.is_converged`."""
        return all(row["converged"] for row in rows)

    def progress_of(self, rows: Sequence[Row]) -> float:
        """The largest relative deviation of a feature."""
        return max(float(row["deviation"]) for row in rows)

    def finished(self, record: Mapping[str, Any]) -> ForceField:
        """See `Target.finished`; the priors say so too."""
        return with_refined_priors(self.force_field, record)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `Target.state`."""
        return {}, {"priors": self.force_field.priors.to_dict()}

    def restore(self, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
        """See `Target.restore`."""
        self.force_field = replace(self.force_field, priors=PriorSet.from_dict(content["priors"]))


def newton_step(
    reference: NDArray[np.float64], simulated: NDArray[np.float64], kt: float, most: float
) -> NDArray[np.float64]:
    """Change of the coefficients along which the relative entropy falls fastest, shape (n,).

    Args:
        reference: Sums of the features in frames of the reference, shape (n_frames, n).
        simulated: Those of frames of the simulation.
        kt: Thermal energy [kJ/mol].
        most: The largest change of the mean energy of a frame [kJ/mol].
    """
    scale = np.maximum(simulated.std(axis=0), 1e-300)
    white = (simulated - simulated.mean(axis=0)) / scale
    covariance = white.T @ white / len(white) + _RIDGE * np.eye(len(scale))
    difference = (simulated.mean(axis=0) - reference.mean(axis=0)) / scale
    step = kt * np.linalg.solve(covariance, difference) / scale
    change = abs(float(step @ simulated.mean(axis=0)))
    return np.asarray(step * min(1.0, most / max(change, 1e-300)))


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


def _compare(
    reference: NDArray[np.float64], simulated: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative difference of the mean sums and its standard error, shape (n,) each."""
    scale = np.maximum(np.abs(reference.mean(axis=0)), 1e-300)
    errors = [
        [compute_average(sums[:, k]).standard_error for k in range(sums.shape[1])] for sums in (reference, simulated)
    ]
    return (simulated.mean(axis=0) - reference.mean(axis=0)) / scale, np.linalg.norm(errors, axis=0) / scale
