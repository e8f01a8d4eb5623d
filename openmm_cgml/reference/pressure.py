"""The pressure of atoms: that of single states, and that of a recording from its frames.

Coarse-grained simulations measure theirs by the same formula (`openmm_cgml.simulation.virial`), to be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.analysis.block_average import Average, compute_average
from openmm_cgml.analysis.result import Result
from openmm_cgml.dataset import open_recording
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.frames import Frames
from openmm_cgml.reference.config import ReferenceConfig
from openmm_cgml.reference.plan import make_plan
from openmm_cgml.reference.platforms import find_platform
from openmm_cgml.reference.recorded_atoms import has_frozen_atoms
from openmm_cgml.reference.system_molecules import find_molecules
from openmm_cgml.reference.virtual_sites import is_virtual_site
from openmm_cgml.shards import FrameStore
from openmm_cgml.simulation.virial import measure_virial_pressure
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.topology import AtomTopology

__all__ = ["MIN_PRESSURES", "AtomisticBarometer", "RecordedPressure", "measure_pressure"]

MIN_PRESSURES = 4
"""Fewest pressures that a mean with an error is made of."""
_STRAIN = 2e-4
"""Change of all lengths. A tenth of it is noisy in single precision, five times it wrong by 25 bar for long chains."""
_ENERGY_TOLERANCE = 5e-4
"""Largest difference between recorded and recomputed energy, relative to the sum of the parts without their signs."""


class AtomisticBarometer:
    """Measures the pressure of states of atoms in a Context of its own: a simulation goes on as if it had not been.

    The pressure is P = N k T / V - dU/dV of N molecules that are moved whole, see `openmm_cgml.simulation.virial`. T is
    the thermostat's: velocities would only add noise.

    Example:
        >>> barometer = AtomisticBarometer(system, 300.0, platform)     # doctest: +SKIP
        >>> barometer.measure(positions, box)                           # doctest: +SKIP

    Args:
        system: The simulated System; a barostat in it does not matter.
        temperature: Temperature of the thermostat [K].
        platform: OpenMM platform.
        properties: Platform properties.
        exclude_groups: Force groups that are no part of the physical model, such as restraints.

    Raises:
        InputError: The System is not periodic, or has atoms that do not move.
    """

    def __init__(
        self,
        system: openmm.System,
        temperature: float,
        platform: openmm.Platform,
        properties: dict[str, str] | None = None,
        *,
        exclude_groups: Sequence[int] = (),
    ) -> None:
        if not system.usesPeriodicBoundaryConditions():
            raise InputError("a pressure needs a periodic box, and the System has none; record without a barometer")
        if has_frozen_atoms(system):
            raise InputError("atoms of mass 0 do not move with the box, so there is no pressure; record without one")
        self._temperature = temperature
        self._groups = set(range(32)) - set(exclude_groups)
        self._atoms = np.flatnonzero(~is_virtual_site(system))
        self._molecules = _molecule_numbers(system)
        self._masses = np.array([system.getParticleMass(i)._value for i in range(system.getNumParticles())])
        self._narrowest = 2.0 * _largest_cutoff(system)
        self._context = openmm.Context(
            system, openmm.VerletIntegrator(0.001), platform, properties or {}
        )  # not stepped

    def measure(self, positions: NDArray[np.floating], box: NDArray[np.floating]) -> float:
        """Momentary pressure [bar].

        Args:
            positions: Positions of the atoms, molecules whole, virtual sites left out [nm], shape (n_atoms, 3).
            box: Box vectors in rows [nm], shape (3, 3).

        Raises:
            InputError: Another number of atoms.
            SimulationError: OpenMM cannot evaluate the state.
        """
        box = np.asarray(box, np.float64)
        try:
            return measure_virial_pressure(
                self._energy,
                self._of_all(positions),
                box,
                molecules=self._molecules,
                masses=self._masses,
                temperature=self._temperature,
                strain=_STRAIN,
                narrowest=self._narrowest,
            )
        except openmm.OpenMMException as error:
            raise SimulationError(f"the pressure cannot be measured: {error}") from error

    def energy(self, positions: NDArray[np.floating], box: NDArray[np.floating]) -> float:
        """Potential energy [kJ/mol] of a state as `measure` takes it.

        Raises:
            InputError: Another number of atoms.
        """
        return self._energy(self._of_all(positions), np.asarray(box, np.float64))

    def _of_all(self, positions: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions of all particles, those of virtual sites yet to be found."""
        if positions.shape != (len(self._atoms), 3):
            raise InputError(f"positions have shape {positions.shape}, the System has {len(self._atoms)} atoms")
        found = np.zeros((len(self._masses), 3))
        found[self._atoms] = positions
        return found

    def _energy(self, positions: NDArray[np.float64], box: NDArray[np.float64]) -> float:
        self._context.setPeriodicBoxVectors(*box)
        self._context.setPositions(positions)
        if len(self._atoms) < len(self._masses):
            self._context.computeVirtualSites()
        state = self._context.getState(energy=True, groups=self._groups)
        return float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))


@dataclass(frozen=True, eq=False, kw_only=True)
class RecordedPressure(Result):
    """Pressure of a recording.

    Attributes:
        frames: Numbers of the frames that were measured, shape (n,).
        pressures: Their momentary pressures [bar], shape (n,).
        average: Mean and standard error [bar], and the correlation time [ps].
    """

    frames: np.ndarray
    pressures: np.ndarray
    average: Average


def measure_pressure(
    recording: str | Path,
    specification: SystemSpecification,
    *,
    every: int = 1,
    system: openmm.System | None = None,
    exclude_groups: Sequence[int] = (),
    platform: str | None = None,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> RecordedPressure:
    """The pressure of a recording from its frames, for recordings that were made without.

    Nothing is written, and a recording that is still growing is measured as far as it is finished. Each frame takes
    three energies, one of which is compared with the recorded one.

    Example:
        >>> measure_pressure("runs/benzene", read_specification("benzene-1bead"), every=5).average    # doctest: +SKIP

    Args:
        recording: Folder of the recording or of its run.
        specification: The system that it was recorded with.
        every: Measure one frame of this many.
        system: System of the recorded atoms, virtual sites included; by default the one that the specification's
            `reference` section describes.
        exclude_groups: Force groups of the System that are no part of the physical model, left out when recording too.
        platform: OpenMM platform; None takes the fastest.
        threads: Threads of the CPU platform; None takes OpenMM's choice.
        progress: Called with the frames done and the frames in all.

    Raises:
        ArtifactError: There is no usable recording.
        InputError: Too few frames, no boxes, or other energies than the System has: another system or other settings.
        SimulationError: OpenMM cannot evaluate a frame.
    """
    store = open_recording(recording)
    numbers = np.arange(0, store.n_frames, _checked_every(every))
    if len(numbers) < MIN_PRESSURES:
        raise InputError(f"{len(numbers)} of {store.n_frames} frames; a mean pressure needs at least {MIN_PRESSURES}")
    if store.read(0, 1).box is None:
        raise InputError(f"{store.path} has no periodic box, so it has no pressure")
    barometer = AtomisticBarometer(
        system if system is not None else _recorded_system(store, specification),
        float(store.metadata["temperature"]),
        *find_platform(platform, threads),
        exclude_groups=exclude_groups,
    )
    pressures = []
    for number in numbers:
        frame = store.read(int(number), int(number) + 1)
        pressures.append(_measure(barometer, frame, f"frame {number} of {store.path}"))
        if progress is not None:
            progress(len(pressures), len(numbers))
    times, _ = store.read_scalars()
    interval = 1.0 if times is None else float(np.median(np.diff(times[numbers])))
    values = np.array(pressures)
    return RecordedPressure(frames=numbers, pressures=values, average=compute_average(values, interval=interval))


def _checked_every(every: int) -> int:
    if every < 1:
        raise InputError(f"every is {every}; measure one frame of 1, 2 or more")
    return every


def _recorded_system(store: FrameStore, specification: SystemSpecification) -> openmm.System:
    """The System that the specification describes, of as many molecules as were recorded."""
    atoms, box = AtomTopology.from_dict(store.metadata["atoms"]), store.read(0, 1).box
    assert box is not None
    n_molecules = len(np.unique(atoms.molecules))
    monomers = len(np.unique(atoms.residues)) // n_molecules if specification.chains else None
    reference = specification.reference
    step = 1.0 if reference is None else reference.time_step  # an interval that no plan can refuse; nothing is recorded
    plan = make_plan(specification, ReferenceConfig(molecules=n_molecules, monomers=monomers, frame_interval=step))
    system = plan.box.create_system(plan.settings, float(box[0, 0, 0]))
    if system.getNumParticles() != atoms.n_atoms:
        raise InputError(
            f"{store.path} holds {atoms.n_atoms} atoms, {n_molecules} molecules of {specification.name!r} have "
            f"{system.getNumParticles()}; give the system that it was recorded with"
        )
    return system


def _measure(barometer: AtomisticBarometer, frame: Frames, what: str) -> float:
    assert frame.box is not None
    positions, box = frame.positions[0], frame.box[0]
    parts = [float(values[0]) for name, values in frame.energies.items() if name != "kinetic"]
    found = barometer.energy(positions, box)
    if parts and not abs(found - sum(parts)) <= _ENERGY_TOLERANCE * max(1.0, float(np.abs(parts).sum())):
        raise InputError(
            f"{what} was recorded with a potential energy of {sum(parts):.2f} kJ/mol, the System has {found:.2f} "
            "there; give the system and the settings (force field, cutoff) that it was recorded with"
        )
    return barometer.measure(positions, box)


def _molecule_numbers(system: openmm.System) -> NDArray[np.int64]:
    numbers = np.zeros(system.getNumParticles(), dtype=np.int64)
    for number, molecule in enumerate(find_molecules(system)):
        numbers[molecule] = number
    return numbers


def _largest_cutoff(system: openmm.System) -> float:
    """Of the forces that act between periodic images [nm]."""
    found = [0.0]
    for force in system.getForces():
        if hasattr(force, "getCutoffDistance") and force.usesPeriodicBoundaryConditions():
            found.append(force.getCutoffDistance().value_in_unit(unit.nanometer))
    return max(found)
