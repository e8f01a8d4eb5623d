"""The checks between a starting structure and its first step."""

from __future__ import annotations

import math

import numpy as np
import openmm
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import minimum_image
from openmm_cgml.potentials.coordinate import invert_masses
from openmm_cgml.simulation.stability import BondReferences, ContactReferences
from openmm_cgml.system import box_vectors, check_box
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN
from openmm_cgml.wholeness import BondForest

MAX_KICK = 50.0
"""Kinetic energy in kT that the starting forces may give one bead in one step."""
REFUSED_CONTACT = 0.7
"""Distance as a fraction of the closest approach in the training data at which no run starts."""
REFUSED_STEPS_PER_PERIOD, WISE_STEPS_PER_PERIOD = 10, 20


def check_shapes(
    system: openmm.System, topology: CGTopology, positions: np.ndarray, box: object
) -> tuple[np.ndarray, np.ndarray | None]:
    """Positions and box as float64 arrays, molecules whole.

    Args:
        system: The System to simulate.
        topology: Its beads.
        positions: Bead positions [nm], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3), three edge lengths, or None.

    Raises:
        InputError: If counts differ, a value is not finite, or box and System disagree about periodicity.
    """
    positions, box = np.array(positions, dtype=np.float64), box_vectors(box)
    n = topology.n_beads
    if system.getNumParticles() != n:
        raise InputError(f"the System has {system.getNumParticles()} particles and the topology {n} beads")
    if positions.shape != (n, 3):
        raise InputError(f"positions have shape {positions.shape}; the topology has {n} beads, so ({n}, 3) is needed")
    bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
    if len(bad):
        raise InputError(f"the position of bead {bad[0]} is {positions[bad[0]].tolist()}; all must be finite")
    if system.usesPeriodicBoundaryConditions() != (box is not None):
        here, missing = ("no box", "give one") if box is None else ("a box", "leave it out")
        kind = "periodic" if system.usesPeriodicBoundaryConditions() else "not periodic"
        raise InputError(f"the System is {kind}, but there is {here}: {missing}")
    if box is None:
        return positions, None
    forest = BondForest.from_bonds(topology.bonds, n)
    return forest.make_whole(positions[None], box[None])[0], box


def check_native_cutoffs(system: openmm.System, box: np.ndarray | None) -> None:
    """Check that the box is at least twice as wide as every cutoff of a native force.

    Raises:
        InputError: With the width needed.
    """
    if box is not None:
        check_box(box, native_cutoffs(system))


def native_cutoffs(system: openmm.System) -> dict[str, float]:
    """Cutoff [nm] of every native force that has one in the periodic box, by name."""
    return {
        force.getName(): force.getCutoffDistance().value_in_unit(unit.nanometer)
        for force in system.getForces()
        if hasattr(force, "getCutoffDistance") and force.usesPeriodicBoundaryConditions()
    }


def bond_references(system: openmm.System) -> BondReferences | None:
    """Reference lengths and stiffnesses of all native harmonic bonds of a System; None if it has none."""
    indices, lengths, stiffnesses = [], [], []
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for bond in range(force.getNumBonds()):
                i, j, length, stiffness = force.getBondParameters(bond)
                indices.append((i, j))
                lengths.append(length.value_in_unit(unit.nanometer))
                stiffnesses.append(stiffness.value_in_unit(unit.kilojoule_per_mole / unit.nanometer**2))
    if not indices:
        return None
    return BondReferences(indices=np.array(indices), length=np.array(lengths), stiffness=np.array(stiffnesses))


def check_time_step(time_step: float, bonds: BondReferences | None, masses: np.ndarray) -> str | None:
    """Compare the time step with the period of the stiffest bond; see `compare_with_period`.

    Args:
        time_step: Integration step [ps].
        bonds: The bonds, or None.
        masses: Bead masses [Da], shape (n_beads,); 0 for beads that do not move.
    """
    if bonds is None or not np.any(bonds.stiffness > 0):
        return None
    i, j = bonds.indices.T
    inverse = invert_masses(masses)
    rates = bonds.stiffness * (inverse[i] + inverse[j])
    periods = 2 * np.pi / np.sqrt(np.maximum(rates, 1e-12))
    worst = int(np.argmin(periods))
    return compare_with_period(time_step, float(periods[worst]), f"bond {i[worst]}-{j[worst]}")


def compare_with_period(time_step: float, period: float, term: str) -> str | None:
    """Compare the time step with the period of the stiffest term [ps].

    Returns:
        A note if the time step is larger than wise, or None.

    Raises:
        InputError: If it is larger than a tenth of the period.
    """
    text = (
        f"a time step of {1e3 * time_step:.4g} fs is {{}} for the stiffest term ({term}), whose period is "
        f"{1e3 * period:.4g} fs: use at most {math.floor(1e5 * period / WISE_STEPS_PER_PERIOD) / 100:g} fs"
    )
    if time_step > period / REFUSED_STEPS_PER_PERIOD:
        raise InputError(text.format("too long"))
    return text.format("longer than wise") if time_step > 1.001 * period / WISE_STEPS_PER_PERIOD else None


def check_forces(
    positions: np.ndarray,
    forces: np.ndarray,
    box: np.ndarray | None,
    masses: np.ndarray,
    temperature: float,
    time_step: float,
) -> None:
    """Check that no starting force throws a bead away within one step, as overlapping beads do.

    Raises:
        InputError: Naming the beads and their nearest neighbors.
    """
    bad = np.flatnonzero(~np.isfinite(forces).all(axis=1))
    if len(bad):
        raise InputError(
            f"the force on bead {bad[0]} is {forces[bad[0]].tolist()}. {_nearest(positions, box, bad[:1])}"
        )
    kicks = (np.linalg.norm(forces, axis=1) * time_step) ** 2 * invert_masses(masses) / 2 / (BOLTZMANN * temperature)
    if kicks.max() > MAX_KICK:
        worst = np.argsort(kicks)[::-1][: min(3, int((kicks > MAX_KICK).sum()))]
        raise InputError(
            f"{int((kicks > MAX_KICK).sum())} beads would gain more than {MAX_KICK:g} kT in the first step, "
            f"the worst {kicks.max():.3g} kT. {_nearest(positions, box, worst)}. "
            "Beads overlap: minimize first, or build the box again at a lower density"
        )


def check_contacts(contacts: ContactReferences, positions: np.ndarray, box: np.ndarray | None) -> str | None:
    """Compare starting distances with the closest approach in the training data.

    Returns:
        A note if a pair is closer, or None.

    Raises:
        InputError: If a pair is so close that the model knows nothing about it.
    """
    found = contacts.closest_contact(positions, box)
    if found is None:
        return None
    ratio, i, j, distance = found
    text = f"beads {i} and {j} start {distance:.4g} nm apart, {ratio:.2f} of the closest approach in the training data"
    if ratio < REFUSED_CONTACT:
        raise InputError(f"{text}; minimize first, or build the box again at a lower density")
    return text


def _nearest(positions: np.ndarray, box: np.ndarray | None, beads: np.ndarray) -> str:
    """Which bead is nearest to each of `beads`, and how far."""
    found = []
    for bead in beads.tolist():
        distances = np.linalg.norm(minimum_image(positions - positions[bead], box), axis=1)
        distances[bead] = np.inf
        other = int(np.argmin(distances))
        found.append(f"bead {bead} is {distances[other]:.4g} nm from bead {other}")
    return "; ".join(found)
