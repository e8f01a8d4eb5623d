"""`refine_priors`: bonded priors corrected until a simulation has the bonds, angles and torsions of the reference.

Boltzmann inversion gives a bonded prior the whole of a distribution that its surroundings shape as well, and a network
that leaves out near pairs cannot take that share back. So rounds of simulation measure what comes out, and each type of
bond, angle and torsion is corrected by the difference of two inversions, see `priors.correction`. Local coordinates
relax in picoseconds, which makes the rounds short. The network is not touched.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pydantic
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis.compare import compute_js_divergence, compute_mean_error, compute_std_ratio
from openmm_cgml.analysis.distributions import Distribution, compute_distribution, find_standard_error
from openmm_cgml.config import Config, Friction, Time
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.engine.backends import FORCE_NAME
from openmm_cgml.errors import InputError, TrainingError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.interruption import Interruption
from openmm_cgml.potentials import Coordinate
from openmm_cgml.priors import PriorSet
from openmm_cgml.priors.correction import TermFeatures, correct_term
from openmm_cgml.storage import check_output, hold_output, refusing_damage, write_atomically
from openmm_cgml.topology import CGTopology
from openmm_cgml.training.plots import plot_distributions
from openmm_cgml.training.refinement import OUTPUT, check_identity
from openmm_cgml.training.refinement_state import read_state, write_state
from openmm_cgml.units import BOLTZMANN

_HISTORY, _PICTURE = "refinement.csv", "refinement.png"
_BIN_WIDTHS = {"bond": 0.001, "angle": np.pi / 180, "torsion": np.pi / 90}  # nm or rad
_WITHIN = 2.0  # standard errors
REFINED_PRIORS = (
    "Bonded priors refined in simulations after the fit, so the distributions of bonds, angles and torsions are not an "
    'independent test; errors of forces under "Training" are those before this step.'
)
"""What the description of a force field with refined priors says."""

Progress = Callable[[int, int, float], None]


class PriorRefineConfig(Config):
    """Settings of a refinement of priors.

    Attributes:
        rounds: Corrections at most. Each follows a simulation, and a last simulation measures what came out.
        duration: Simulated time whose frames a round uses [ps].
        equilibration: Simulated time before it, longer by `first_equilibration` in the first round [ps].
        first_equilibration: See there [ps]. The simulation starts from a frame of the reference and goes on from round
            to round; coordinates with barriers (torsions, angles of large beads) forget that frame slowly.
        frame_interval: Time between frames [ps].
        time_step: Integration step of the priors [ps]; by default what the stiffest prior allows.
        network_interval: Steps of the priors per evaluation of the network.
        friction: Friction of the Langevin thermostat [1/ps].
        step_size: Share of each correction that is made.
        tolerance: A type has converged when the mean of each of its features is that of the reference within so many
            standard deviations, or within two standard errors.
        reference_frames: Training frames of the reference that are used.
        seed: Seed of the choice of frames and of the thermostat.
        threads: CPU threads of torch.
    """

    rounds: int = pydantic.Field(default=8, ge=0)
    duration: Time = pydantic.Field(default=15.0, gt=0)
    equilibration: Time = pydantic.Field(default=3.0, ge=0)
    first_equilibration: Time = pydantic.Field(default=20.0, ge=0)
    frame_interval: Time = pydantic.Field(default=0.5, gt=0)
    time_step: Time | None = pydantic.Field(default=None, gt=0)
    network_interval: int = pydantic.Field(default=1, ge=1)
    friction: Friction = 1.0
    step_size: float = pydantic.Field(default=0.8, gt=0, le=1)
    tolerance: float = pydantic.Field(default=0.02, ge=0)
    reference_frames: int = pydantic.Field(default=300, ge=2)
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31 - 2**16)
    threads: int | None = pydantic.Field(default=None, ge=1)


@dataclass(frozen=True, kw_only=True)
class PriorRow:
    """One type of bond, angle or torsion in the simulation of one round, beside the reference.

    Attributes:
        round: Number of corrections before.
        term: Form and bead types.
        mean_error: Relative difference of the means; torsions count by their magnitude.
        std_ratio: Ratio of the standard deviations.
        js_divergence: Jensen-Shannon divergence of the distributions [bit].
        deviation: The largest difference of the mean of a feature [standard deviations of the reference].
        standard_error: Of that difference.
        converged: Whether all features are within the tolerance or two standard errors.
    """

    round: int
    term: str
    mean_error: float
    std_ratio: float
    js_divergence: float
    deviation: float
    standard_error: float
    converged: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorRefineResult:
    """What a refinement of priors left behind.

    Attributes:
        force_field: The force field with its new priors.
        path: Its folder.
        history: A row for each type and round; those of the last round describe `force_field`.
        converged: Whether every type has converged in the last round.
    """

    force_field: ForceField
    path: Path
    history: tuple[PriorRow, ...]
    converged: bool


def refine_priors(
    force_field: ForceField,
    dataset: ForceMatchingDataset,
    output: str | os.PathLike[str],
    config: PriorRefineConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> PriorRefineResult:
    """Correct the bonded priors until a simulation has the distributions of the reference, and write the force field.

    Writes `force_field/`, `refine.json` (the settings), `refinement.csv` and `refinement.png` (distributions before and
    after) into `output`.

    Args:
        force_field: A fitted force field; it is not changed.
        dataset: Mapped reference frames at constant volume; the frames of its training blocks are used.
        output: Folder to write into.
        config: Settings.
        resume: Go on after the last finished round.
        overwrite: Replace what is there.
        progress: Called after each round with its number, the number of rounds and the largest deviation.

    Raises:
        InputError: If there is nothing to refine, or the force field does not fit the dataset.
        OutputExistsError: If `output` holds something and neither flag is set.
        TrainingError: If a simulation became unstable.
    """
    config = config or PriorRefineConfig()
    place: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "inputs": [dataset.path]}
    check_output(output, OUTPUT, **place)
    refinement = _PriorRefinement(force_field, dataset, config)
    with hold_output(output, OUTPUT, **place) as output, Interruption() as interruption:
        identity = {"force_field": force_field.fingerprint, "dataset": dataset.fingerprint, "refined": "priors"}
        identity |= config.model_dump()
        check_identity(output / OUTPUT.marker, identity)
        refinement.restore(output)
        while not refinement.is_finished:
            interruption.raise_again()
            refinement.do_round()
            refinement.store(output)
            if progress is not None:
                last = refinement.last_rows
                progress(last[0].round, config.rounds, max(row.deviation for row in last))
        refined = _with_priors(force_field, refinement.priors, identity, refinement.last_rows)
        path = refined.save(output / "force_field", overwrite=True)
    converged = all(row.converged for row in refinement.last_rows)
    return PriorRefineResult(force_field=refined, path=path, history=tuple(refinement.history), converged=converged)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Reference:
    """One type of bond, angle or torsion in the reference."""

    coordinate: Coordinate
    members: NDArray[np.int64]
    values: NDArray[np.float64]
    distribution: Distribution


class _PriorRefinement:
    """The state of a refinement: priors, what they gave so far, and where the simulation stands."""

    def __init__(self, force_field: ForceField, dataset: ForceMatchingDataset, config: PriorRefineConfig) -> None:
        if dataset.kind != "instantaneous":
            raise InputError(
                f"{dataset.path} holds {dataset.kind} frames, which are no ensemble; give an ordinary dataset"
            )
        self._config, self._temperature = config, dataset.temperature
        self._force_field, self.priors = force_field, force_field.priors
        self._topology = force_field.bead_topology(dataset.topology)
        if config.threads:
            torch.set_num_threads(config.threads)
        chosen = np.random.default_rng(config.seed).permutation(dataset.split()["train"])[: config.reference_frames]
        frames = dataset.frames(np.sort(chosen))
        if frames.box is None or np.ptp(frames.box, axis=0).max() > 1e-6:
            raise InputError(f"{dataset.path}: the box changes or is missing; give a run at constant volume")
        self._box = frames.box[0].astype(np.float64)
        self._reference = _measure_reference(self.priors, self._topology, frames)
        if not self._reference:
            raise InputError(f"{force_field.name} has no bonded priors for {dataset.path}; there is nothing to refine")
        self._positions = frames.positions[0].astype(np.float64)
        self._velocities: NDArray[np.float64] | None = None
        self._first: dict[str, Distribution] = {}
        self._present: dict[str, Distribution] = {}
        self.history: list[PriorRow] = []

    @property
    def last_rows(self) -> list[PriorRow]:
        """The rows of the last round."""
        return [row for row in self.history if row.round == self.history[-1].round]

    @property
    def is_finished(self) -> bool:
        """Whether the last round was the last one wanted, or found every type converged."""
        if not self.history:
            return False
        return self.history[-1].round >= self._config.rounds or all(row.converged for row in self.last_rows)

    def do_round(self) -> None:
        """Simulate with the present priors, compare, and correct them unless that is the end."""
        number = self.history[-1].round + 1 if self.history else 0
        frames = self._simulate(number)
        terms = {str(term): term for term in self.priors.terms}
        corrected = dict(terms)
        for name, reference in self._reference.items():
            values = reference.coordinate.measure(frames.positions, frames.box, reference.members)
            features = TermFeatures(terms[name], reference.values)
            deviation, error = _compare(features, reference.values, values)
            self._present[name] = _distribution(reference.coordinate, values)
            self.history.append(self._row(number, name, deviation, error))
            kt = BOLTZMANN * self._temperature
            corrected[name] = correct_term(
                features, reference.values, values, kt, error=error, step_size=self._config.step_size
            )
        self._first = self._first or dict(self._present)
        if not self.is_finished:
            self.priors = replace(self.priors, terms=tuple(corrected.values()))

    def _row(self, number: int, name: str, deviation: NDArray[np.float64], error: NDArray[np.float64]) -> PriorRow:
        present, reference = self._present[name], self._reference[name].distribution
        worst = int(np.abs(deviation).argmax())
        return PriorRow(
            round=number,
            term=name,
            mean_error=compute_mean_error(present, reference),
            std_ratio=compute_std_ratio(present, reference),
            js_divergence=compute_js_divergence(present, reference),
            deviation=float(abs(deviation[worst])),
            standard_error=float(error[worst]),
            converged=bool(np.all(np.abs(deviation) <= np.maximum(self._config.tolerance, _WITHIN * error))),
        )

    def _simulate(self, number: int) -> Frames:
        config = self._config
        force_field = replace(self._force_field, priors=self.priors)
        system = force_field.create_system(self._topology, box=self._box)
        suggested = force_field.suggest_time_step(self._topology, temperature=self._temperature)
        assert suggested is not None  # there are bonded priors
        inner = config.time_step or suggested.time_step
        integrator, time_step = _create_integrator(system, config, self._temperature, inner, config.seed + number + 1)
        context = openmm.Context(system, integrator)
        context.setPositions(self._positions)
        if self._velocities is None:
            context.setVelocitiesToTemperature(self._temperature, config.seed + 1)
        else:
            context.setVelocities(self._velocities)
        wait = config.equilibration + (config.first_equilibration if number == 0 else 0.0)
        positions = []
        try:
            integrator.step(round(wait / time_step))
            for _ in range(max(2, round(config.duration / config.frame_interval))):
                integrator.step(max(1, round(config.frame_interval / time_step)))
                positions.append(context.getState(positions=True).getPositions(asNumpy=True)._value)
        except openmm.OpenMMException as error:
            raise TrainingError(f"round {number}: the simulation is unstable ({error}); lower time_step") from error
        state = context.getState(positions=True, velocities=True)
        self._positions = state.getPositions(asNumpy=True)._value
        self._velocities = state.getVelocities(asNumpy=True)._value
        if not np.isfinite(self._positions).all():
            raise TrainingError(f"round {number}: the simulation is unstable; lower time_step or step_size")
        return Frames(positions=np.array(positions), box=np.tile(self._box, (len(positions), 1, 1)))

    def store(self, output: Path) -> None:
        """Write everything a resumed refinement needs, the table and the picture."""
        assert self._velocities is not None
        tensors = {"positions": torch.tensor(self._positions), "velocities": torch.tensor(self._velocities)}
        rows = [asdict(row) for row in self.history]
        first = {name: distribution.to_dict() for name, distribution in self._first.items()}
        write_state(output, tensors, {"history": rows, "priors": self.priors.to_dict(), "first": first})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(output / _HISTORY, text.getvalue())
        panels = {
            name: {"reference": reference.distribution, "before": self._first[name], "after": self._present[name]}
            for name, reference in self._reference.items()
        }
        plot_distributions(panels, output / _PICTURE)

    def restore(self, output: Path) -> None:
        """Take up what `store` wrote, if anything."""
        found = read_state(output)
        if found is None:
            return
        tensors, content = found
        with refusing_damage(output):
            self._positions, self._velocities = tensors["positions"].numpy(), tensors["velocities"].numpy()
            self.history = [PriorRow(**row) for row in content["history"]]
            self.priors = PriorSet.from_dict(content["priors"])
            self._first = {name: Distribution.from_dict(values) for name, values in content["first"].items()}


def _measure_reference(priors: PriorSet, topology: CGTopology, frames: Frames) -> dict[str, _Reference]:
    """Every bonded term that occurs in the topology, by its name."""
    found = {}
    for members, term in priors.bonded_members(topology):
        coordinate = term.bonded.coordinate
        values = coordinate.measure(frames.positions, frames.box, members)
        distribution = _distribution(coordinate, values)
        found[str(term)] = _Reference(coordinate=coordinate, members=members, values=values, distribution=distribution)
    return found


def _distribution(coordinate: Coordinate, values: NDArray[np.float64]) -> Distribution:
    # Mirror images are the same to a model of distances.
    return compute_distribution(np.abs(values), bin_width=_BIN_WIDTHS[coordinate.kind])


def _compare(
    features: TermFeatures, reference: NDArray[np.float64], simulated: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean features of the simulation less those of the reference, and the standard errors, shape (n,) each."""
    both = [features(values) for values in (reference, simulated)]
    errors = [[find_standard_error(white[..., k]) or 0.0 for k in range(features.n)] for white in both]
    return both[1].mean(axis=(0, 1)) - both[0].mean(axis=(0, 1)), np.linalg.norm(errors, axis=0)


def _create_integrator(
    system: openmm.System, config: PriorRefineConfig, temperature: float, inner_step: float, seed: int
) -> tuple[openmm.Integrator, float]:
    """A Langevin integrator and its step [ps], which holds several of the priors if the network is evaluated less."""
    network = {force.getForceGroup() for force in system.getForces() if force.getName() == FORCE_NAME}
    others = {force.getForceGroup() for force in system.getForces()} - network
    if config.network_interval == 1 or not network:
        integrator = openmm.LangevinMiddleIntegrator(temperature, config.friction, inner_step)
        step = inner_step
    else:
        step = config.network_interval * inner_step
        groups = [(group, 1) for group in sorted(network)]
        groups += [(group, config.network_interval) for group in sorted(others)]
        integrator = openmm.MTSLangevinIntegrator(temperature, config.friction, step, groups)
    integrator.setRandomNumberSeed(seed)
    return integrator, step


def _with_priors(
    force_field: ForceField, priors: PriorSet, identity: dict[str, Any], rows: list[PriorRow]
) -> ForceField:
    manifest = force_field.manifest
    record = {**identity, "corrections": rows[0].round, "converged": all(row.converged for row in rows)}
    description = f"{manifest.description.rstrip('. ')}. {REFINED_PRIORS}".lstrip(". ")
    changed = manifest.model_copy(
        update={
            "validation": None,
            "provenance": {**manifest.provenance, "prior_refinement": record},
            "description": description,
        }
    )
    refined = replace(priors, provenance={**priors.provenance, "refinement": record})
    return replace(force_field, priors=refined, manifest=changed)
