"""What a recorder checks with its first frames: that what is declared is what is simulated."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import box_widths
from openmm_cgml.reference.force_kinds import exerts_forces
from openmm_cgml.shards import FrameStore

if TYPE_CHECKING:
    from openmm_cgml.shards import FrameWriter

__all__ = [
    "check_components",
    "check_continues",
    "check_extent",
    "check_integrated",
    "check_pressures",
    "check_temperature",
]

_NET_FORCE = 1e-2
"""Largest net force within a molecule, as a fraction of the largest on one of its atoms; 1e-4 in single precision."""


def check_temperature(integrator: openmm.Integrator, metadata: Mapping[str, Any]) -> None:
    """Compares the thermostat with the declared temperature of a recording, where there are both.

    Raises:
        InputError: They differ.
    """
    declared = metadata.get("temperature")
    if declared is None or not hasattr(integrator, "getTemperature"):
        return
    temperature = integrator.getTemperature().value_in_unit(unit.kelvin)
    if abs(temperature - declared) > 1e-3 * abs(declared):
        raise InputError(
            f"the integrator holds {temperature:g} K, the recording's metadata say {declared:g} K; give "
            "recording_metadata the temperature of the run"
        )


def check_integrated(integrator: openmm.Integrator, system: openmm.System) -> None:
    """Check that the integrator follows all forces of the System, whose groups a split has changed.

    Raises:
        InputError: It takes some force groups only.
    """
    mask = integrator.getIntegrationForceGroups()
    groups = {group for group in range(32) if mask >> group & 1}
    if isinstance(integrator, openmm.CustomIntegrator):
        steps = range(integrator.getNumComputations())
        used = re.findall(r"\bf(\d*)\b", " ".join(integrator.getComputationStep(k)[2] for k in steps))
        groups &= {int(number) for number in used} if used and "" not in used else groups
    left_out = [force for force in system.getForces() if force.getForceGroup() not in groups and exerts_forces(force)]
    if left_out:
        raise InputError(
            f"the integrator leaves out force group {left_out[0].getForceGroup()} with {left_out[0].getName()}, which "
            "would be recorded but not simulated; after split_interactions groups 0, 1 and 2 are bonded, "
            "intermolecular and intramolecular non-bonded forces: give the integrator all of them"
        )


def check_continues(writer: FrameWriter, context: openmm.Context) -> None:
    """Compares the time of a Context with that of the last frame in a recording that goes on.

    Raises:
        InputError: The recording has reached this time already.
    """
    if not writer.n_stored:
        return
    times, _ = FrameStore.open(writer.path, verify=False).read_scalars()
    now = context.getState().getTime().value_in_unit(unit.picosecond)
    if times is None or times[-1] < now:
        return
    kept = int(np.searchsorted(times, now * (1 - 1e-9)))
    raise InputError(
        f"the recording {writer.path} ends at {times[-1]:g} ps, the run goes on from {now:g} ps, as after a restart "
        f"from an earlier checkpoint: drop what comes twice with writer.truncate({kept}), or record a run of its own "
        "into another folder"
    )


def check_pressures(writer: FrameWriter, *, is_measured: bool) -> None:
    """Check that frames of a recording that goes on will carry pressures if the earlier ones do, and only then.

    Args:
        writer: Writer of the recording.
        is_measured: Whether frames to come carry pressures.

    Raises:
        InputError: They differ, and frames of both kinds cannot be read together.
    """
    if not writer.n_stored:
        return
    recorded = FrameStore.open(writer.path, verify=False).read_pressures() is not None
    if recorded and not is_measured:
        raise InputError(
            f"the frames in {writer.path} carry pressures: give the recorder an AtomisticBarometer to go on with them, "
            "or record into another folder"
        )
    if is_measured and not recorded:
        raise InputError(
            f"the frames in {writer.path} carry no pressures, so those to come cannot either: leave the recorder's "
            "barometer out and measure afterwards with measure_pressure, or record into another folder"
        )


def check_components(parts: Mapping[str, NDArray[np.float64]], molecules: Sequence[Sequence[int]]) -> None:
    """Check that forces within molecules add up to nothing on each molecule, relative to the forces on its atoms.

    Args:
        parts: Forces by component [kJ/mol/nm], each of shape (n_particles, 3).
        molecules: Particles of each molecule.

    Raises:
        InputError: They do not, so the molecules or the force groups are not what they should be.
    """
    within = parts["bonded"] + parts["intra_nonbonded"]
    owner = np.zeros(len(within), dtype=np.int64)
    for number, molecule in enumerate(molecules):
        owner[list(molecule)] = number
    net = np.zeros((len(molecules), 3))
    np.add.at(net, owner, within)
    largest = np.zeros(len(molecules))
    np.maximum.at(largest, owner, np.abs(within).max(axis=1))
    excess = np.abs(net).max(axis=1) - _NET_FORCE * np.maximum(largest, 1.0)
    if excess.max(initial=0.0) > 0:
        worst = int(np.argmax(excess))
        raise InputError(
            f"the forces within molecule {worst} (atom {molecules[worst][0]} on) add up to "
            f"{np.abs(net[worst]).max():.3g} kJ/mol/nm instead of 0, where the largest on an atom is "
            f"{largest[worst]:.3g}: a force between molecules or a restraint is among them. Put restraints into force "
            "groups of their own from 3 to 31, all non-bonded forces into group 1"
        )


def check_extent(frame: Frames, pairs: NDArray[np.int64]) -> None:
    """Check that pairs within molecules are nearer than half the box, so that they are pairs of nearest images too.

    Args:
        frame: One frame.
        pairs: Pairs within molecules that were taken out of the non-bonded forces, shape (n_pairs, 2).

    Raises:
        SimulationError: A pair is farther apart: the run is unstable, or the box too small for the molecules.
    """
    if frame.box is None or not len(pairs):
        return
    positions = np.asarray(frame.positions[0], np.float64)
    half = box_widths(frame.box[0]).min() / 2
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    worst = int(np.argmax(lengths))
    if lengths[worst] >= half:
        i, j = pairs[worst]
        raise SimulationError(
            f"atoms {i} and {j} of one molecule are {lengths[worst]:.3f} nm apart, more than half the box width "
            f"({half:.3f} nm), so the split takes the wrong image of them: if the run is unstable, take a "
            "shorter time step; else start from whole molecules, or do not split and give the recorder "
            "IsolatedMolecules.from_system(...)"
        )
