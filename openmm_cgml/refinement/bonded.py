"""Bonded priors corrected until a simulation has the bonds, angles and torsions of the reference.

Boltzmann inversion gives a bonded prior the whole of a distribution that its surroundings shape as well, and a network
that leaves out near pairs cannot take that share back. So rounds of simulation measure what comes out, and each type of
bond, angle and torsion is corrected by the difference of two inversions, see `priors.correction`. Local coordinates
relax in picoseconds, which makes the rounds short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis.compare import compute_js_divergence, compute_mean_error, compute_std_ratio
from openmm_cgml.analysis.distributions import Distribution, compute_distribution, find_standard_error
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import Coordinate
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.priors.correction import TermFeatures, correct_term
from openmm_cgml.refinement.config import BondedRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.plots import plot_distributions
from openmm_cgml.refinement.target import Row, Target, with_refined_priors
from openmm_cgml.units import BOLTZMANN

_BIN_WIDTHS = {"nm": 0.001, "rad": np.pi / 180}
_WITHIN = 2.0  # standard errors


@dataclass(frozen=True, eq=False)
class _Measured:
    """Values of one type of bond, angle or torsion in frames, and what the energy is multiplied by, if by anything."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64] | None

    @classmethod
    def of(cls, term: PriorTerm, frames: Frames, members: NDArray[np.int64]) -> _Measured:
        form = term.bonded
        measured, box = frames.positions, frames.box
        return cls(form.coordinate.measure(measured, box, members), form.weights(measured, box, members))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Reference:
    """One type of bond, angle or torsion in the reference."""

    coordinate: Coordinate
    members: NDArray[np.int64]
    samples: _Measured
    distribution: Distribution


class BondedTarget(Target):
    """The bonded priors. Terms whose coefficients are zero, such as torsions around straight angles, stay so.

    Its rows are one for each type of bond, angle or torsion: relative difference of the means (torsions by their
    magnitude), ratio of standard deviations, Jensen-Shannon divergence [bit], the largest difference of the mean of a
    feature and its standard error [standard deviations of the reference], and whether it has converged.

    Args:
        force_field: A fitted force field; it is not changed.
        ensemble: The reference.
        config: Settings.

    Raises:
        InputError: If there is nothing to refine.
    """

    provenance_key: ClassVar[str] = "prior_refinement"
    description: ClassVar[str] = (
        "Bonded priors refined in simulations after the fit, so the distributions of bonds, angles and torsions are "
        'not an independent test; errors of forces under "Training" are those before this step.'
    )

    def __init__(self, force_field: ForceField, ensemble: Ensemble, config: BondedRefinementConfig) -> None:
        self.force_field, self._config = force_field, config
        self._kt = BOLTZMANN * ensemble.temperature
        self._reference: dict[str, _Reference] = {}
        for members, term in force_field.priors.bonded_members(ensemble.topology):
            if term.does_nothing:
                continue
            coordinate = term.bonded.coordinate
            samples = _Measured.of(term, ensemble.reference, members)
            distribution = _distribution(coordinate, samples.values)
            self._reference[str(term)] = _Reference(
                coordinate=coordinate, members=members, samples=samples, distribution=distribution
            )
        if not self._reference:
            raise InputError(f"{force_field.name} has no bonded priors for these beads; there is nothing to refine")
        self._first: dict[str, Distribution] = {}
        self._present: dict[str, Distribution] = {}

    def measure(self, frames: Frames, number: int) -> list[Row]:
        """See `Target.measure`."""
        rows = []
        for name, reference in self._reference.items():
            features = self._features(name)
            present = _Measured.of(features.term, frames, reference.members)
            self._present[name] = _distribution(reference.coordinate, present.values)
            deviation, error = _compare(features, reference.samples, present)
            rows.append(self._row(number, name, deviation, error))
        self._first = self._first or dict(self._present)
        return rows

    def _features(self, name: str) -> TermFeatures:
        terms = {str(term): term for term in self.force_field.priors.terms}
        samples = self._reference[name].samples
        return TermFeatures(terms[name], samples.values, samples.weights)

    def _row(self, number: int, name: str, deviation: NDArray[np.float64], error: NDArray[np.float64]) -> Row:
        present, reference = self._present[name], self._reference[name].distribution
        worst = int(np.abs(deviation).argmax())
        return {
            "round": number,
            "term": name,
            "mean_error": compute_mean_error(present, reference),
            "std_ratio": compute_std_ratio(present, reference),
            "js_divergence": compute_js_divergence(present, reference),
            "deviation": float(abs(deviation[worst])),
            "standard_error": float(error[worst]),
            "converged": bool(np.all(np.abs(deviation) <= np.maximum(self._config.tolerance, _WITHIN * error))),
        }

    def change(self, frames: Frames, number: int) -> None:
        """See `Target.change`."""
        corrected = {str(term): term for term in self.force_field.priors.terms}
        for name, reference in self._reference.items():
            features, samples = self._features(name), reference.samples
            present = _Measured.of(features.term, frames, reference.members)
            _, error = _compare(features, samples, present)
            corrected[name] = correct_term(
                features,
                samples.values,
                present.values,
                self._kt,
                weights=(samples.weights, present.weights),
                error=error,
                doubt=self._config.doubt,
                step_size=self._config.share(number),
            )
        priors = replace(self.force_field.priors, terms=tuple(corrected.values()))
        self.force_field = replace(self.force_field, priors=priors)

    def is_converged(self, rows: Sequence[Row]) -> bool:
        """See `Target.is_converged`."""
        return all(row["converged"] for row in rows)

    def progress_of(self, rows: Sequence[Row]) -> float:
        """The largest deviation [standard deviations of the reference]."""
        return max(float(row["deviation"]) for row in rows)

    def finished(self, record: Mapping[str, Any]) -> ForceField:
        """See `Target.finished`; the priors say so too."""
        return with_refined_priors(self.force_field, record)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `Target.state`."""
        kinds = {"first": self._first, "present": self._present}
        content = {kind: {name: d.to_dict() for name, d in values.items()} for kind, values in kinds.items()}
        return {}, {"priors": self.force_field.priors.to_dict(), **content}

    def restore(self, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
        """See `Target.restore`."""
        self.force_field = replace(self.force_field, priors=PriorSet.from_dict(content["priors"]))
        self._first, self._present = (
            {name: Distribution.from_dict(values) for name, values in content[kind].items()}
            for kind in ("first", "present")
        )

    def draw(self, path: Path) -> bool:
        """Distributions of the reference, before and after."""
        panels = {
            name: {"reference": reference.distribution, "before": self._first[name], "after": self._present[name]}
            for name, reference in self._reference.items()
        }
        plot_distributions(panels, path)
        return True


def _distribution(coordinate: Coordinate, values: NDArray[np.float64]) -> Distribution:
    # Mirror images are the same to a model of distances.
    width = _BIN_WIDTHS[coordinate.unit] * (2 if coordinate.limits[0] < 0 else 1)
    return compute_distribution(np.abs(values), bin_width=width)


def _compare(
    features: TermFeatures, reference: _Measured, simulated: _Measured
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean features of the simulation less those of the reference, and the standard errors, shape (n,) each."""
    both = [features(samples.values, samples.weights) for samples in (reference, simulated)]
    errors = [[find_standard_error(white[..., k]) or 0.0 for k in range(features.n)] for white in both]
    return both[1].mean(axis=(0, 1)) - both[0].mean(axis=(0, 1)), np.linalg.norm(errors, axis=0)
