"""What a simulation starts from, checked as far as that is possible without evaluating a force."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import openmm
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.simulation.barostat import check_barostats, find_barostats
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.simulation.platform import PlatformChoice, choose_platform, fingerprint_system
from openmm_cgml.simulation.replicas import repeat_positions
from openmm_cgml.simulation.stability import BondReferences, ContactReferences
from openmm_cgml.simulation.start import bond_references, check_shapes, check_time_step, native_cutoffs
from openmm_cgml.system import box_vectors, check_box
from openmm_cgml.topology import AtomTopology, CGTopology

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, kw_only=True)
class Start:
    """What a simulation starts from.

    Attributes:
        system: The System, of all replicas.
        system_of_one: The System of one replica; the same where there is one.
        topology: The beads of one replica.
        config: Settings.
        positions: Bead positions [nm], shape (replicas, n_beads, 3).
        velocities: Bead velocities [nm/ps], shape (replicas, n_beads, 3); None draws them.
        box: Box vectors [nm], shape (3, 3), or None.
        masses: Bead masses of one replica [Da], shape (n_beads,); 0 for beads that do not move.
        degrees_of_freedom: Of one replica, those that carry kinetic energy.
        bonds: Reference lengths, or None.
        contacts: Closest approaches in the training data, or None.
        cutoffs: Cutoffs [nm] in the periodic box, by the name of what has them.
        platform: Where to simulate.
        fingerprint: Of the System.
        record: Further entries for the record of the run.
        notes: Remarks worth a reader's time.
    """

    system: openmm.System
    system_of_one: openmm.System
    topology: CGTopology
    config: SimulationConfig
    positions: np.ndarray
    velocities: np.ndarray | None
    box: np.ndarray | None
    masses: np.ndarray
    degrees_of_freedom: int
    bonds: BondReferences | None
    contacts: ContactReferences | None
    cutoffs: Mapping[str, float]
    platform: PlatformChoice
    fingerprint: str
    record: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def narrowest_box(self) -> float:
        """Width that a periodic box must have [nm]."""
        return 2 * max(self.cutoffs.values(), default=0.0)

    @property
    def is_frozen(self) -> np.ndarray:
        """Which beads of one replica do not move, shape (n_beads,): mass 0, and no virtual site."""
        return find_frozen(self.system_of_one)

    def noted(self, text: str) -> Start:
        """The same with another remark, which is logged."""
        logger.warning(text)
        return replace(self, notes=(*self.notes, text))


def prepare_start(
    system: openmm.System,
    topology: CGTopology,
    positions: np.ndarray,
    box: object,
    config: SimulationConfig,
    *,
    velocities: np.ndarray | None = None,
    identity: str = "",
    contacts: ContactReferences | None = None,
    cutoffs: Mapping[str, float] | None = None,
    record: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    system_of_one: openmm.System | None = None,
    bonds: BondReferences | None = None,
    fingerprint: str | None = None,
) -> Start:
    """What a simulation starts from, checked; nothing is evaluated.

    Args:
        system: The System, of all replicas; it is not changed.
        topology: The beads of one replica.
        positions: Starting positions [nm], shape (n_beads, 3), or (replicas, n_beads, 3) for starts that differ.
        box: Box vectors [nm], shape (3, 3), or edge lengths, shape (3,), or None without periodic boundaries.
        config: Settings.
        velocities: Starting velocities [nm/ps], of the shape of the positions; None draws them.
        identity: What a Python or Torch force of the System computes, usually the hash of its force field.
        contacts: Closest approaches in the training data of a model.
        cutoffs: Cutoffs [nm] of forces that are not OpenMM's own, by name.
        record: Further entries for the record of the run.
        notes: Remarks to report.
        system_of_one: The System of one replica, where there are several.
        bonds: Reference lengths that are watched; by default those of the harmonic bonds of the System.
        fingerprint: What a run must have in common with the one that it goes on from, where Systems of different forces
            stand for the same; by default `fingerprint_system` of the System and `identity`.

    Raises:
        InputError: If the inputs do not fit each other.
    """
    alone = _choose_system_of_one(system, system_of_one, config.replicas)
    shape = (config.replicas, topology.n_beads, 3)
    starts = repeat_positions(positions, topology.n_beads, config.replicas)
    whole, vectors = check_shapes(system, topology.repeated(config.replicas), starts, box)
    widths = {**native_cutoffs(system), **(cutoffs or {})} if vectors is not None else {}
    if vectors is not None:
        check_box(vectors, widths)
    masses, frozen = _masses(alone), find_frozen(alone)
    check_barostats(
        system,
        temperature=config.temperature,
        ensemble=config.ensemble,
        replicas=config.replicas,
        n_frozen=int(frozen.sum()),
    )
    if config.pressure is not None and not find_barostats(system):
        raise InputError(
            f"the configuration asks for {config.pressure:g} bar and the System has no barostat: add it with "
            "simulation.add_barostat(system, config)"
        )
    bonds = bonds or bond_references(alone)
    start = Start(
        system=system,
        system_of_one=alone,
        topology=topology,
        config=config,
        positions=whole.reshape(shape),
        velocities=None if velocities is None else _check_velocities(velocities, shape),
        box=vectors,
        masses=masses,
        degrees_of_freedom=_count_degrees_of_freedom(alone, masses, config.ensemble),
        bonds=bonds,
        contacts=contacts,
        cutoffs=widths,
        platform=choose_platform(config.platform, config.threads),
        fingerprint=fingerprint or fingerprint_system(system, identity),
        record=dict(record or {}),
    )
    note = check_time_step(config.time_step, bonds, masses)
    for text in (*notes, *([note] if note else [])):
        start = start.noted(text)
    return start


def start_of_atoms(system: openmm.System, atoms: AtomTopology, config: SimulationConfig) -> Start:
    """What a simulation of atoms starts from: its state is given later, by `Sampler.set_state`.

    What is known of beads is not asked of atoms: how long a time step their bonds allow (constraints and custom are an
    atomistic protocol's own), and which lengths and distances are right.

    Args:
        system: The System, of one replica and periodic; it is not changed.
        atoms: Its particles.
        config: Settings.

    Raises:
        InputError: If there is no such platform.
    """
    masses = _masses(system)
    return Start(
        system=system,
        system_of_one=system,
        topology=atoms.to_beads(),
        config=config,
        positions=np.zeros((1, len(masses), 3)),
        velocities=None,
        box=box_vectors(system.getDefaultPeriodicBoxVectors()),
        masses=masses,
        degrees_of_freedom=_count_degrees_of_freedom(system, masses, config.ensemble),
        bonds=None,
        contacts=None,
        cutoffs=native_cutoffs(system),
        platform=choose_platform(config.platform, config.threads),
        fingerprint=fingerprint_system(system),
    )


def find_frozen(system: openmm.System) -> np.ndarray:
    """Which particles of a System do not move, shape (n_particles,): mass 0, and no virtual site."""
    virtual = np.array([system.isVirtualSite(index) for index in range(system.getNumParticles())], dtype=bool)
    frozen: np.ndarray = (_masses(system) == 0) & ~virtual
    return frozen


def _masses(system: openmm.System) -> np.ndarray:
    return np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(system.getNumParticles())])


def _count_degrees_of_freedom(system: openmm.System, masses: np.ndarray, ensemble: str) -> int:
    """Those of one replica; the total momentum is none where it is removed, or zero and conserved."""
    removed = any(isinstance(force, openmm.CMMotionRemover) for force in system.getForces())
    conserved = ensemble == "NVE" and not find_frozen(system).any()
    return 3 * int(np.count_nonzero(masses)) - system.getNumConstraints() - 3 * (removed or conserved)


def _check_velocities(velocities: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Velocities of all replicas.

    Raises:
        InputError: If the shape is another, or a value is not finite.
    """
    array = np.asarray(velocities, dtype=np.float64)
    if array.shape not in (shape, shape[1:]):
        raise InputError(f"velocities have shape {array.shape}; {shape} is needed, or {shape[1:]} for one of each")
    if not np.isfinite(array).all():
        raise InputError("velocities are not all finite; leave them out to draw them")
    return np.broadcast_to(array, shape).copy()


def _choose_system_of_one(system: openmm.System, given: openmm.System | None, replicas: int) -> openmm.System:
    """The System of one replica.

    Raises:
        InputError: If there are several and it is missing or of another size.
    """
    if replicas == 1:
        return system
    if given is None:
        raise InputError(f"{replicas} replicas need the System of one as well: pass system_of_one")
    if replicas * given.getNumParticles() != system.getNumParticles():
        raise InputError(
            f"the System has {system.getNumParticles()} particles, not {replicas} times the "
            f"{given.getNumParticles()} of the System of one"
        )
    return given
