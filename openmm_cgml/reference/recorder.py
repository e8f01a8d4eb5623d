"""ForceRecorder: an OpenMM reporter that records what force matching needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import openmm
from openmm import app, unit

from openmm_cgml.dataset.recording import RECORDING_KIND
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.frames import Frames
from openmm_cgml.reference.interaction_split import ENERGY_GROUPS, has_interaction_split
from openmm_cgml.topology import AtomTopology

if TYPE_CHECKING:
    from openmm_cgml.reference.isolated_molecules import IsolatedMolecules
    from openmm_cgml.shards import FrameWriter

__all__ = ["ForceRecorder", "read_frame", "recording_metadata"]


class ForceRecorder:
    """Reporter for any `openmm.app.Simulation` that appends frames to a `FrameWriter`.

    Records, as float32, positions with whole molecules, total forces, the box and the time. If the System was prepared
    by `split_interactions`, also the intermolecular part of the forces and the energies "inter", "bonded",
    "intra_nonbonded"; always the energy "kinetic". Constraint forces are not part of OpenMM's forces: they cancel in a
    bead that holds both atoms of every constraint. Forces that do not belong to the physical model (restraints,
    biases) are left out when their force groups are named in `exclude_groups`.

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
    ) -> None:
        """Creates a recorder.

        Args:
            writer: Open writer; the caller closes it.
            report_interval: Steps between frames.
            require_split: Refuse a System whose intermolecular forces cannot be told apart. With False such a System
                is recorded with its total forces, potential and kinetic energy only.
            exclude_groups: Force groups that are not part of the physical model.
            isolated: For chains, whose interactions are told apart by taking those of each chain alone off: group 0
                must hold the bonded forces and group 1 all non-bonded ones.

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

    def describeNextReport(self, simulation: app.Simulation) -> dict[str, Any]:  # noqa: N802
        """When the next frame is due, as OpenMM asks of reporters."""
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": False, "include": ["positions"]}

    def report(self, simulation: app.Simulation, state: openmm.State) -> None:
        """Appends one frame.

        Raises:
            InputError: The System has no interaction split and the recorder requires one.
            SimulationError: Positions or forces are not finite.
        """
        if self._require_split and self._isolated is None and not has_interaction_split(simulation.system):
            raise InputError(
                "the System's intermolecular forces cannot be told apart: call "
                "openmm_cgml.reference.split_interactions(system, molecules) before the Simulation is made, "
                "or record total forces only with ForceRecorder(..., require_split=False)"
            )
        self._writer.append(
            read_frame(simulation.context, exclude_groups=self._exclude_groups, isolated=self._isolated)
        )


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
        topology: The simulated atoms, all with elements, whose real masses are stored.
        system: The simulated System, whose constraints are stored.
        temperature: Temperature [K].
        source: Provenance, JSON content: force field, protocol, versions.
        density: Density of the box [g/cm^3], for boxes of constant volume.
    """
    constraints = [system.getConstraintParameters(i)[:2] for i in range(system.getNumConstraints())]
    metadata = {
        "kind": RECORDING_KIND,
        "temperature": temperature,
        "atoms": AtomTopology.from_openmm(topology, constraints=constraints).to_dict(),
        "source": dict(source),
    }
    return metadata if density is None else {**metadata, "density": round(density, 6)}


def read_frame(
    context: openmm.Context, *, exclude_groups: Sequence[int] = (), isolated: IsolatedMolecules | None = None
) -> Frames:
    """The present state of `context` as one frame, without the forces of `exclude_groups`.

    Positions are as the context holds them, which keeps molecules whole. With `isolated`, the forces of group 1 less
    those of the molecules alone are intermolecular; see `ForceRecorder`.

    Raises:
        SimulationError: Positions or forces are not finite.
    """
    system = context.getSystem()
    positions_state = context.getState(positions=True, energy=True, groups=0)
    energies = {"kinetic": positions_state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole)}
    forces_inter = None
    if isolated is not None or has_interaction_split(system):
        parts = {}
        for name, group in ENERGY_GROUPS.items():
            parts[name], energies[name] = _forces_and_energy(context, {group})
        if isolated is not None:
            whole = positions_state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
            energies["intra_nonbonded"], parts["intra_nonbonded"] = isolated.evaluate(np.asarray(whole))
            energies["inter"] -= energies["intra_nonbonded"]
            parts["inter"] = parts["inter"] - parts["intra_nonbonded"]
        forces_inter = parts["inter"]
        forces = parts["bonded"] + parts["inter"] + parts["intra_nonbonded"]
        other = _used_groups(system) - set(ENERGY_GROUPS.values()) - set(exclude_groups)
        if other:
            forces = forces + _forces_and_energy(context, other)[0]
    else:
        forces, energies["potential"] = _forces_and_energy(context, _used_groups(system) - set(exclude_groups))
    positions = positions_state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    time = positions_state.getTime().value_in_unit(unit.picosecond)
    if not (np.isfinite(positions).all() and np.isfinite(forces).all()):
        raise SimulationError(
            f"positions or forces at {time:.3f} ps are not finite; what was recorded before is kept. "
            "Take a shorter time step"
        )
    return Frames(
        positions=_single(positions),
        box=_box(positions_state),
        forces=_single(forces),
        forces_inter=None if forces_inter is None else _single(forces_inter),
        energies={name: np.array([value]) for name, value in energies.items()},
        times=np.array([time]),
    )


def _forces_and_energy(context: openmm.Context, groups: set[int]) -> tuple[np.ndarray, float]:
    state = context.getState(forces=True, energy=True, groups=groups)
    forces = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
    return np.asarray(forces), state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


def _used_groups(system: openmm.System) -> set[int]:
    return {force.getForceGroup() for force in system.getForces()}


def _single(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)[None]


def _box(state: openmm.State) -> np.ndarray:
    return np.asarray(state.getPeriodicBoxVectors(asNumpy=True).value_in_unit(unit.nanometer), dtype=float)[None]
