"""Pair priors adjusted until a simulation has the pairs and the pressure of the reference.

A round of simulation tells how the mean sums of all features differ from those of the reference, and `PairStep` what
to change. Where pair priors act between centers beside sites, those between the centers are adjusted: they have one
function for what the structure lacks, and the forces that the sites explain stay. With a weight of the forces in the
data (`refinement.forces`) less of what they explain is given up; some pairs may follow these forces alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import Centers, PairPotential, Sites, type_key
from openmm_cgml.potentials.points import BuiltPoints
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.refinement.config import PairRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.forces import ForceLikelihood
from openmm_cgml.refinement.pair_statistics import PairStatistics, compare_gr
from openmm_cgml.refinement.pair_step import PairStep, Part, coefficients_of
from openmm_cgml.refinement.target import Row, Target, with_refined_priors
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR

_R_MAX = 1.5  # nm, of g(r)
_LAST = 3  # rounds that a decision to stop looks at


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
        InputError: If the force field has no pair priors, or forces are to count that its priors alone do not make.
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
        self._points: BuiltPoints | None = priors.bind_centers(topology) or priors.bind_sites(topology)
        self._kt = BOLTZMANN * ensemble.temperature
        self._r_max = max(force_field.priors.cutoff, min(_R_MAX, 0.499 * ensemble.smallest_width))
        self._reference, self._judge = (self._statistics(frames) for frames in (ensemble.reference, ensemble.judge))
        self._beads = self._reference, self._judge
        if self._judges_beads:
            self._beads = self._of_beads(ensemble.reference), self._of_beads(ensemble.judge)
        self._forces: ForceLikelihood | None = None
        if config.force_weight:
            self._forces = ForceLikelihood.of(force_field, topology, ensemble.reference, ensemble.temperature)
        self._following = _parse_followers(config.followers, self._forces, self._reference.types)
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

    @property
    def _pair_terms(self) -> list[PriorTerm]:
        return [term for term in self.force_field.priors.terms if issubclass(term.potential, PairPotential)]

    def _numbered(self) -> list[tuple[PriorTerm, int]]:
        """The terms that structure adjusts, and the number of each one's pair of types in the statistics."""
        types = self._reference.types
        return [
            (term, types.index(key))
            for term in self._pair_terms
            if (key := tuple(sorted(term.types))) in types and term.types not in self._following
        ]

    def _parts(self, distances: NDArray[np.float64]) -> list[Part]:
        """The terms that structure adjusts, and behind them those that follow the forces."""
        following = [(term, None) for term in self._pair_terms if term.types in self._following]
        parts: list[Part] = []
        for term, number in (*self._numbered(), *following):
            parts.append(Part.of(term, number, parts[-1].place.stop if parts else 0, distances))
        return parts

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
                "term": str(term),
                **_compare((simulated, self._reference, self._judge), index),
                **common,
                "pressure": pressure,
                "pressure_error": error,
                "converged": self._is_at_floor(whole["gr_floor"]),
            }
            for term, index in self._numbered()
        ]

    def _is_at_floor(self, floor: float) -> bool:
        """Whether structure and pressure of the last rounds are what chance alone would make of the reference."""
        wanted, (pressure, error) = self._config.pressure, self._ensemble.pressure
        holds = wanted is None or abs(pressure - wanted) < max(2 * error, 20.0)
        return holds and len(self._last) == _LAST and float(np.mean(self._last)) <= floor

    def change(self, frames: Frames, number: int) -> None:
        """See `Target.change`."""
        step = self._prepare(self._statistics(frames))
        share = self._config.share(number)
        changes = step.solve(self._excess(step), share=share, virial=self._lacking(share))
        terms = {str(term): term for term in self.force_field.priors.terms}
        for part in step.parts:
            terms[str(part.term)] = part.changed(changes[part.place])
        priors = replace(self.force_field.priors, terms=tuple(terms.values()))
        self.force_field = replace(self.force_field, priors=priors)

    def _prepare(self, simulated: PairStatistics) -> PairStep:
        """All that the next change is made from."""
        return PairStep(
            parts=self._parts(simulated.distances),
            simulated=simulated,
            reference=self._reference,
            kt=self._kt,
            covariance_weight=self._config.covariance_weight,
            kept_apart=self._kept_apart,
            forces=self._forces,
            force_weight=self._config.force_weight,
            present={term.types: coefficients_of(term) for term in self._pair_terms},
        )

    @property
    def _kept_apart(self) -> frozenset[tuple[str, ...]]:
        """Types of pairs of centers, which the sites keep apart."""
        types = self._reference.types if isinstance(self._points, Centers) else ()
        return frozenset(type_key(each) for each in types)

    def _excess(self, step: PairStep) -> NDArray[np.float64]:
        """Mean sums of the features that are to go, shape (n,)."""
        return step.excess()

    def _lacking(self, share: float) -> float | None:
        """What to add to the sum of forces times arms [kJ/mol] for the pressure that is wanted, if there is one."""
        if self._config.pressure is None:
            return None
        lacking = self._config.pressure - self._ensemble.pressure[0]
        return float(3 * share * lacking * self._ensemble.volume / KJ_PER_MOL_NM3_IN_BAR)

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


def _parse_followers(
    names: Sequence[str], forces: ForceLikelihood | None, adjusted: Sequence[tuple[str, str]]
) -> set[tuple[str, ...]]:
    """Types of the pairs that follow the forces.

    Raises:
        InputError: If they are no pairs of types here, or structure would have none left to adjust.
    """
    found, known = {type_key(tuple(name.split("-"))) for name in names}, forces.places if forces else {}
    if unknown := sorted(found - set(known)):
        named = ", ".join("-".join(types) for types in known)
        raise InputError(f"followers: there are no pairs {'-'.join(unknown[0])}; there are {named}")
    if {type_key(types) for types in adjusted} <= found:
        raise InputError(f"followers: {', '.join(names)} leave no pairs for the structure to adjust; name fewer")
    return found
