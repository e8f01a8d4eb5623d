"""ForceRecorder: an OpenMM reporter that records what force matching needs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.dataset.recording import RECORDING_KIND
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.frames import PER_PARTICLE, Frames
from openmm_cgml.reference.force_components import read_components
from openmm_cgml.reference.interaction_split import has_interaction_split, intramolecular_pairs
from openmm_cgml.reference.recorded_atoms import count_degrees_of_freedom, has_frozen_atoms, recorded_atoms
from openmm_cgml.reference.recording_checks import (
    check_components,
    check_continues,
    check_extent,
    check_integrated,
    check_pressures,
    check_temperature,
)
from openmm_cgml.reference.virtual_sites import is_virtual_site

if TYPE_CHECKING:
    from openmm_cgml.reference.isolated_molecules import IsolatedMolecules
    from openmm_cgml.reference.pressure import AtomisticBarometer
    from openmm_cgml.shards import FrameWriter

__all__ = ["ForceRecorder", "read_frame", "recording_metadata"]

_STEPS_PER_PRESSURE = 70
"""Steps between measured pressures at least: each costs as much as two, so they make 3 % of the cost at most."""


class ForceRecorder:
    """Reporter for any `openmm.app.Simulation` that appends frames to a `FrameWriter`.

    Records, as float32, positions with whole molecules, total forces, the box and the time. If the System was prepared
    by `split_interactions`, also the intermolecular part of the forces and the energies "inter", "bonded",
    "intra_nonbonded"; always the energy "kinetic", but of Brownian dynamics. Constraint forces are not part of OpenMM's
    forces: they cancel in a bead that holds both atoms of every constraint. Virtual sites are left out: their forces
    act on the atoms that place them. Forces that do not belong to the physical model (restraints, biases) are left out
    when their force groups are named in `exclude_groups`; what other groups from 3 on hold counts, as the energy
    "other" of a split System. With a barometer frames carry their pressure, but where they are fewer than 70 steps
    apart, only every second or third does, so that it costs 3 % at most.

    Example:
        >>> metadata = recording_metadata(topology, system, temperature=300.0, source={})    # doctest: +SKIP
        >>> with FrameWriter("recording", metadata=metadata) as writer:                      # doctest: +SKIP
        ...     simulation.reporters.append(ForceRecorder(writer, 50))
        ...     simulation.step(100_000)
    """

    def __init__(
        self,
        writer: FrameWriter,
        report_interval: int,
        *,
        require_split: bool = True,
        exclude_groups: Sequence[int] = (),
        isolated: IsolatedMolecules | None = None,
        barometer: AtomisticBarometer | None = None,
    ) -> None:
        """Create a recorder.

        Args:
            writer: Open writer; the caller closes it.
            report_interval: Steps between frames.
            require_split: Refuse a System whose intermolecular forces cannot be told apart. With False such a System
                is recorded with its total forces, potential and kinetic energy only.
            exclude_groups: Force groups that are not part of the physical model.
            isolated: For chains, whose interactions are told apart by taking those of each chain alone off: group 0
                must hold the bonded forces and group 1 all non-bonded ones.
            barometer: Measures the pressure.

        Raises:
            InputError: `report_interval` is not positive.
        """
        if report_interval < 1:
            raise InputError(f"the report interval must be at least 1 step, got {report_interval}")
        self._writer = writer
        self._interval = int(report_interval)
        self._require_split = require_split
        self._exclude_groups = tuple(exclude_groups)
        self._isolated = isolated
        self._barometer = barometer
        self._kept: NDArray[np.intp] | None = None  # numbers of the atoms, known with the first frame
        self._within = np.zeros((0, 2), np.int64)

    def describeNextReport(self, simulation: app.Simulation) -> dict[str, Any]:  # noqa: N802
        """When the next frame is due, as OpenMM asks of reporters."""
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation: app.Simulation, state: openmm.State) -> None:
        """Appends one frame.

        Raises:
            InputError: The System has no interaction split and the recorder requires one, its force groups or molecules
                are not what they must be, it has another temperature than the recording, or an earlier time than what
                was recorded before; or only one of the recorder and what was recorded before has pressures.
            SimulationError: Positions or forces are not finite, or a molecule is longer than half the box.
        """
        if self._kept is None:
            self._kept = self._begin(simulation)
        frame = read_frame(simulation.context, exclude_groups=self._exclude_groups, isolated=self._isolated)
        check_extent(frame, self._within)
        if isinstance(simulation.integrator, openmm.BrownianIntegrator):  # its velocities are those of no temperature
            frame = frame.replace(energies={k: v for k, v in frame.energies.items() if k != "kinetic"})
        frame = _atoms_of(frame, self._kept)
        self._writer.append(frame if self._barometer is None else self._with_pressure(frame, simulation.currentStep))

    def _with_pressure(self, frame: Frames, step: int) -> Frames:
        """The frame with its pressure if it is one of those in which it is measured, else with none."""
        assert self._barometer is not None
        apart = math.ceil(_STEPS_PER_PRESSURE / self._interval) * self._interval
        if frame.box is None or step % apart:
            return frame.replace(pressures=np.array([math.nan]))
        return frame.replace(pressures=np.array([self._barometer.measure(frame.positions[0], frame.box[0])]))

    def _begin(self, simulation: app.Simulation) -> NDArray[np.intp]:
        """Check once what the first frame shows, and return the numbers of the atoms to record."""
        is_split = has_interaction_split(simulation.system)
        if self._require_split and self._isolated is None and not is_split:
            raise InputError(
                "the System's intermolecular forces cannot be told apart: call "
                "openmm_cgml.reference.split_interactions(system, molecules) before the Simulation is made, "
                "or record total forces only with ForceRecorder(..., require_split=False)"
            )
        check_temperature(simulation.integrator, self._writer.metadata)
        check_integrated(simulation.integrator, simulation.system)
        check_continues(self._writer, simulation.context)
        check_pressures(self._writer, is_measured=self._barometer is not None)
        if is_split or self._isolated is not None:
            parts, _ = read_components(simulation.context, self._exclude_groups, self._isolated)
            check_components(parts, simulation.context.getMolecules())
        if is_split and simulation.system.usesPeriodicBoundaryConditions():
            self._within = intramolecular_pairs(simulation.system)
        return np.flatnonzero(~is_virtual_site(simulation.system))


def recording_metadata(
    topology: app.Topology,
    system: openmm.System,
    *,
    temperature: float,
    source: Mapping[str, Any],
    density: float | None = None,
) -> dict[str, Any]:
    """Metadata that make the frames of a `FrameWriter` a recording, which `map_recording` and `openmm-cgml map` read.

    Args:
        topology: The simulated atoms, all with elements. Their real masses are stored: those of the System, and those
            of the elements where it has only moved mass to hydrogens.
        system: The simulated System, whose masses, constraints and virtual sites are looked at.
        temperature: Temperature [K].
        source: Provenance, JSON content: force field, protocol, versions.
        density: Density of the box [g/cm^3], for boxes of constant volume.

    Raises:
        InputError: Topology and System do not fit each other, or an atom has no element.
    """
    atoms = recorded_atoms(topology, system)
    metadata = {
        "kind": RECORDING_KIND,
        "temperature": temperature,
        "atoms": atoms.to_dict(),
        "source": dict(source),
    }
    if has_frozen_atoms(system):
        metadata["degrees_of_freedom"] = count_degrees_of_freedom(system)  # atoms alone do not tell which are frozen
    return metadata if density is None else {**metadata, "density": round(density, 6)}


def read_frame(
    context: openmm.Context, *, exclude_groups: Sequence[int] = (), isolated: IsolatedMolecules | None = None
) -> Frames:
    """The present state of `context` as one frame, without the forces of `exclude_groups`.

    Positions are as the context holds them, which keeps molecules whole; there is no box where no force of the System
    is periodic. Virtual sites have no force: OpenMM has added it to those of the atoms that place them. With
    `isolated`, the forces of group 1 less those of the molecules alone are intermolecular; see `ForceRecorder`.

    Raises:
        InputError: The force groups are not what a split System or `isolated` needs.
        SimulationError: Positions or forces are not finite.
    """
    system = context.getSystem()
    state = context.getState(positions=True, energy=True, groups=0)
    energies = {"kinetic": state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)}
    parts, potential = read_components(context, exclude_groups, isolated)
    energies |= potential
    forces = np.sum(list(parts.values()), axis=0)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    time = state.getTime().value_in_unit(unit.picosecond)
    if not (np.isfinite(positions).all() and np.isfinite(forces).all()):
        raise SimulationError(
            f"positions or forces at {time:.3f} ps are not finite; what was recorded before is kept. "
            "Take a shorter time step"
        )
    return Frames(
        positions=_single(positions),
        box=_box(state) if system.usesPeriodicBoundaryConditions() else None,
        forces=_single(forces),
        forces_inter=_single(parts["inter"]) if "inter" in parts else None,
        energies={name: np.array([value]) for name, value in energies.items()},
        times=np.array([time]),
    )


def _atoms_of(frame: Frames, atoms: NDArray[np.intp]) -> Frames:
    if len(atoms) == frame.n_particles:
        return frame
    kept = {name: array[:, atoms] for name in PER_PARTICLE if (array := getattr(frame, name)) is not None}
    return frame.replace(**kept)


def _single(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)[None]


def _box(state: openmm.State) -> np.ndarray:
    return np.asarray(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer), dtype=float)[None]
