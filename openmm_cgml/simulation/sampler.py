"""The sampler: a System that is stepped and asked for its state. The only loop of molecular dynamics of beads."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import openmm
from openmm import unit

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.potentials.coordinate import invert_masses
from openmm_cgml.runs.checkpoint import Checkpoint
from openmm_cgml.runs.snapshot import Snapshot
from openmm_cgml.simulation.barostat import find_barostats
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.integrator import create_integrator
from openmm_cgml.simulation.preparation import Start, prepare_start
from openmm_cgml.simulation.probe import Barometer, Probe
from openmm_cgml.simulation.replicas import ReplicaMonitors, split_snapshot
from openmm_cgml.simulation.stability import StabilityMonitor, UnstableSimulationError
from openmm_cgml.simulation.start import check_contacts, check_forces
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN, DALTON_PER_NM3_IN_G_PER_CM3

_MINIMIZATION_STEPS = 200
_SECONDS_PER_CHUNK = 0.5
_CONSTRAINT_TOLERANCE = 1e-6
"""Relative, of the lengths of constraints."""
_EVALUATIONS_PER_PRESSURE = 40
"""Evaluations of all forces per measured pressure at least: two energies make at most a twentieth of the cost."""
_TOO_NARROW = "less than twice"
"""What OpenMM and the network's neighbor search say of a box that is narrower than two cutoffs."""


class Sampler:
    """Molecular dynamics of beads, a step or a frame at a time.

    Example:
        >>> sampler = Sampler.create(system, topology, positions, box, config)  # doctest: +SKIP
        >>> sampler.step(1000)  # doctest: +SKIP
        >>> for snapshot in sampler.frames(20):  # doctest: +SKIP
        ...     print(snapshot.time, snapshot.potential_energy, snapshot.density)

    Args:
        start: What to simulate.
        seed: Seed of the thermostat; that of the configuration if not given.

    Attributes:
        start: What is simulated.
        context: OpenMM's Context, for what is not offered here.

    Raises:
        InputError: If OpenMM cannot simulate the System.
    """

    def __init__(self, start: Start, *, seed: int | None = None) -> None:
        self.start = start
        self._step = 0
        self._chunk = start.config.network_interval
        self._integrator = create_integrator(start.system, start.config, start.config.seed if seed is None else seed)
        self.context = _create_context(start, self._integrator)
        self._probe: Probe | None = None
        self._monitors = _create_monitors(start)

    @classmethod
    def create(
        cls,
        system: openmm.System,
        topology: CGTopology,
        positions: np.ndarray,
        box: object,
        config: SimulationConfig,
        **options: Any,
    ) -> Sampler:
        """A sampler of any System of beads, relaxed and checked, ready for its first step.

        Args:
            system: The System, of all replicas.
            topology: The beads of one replica.
            positions: Starting positions [nm], shape (n_beads, 3) or (replicas, n_beads, 3).
            box: Box vectors [nm], shape (3, 3), or edge lengths, shape (3,), or None.
            config: Settings.
            **options: As `prepare_start`: velocities, contacts, cutoffs, system_of_one.

        Raises:
            InputError: If the inputs do not fit each other, or the starting structure cannot be simulated.
        """
        sampler = cls(prepare_start(system, topology, positions, box, config, **options))
        sampler.begin()
        return sampler

    # --- what it is ------------------------------------------------------------------------------------------------

    @property
    def config(self) -> SimulationConfig:
        """The settings."""
        return self.start.config

    @property
    def step_count(self) -> int:
        """Steps done."""
        return self._step

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks worth a reader's time."""
        return self.start.notes

    @property
    def monitors(self) -> tuple[StabilityMonitor, ...]:
        """What has been seen of the stability of each replica."""
        return self._monitors.each

    def note(self, text: str) -> None:
        """Add a remark, which is logged."""
        self.start = self.start.noted(text)

    # --- beginning -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Relax the start if asked for, check it, and set velocities.

        Raises:
            InputError: If the structure cannot be simulated.
            SimulationError: If it cannot be evaluated.
        """
        start, config = self.start, self.config
        relaxed, forces = self._relax()
        self._check_start(relaxed, forces)
        if start.velocities is not None:
            self.context.setVelocities(start.velocities.reshape(-1, 3))
            return
        self.context.setVelocitiesToTemperature(config.temperature, config.seed + 1)
        if config.ensemble == "NVE" and not start.is_frozen.any():
            self._remove_drift()

    def set_state(
        self,
        positions: np.ndarray,
        *,
        velocities: np.ndarray | None = None,
        box: np.ndarray | None = None,
        seed: int | None = None,
    ) -> None:
        """Go on from another state, without relaxing or checking it.

        Args:
            positions: Bead positions [nm], shape (n_beads, 3), or (replicas, n_beads, 3).
            velocities: Bead velocities [nm/ps] of that shape; None draws them.
            box: Box vectors [nm], shape (3, 3); None leaves the box.
            seed: Seed of velocities that are drawn; by default another one at every step.
        """
        if box is not None:
            self.context.setPeriodicBoxVectors(*np.asarray(box, dtype=np.float64))
        self.context.setPositions(self._of_all(positions))
        if velocities is not None:
            self.context.setVelocities(self._of_all(velocities))
            return
        self.context.applyConstraints(_CONSTRAINT_TOLERANCE)  # of positions that were rounded: velocities follow them
        seed = self.config.seed + 1 + self._step if seed is None else seed
        self.context.setVelocitiesToTemperature(self.config.temperature, seed)

    def _of_all(self, values: np.ndarray) -> np.ndarray:
        shape = (self.config.replicas, self.start.topology.n_beads, 3)
        return np.broadcast_to(np.asarray(values, dtype=np.float64), shape).reshape(-1, 3)

    def _relax(self) -> tuple[np.ndarray, np.ndarray]:
        """Starting positions [nm], minimized if asked for, and the forces there [kJ/mol/nm], of each replica."""
        start, positions = self.start, self.start.positions
        try:
            if self.config.minimize and self.config.replicas > 1:
                positions = self.probe.relax(positions, start.box, _MINIMIZATION_STEPS)
            self.context.setPositions(positions.reshape(-1, 3))
            if self.config.minimize and self.config.replicas == 1:
                openmm.LocalEnergyMinimizer.minimize(self.context, maxIterations=_MINIMIZATION_STEPS)
            state = self.context.getState(positions=True, forces=True)
        except openmm.OpenMMException as error:
            raise SimulationError(f"the starting structure cannot be evaluated: {error}") from error
        forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        relaxed = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        return self._by_replica(relaxed), self._by_replica(forces)

    def _check_start(self, positions: np.ndarray, forces: np.ndarray) -> None:
        """Check the starting structure of each replica; positions [nm] and forces are (replicas, n_beads, 3)."""
        start, config = self.start, self.config
        if config.replicas > 1:
            total = self.context.getState(energy=True).getPotentialEnergy()
            self.probe.check_sum(positions, start.box, total.value_in_unit(unit.kilojoule_per_mole))
        found: list[str] = []
        for number, (where, force) in enumerate(zip(positions, forces, strict=True)):
            if number and np.array_equal(where, positions[0]):
                continue
            check_forces(where, force, start.box, start.masses, config.temperature, config.time_step)
            if start.contacts is not None and (note := check_contacts(start.contacts, where, start.box)):
                found.append(note)
        if found:
            self.note(found[0] if len(found) == 1 else f"{found[0]}; {len(found) - 1} more replicas start likewise")

    def _remove_drift(self) -> None:
        """Stop the center of mass of each replica."""
        velocities = self._by_replica(self.context.getState(velocities=True).getVelocities(asNumpy=True)._value)
        masses = self.start.masses[None, :, None]
        drift = (masses * velocities).sum(axis=1, keepdims=True) / masses.sum(axis=1, keepdims=True)
        self.context.setVelocities((velocities - drift * (masses > 0)).reshape(-1, 3))

    # --- stepping --------------------------------------------------------------------------------------------------

    def step(self, n: int, *, stop: Callable[[], bool] = lambda: False) -> None:
        """Do `n` steps, or fewer if `stop` says so, which is asked about twice a second.

        Args:
            n: Steps of the priors, a multiple of `config.network_interval`.
            stop: Whether to stop.

        Raises:
            InputError: If `n` is no such multiple.
            UnstableSimulationError: If a position or a force is not finite, or the box has become too narrow.
            SimulationError: If OpenMM stops for another reason.
        """
        interval = self.config.network_interval
        if n < 0 or n % interval:
            raise InputError(f"{n} steps; a multiple of network_interval ({interval}) is needed")
        end = self._step + n
        while self._step < end:
            began, length = time.perf_counter(), min(self._chunk, end - self._step)
            self._advance(length)
            seconds = max(time.perf_counter() - began, 1e-6)
            fitting = min(2 * self._chunk, int(length * _SECONDS_PER_CHUNK / seconds))
            self._chunk = max(1, fitting // interval) * interval
            if stop():
                return

    def frames(
        self, n_frames: int | None = None, *, measure_pressure: bool = False, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Snapshot]:
        """The state after every `config.frame_interval`, each checked for stability.

        Args:
            n_frames: How many; by default those that are left of `config.duration`.
            measure_pressure: Measure the pressure in a periodic box, which takes two evaluations of the energy. Frames
                that are fewer than 40 evaluations of the forces apart are passed over so that it costs 5 % at most.
            stop: Whether to stop, asked about twice a second; the last state may then lie between two frames.

        Raises:
            UnstableSimulationError: If a state shows that the simulation is unstable.
            SimulationError: If OpenMM stops for another reason.
        """
        every = self.config.steps_per_frame
        end = self.config.n_steps if n_frames is None else (self._step // every + n_frames) * every
        while self._step < end:
            self.step(every - self._step % every, stop=stop)
            if self._step % every:
                return
            snapshot = self.take_snapshot()
            self.check(snapshot)
            yield self._with_pressure(snapshot) if measure_pressure else snapshot
            if stop():
                return

    def _advance(self, n: int) -> None:
        with self._errors_named():
            self._integrator.step(n // self.config.network_interval)
        self._step += n

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Turn OpenMM's errors into ours, with the step."""
        try:
            yield
        except openmm.OpenMMException as error:
            step, text = self._steps_of_context(), str(error)
            if any(word in text.lower() for word in ("nan", "finite")):
                raise UnstableSimulationError(step, text) from error
            if _TOO_NARROW in text:
                raise self._too_narrow(step, text) from error
            raise SimulationError(f"OpenMM stopped after {step} steps: {text}") from error

    def _steps_of_context(self) -> int:
        """Steps of the priors that the Context has done; it counts those of the network."""
        return int(self.context.getStepCount()) * self.config.network_interval

    # --- states ----------------------------------------------------------------------------------------------------

    def take_snapshot(self) -> Snapshot:
        """The present state, with that of each replica; pressure is not measured."""
        start = self.start
        with self._errors_named():
            state = self.context.getState(positions=True, velocities=True, energy=True)
        kinetic = state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)
        box = None if start.box is None else state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
        degrees = max(1, start.degrees_of_freedom * self.config.replicas)
        snapshot = Snapshot(
            step=self._step,
            time=self._step * self.config.time_step,
            positions=state.getPositions(asNumpy=True).value_in_unit(unit.nanometer),
            velocities=state.getVelocities(asNumpy=True).value_in_unit(unit.nanometer / unit.picosecond),
            box=box,
            potential_energy=state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole),
            kinetic_energy=kinetic,
            temperature=2 * kinetic / (BOLTZMANN * degrees),
            density=None if box is None else density_of(start.topology, box),
        )
        return snapshot if self.config.replicas == 1 else replace(snapshot, replicas=self._split(snapshot))

    def _split(self, snapshot: Snapshot) -> tuple[Snapshot, ...]:
        """The states of the replicas."""
        start, replicas = self.start, self.config.replicas
        velocities, masses = snapshot.velocities, np.tile(start.masses, replicas)
        if isinstance(self._integrator, openmm.VerletIntegrator):  # it keeps velocities of half a step ago
            forces = self.context.getState(forces=True).getForces(asNumpy=True)
            pull = forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
            velocities = velocities + 0.5 * self.config.time_step * pull * invert_masses(masses)[:, None]
        energies = self.probe.energies(self._by_replica(snapshot.positions), snapshot.box)
        return tuple(split_snapshot(snapshot, energies, velocities, masses, start.degrees_of_freedom))

    def check(self, snapshot: Snapshot) -> None:
        """Raise if a state shows that the simulation is unstable.

        Raises:
            UnstableSimulationError: Naming the step and what was seen.
        """
        if snapshot.box is not None and np.diag(snapshot.box).min() < self.start.narrowest_box:
            name = max(self.start.cutoffs, key=lambda name: self.start.cutoffs[name])
            width, cutoff = float(np.diag(snapshot.box).min()), self.start.cutoffs[name]
            text = f"it is {width:.4g} nm wide, {_TOO_NARROW} the cutoff of the {name} of {cutoff:g} nm"
            raise self._too_narrow(snapshot.step, text)
        self._monitors.check(snapshot.each)

    def _too_narrow(self, step: int, text: str) -> UnstableSimulationError:
        hint = "Take more molecules, or another pressure: the box that these make is too small for the cutoffs"
        return UnstableSimulationError(step, f"the box has become too narrow: {text.rstrip('.')}", hint)

    def measure_pressure(self, snapshot: Snapshot) -> Snapshot:
        """A state with its momentary pressure [bar], that of each replica where there are several.

        It takes two evaluations of the energy of each replica, in a Context of its own, so that the simulation goes on
        as if it had not been measured. Without a box and with beads that do not move there is none.
        """
        if snapshot.box is None or self.start.is_frozen.any():
            return snapshot
        meter = Barometer(probe=self.probe, topology=self.start.topology, narrowest=self.start.narrowest_box)
        with self._errors_named():
            measured = tuple(replace(each, pressure=meter.measure(each)) for each in snapshot.each)
        if not snapshot.replicas:
            return measured[0]
        known = [each.pressure for each in measured if each.pressure is not None]
        return replace(snapshot, replicas=measured, pressure=sum(known) / len(known))

    def _with_pressure(self, snapshot: Snapshot) -> Snapshot:
        """A frame with its pressure if it is one of those in which it is measured."""
        every, interval = self.config.steps_per_frame, self.config.network_interval
        apart = math.ceil(_EVALUATIONS_PER_PRESSURE * interval / every) * every
        return self.measure_pressure(snapshot) if snapshot.step % apart == 0 else snapshot

    @property
    def probe(self) -> Probe:
        """A Context of one replica, in which states are evaluated without touching the simulation."""
        if self._probe is None:
            self._probe = Probe(self.start.system_of_one, self.start.platform)
        return self._probe

    def _by_replica(self, values: np.ndarray) -> np.ndarray:
        """Values of all beads as those of each replica, shape (replicas, n_beads, ...)."""
        return values.reshape(self.config.replicas, self.start.topology.n_beads, *values.shape[1:])

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def create_checkpoint(self, snapshot: Snapshot, context: bytes | None = None) -> Checkpoint:
        """A point from which the simulation goes on.

        Args:
            snapshot: The present state.
            context: OpenMM's own checkpoint, if it was taken before; by default it is taken now.
        """
        meta = {
            "engine": self.engine,
            "time": snapshot.time,
            "seed": self.config.seed,
            "system_fingerprint": self.start.fingerprint,
            "topology_fingerprint": self.start.topology.fingerprint,
            "temperature_history": self._monitors.history,
        }
        return Checkpoint(
            step=snapshot.step,
            positions=snapshot.positions,
            velocities=snapshot.velocities,
            box=snapshot.box,
            context=context or self.context.createCheckpoint(),
            meta=meta,
        )

    def load_checkpoint(self, checkpoint: Checkpoint) -> str:
        """Go on from a checkpoint; returns "bit-identical" or "continuous"."""
        self._step = checkpoint.step
        self._monitors.restore(checkpoint.meta["temperature_history"])
        if checkpoint.meta["engine"] == self.engine:
            try:
                self.context.loadCheckpoint(checkpoint.context)
            except openmm.OpenMMException as error:
                self.note(f"OpenMM refused its own checkpoint ({error}); continuing from positions and velocities")
            else:
                if self._agrees_with(checkpoint):
                    # A barostat's random numbers are in no checkpoint.
                    exact = self.start.platform.name == "Reference" and not find_barostats(self.start.system)
                    return "bit-identical" if exact else "continuous"
                self.note("OpenMM's checkpoint does not hold the recorded positions; continuing from the recorded ones")
        else:
            before = checkpoint.meta["engine"]
            self.note(f"continuing on {self.engine}, before on {before}: continuous, not bit-identical")
        self.set_state(
            self._by_replica(checkpoint.positions),
            velocities=self._by_replica(checkpoint.velocities),
            box=checkpoint.box,
        )
        self.context.setStepCount(checkpoint.step // self.config.network_interval)
        self.context.setTime(checkpoint.step * self.config.time_step)
        return "continuous"

    def _agrees_with(self, checkpoint: Checkpoint) -> bool:
        state = self.context.getState(positions=True)
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
        box = state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer)
        return (
            self._steps_of_context() == checkpoint.step
            and np.allclose(positions, checkpoint.positions, atol=1e-5)
            and (checkpoint.box is None or np.allclose(box, checkpoint.box, atol=1e-5))
        )

    @property
    def engine(self) -> str:
        """What decides whether OpenMM's own checkpoints can be read: version, platform, properties, ML backend."""
        platform = self.start.platform
        properties = " ".join(f"{key}={value}" for key, value in sorted(platform.properties.items()))
        backend = self.start.record.get("ml_backend", "")
        return " ".join(f"OpenMM {openmm.version.version} {platform.name} {properties} {backend}".split())


def density_of(topology: CGTopology, box: np.ndarray) -> float:
    """Density of beads in a box [g/cm^3]."""
    return float(topology.masses.sum() / np.linalg.det(box)) * DALTON_PER_NM3_IN_G_PER_CM3


def _create_context(start: Start, integrator: openmm.Integrator) -> openmm.Context:
    config, platform = start.config, start.platform
    if config.threads is not None and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(config.threads)
    try:
        context = openmm.Context(start.system, integrator, platform.platform, platform.properties)
    except openmm.OpenMMException as error:
        raise InputError(f"OpenMM cannot simulate this System on the {platform.name} platform: {error}") from error
    if start.box is not None:
        context.setPeriodicBoxVectors(*start.box)
    return context


def _create_monitors(start: Start) -> ReplicaMonitors:
    config = start.config
    # Time that the thermostat needs to take up what the starting structure gives off.
    relaxation = 5 / config.friction if config.ensemble == "NVT" and config.friction > 0 else float("inf")
    monitors = [
        StabilityMonitor(config.temperature, start.degrees_of_freedom, start.bonds, start.contacts, relaxation)
        for _ in range(config.replicas)
    ]
    return ReplicaMonitors(monitors, [f"replica {number}" for number in range(1, config.replicas + 1)])
