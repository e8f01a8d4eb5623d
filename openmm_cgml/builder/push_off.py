"""Overlaps removed without changing how chains lie: a soft repulsion, switched on slowly, then the priors themselves.

A repulsion switched on at once distorts chains over tens of bonds, and such distortions outlive any simulation; one
that starts soft and grows while the chains move thermally does not (Auhl et al., J. Chem. Phys. 119, 12718 (2003)).
Angles and torsions that the priors do not hold are kept meanwhile by forces made from their distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.builder.local_statistics import LocalStatistics, Types
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import (
    ANGLE,
    TORSION,
    Basis,
    BondedPotential,
    CosineAngle,
    CosineTorsion,
    PairPotential,
    Potential,
    Samples,
)
from openmm_cgml.system import suggest_time_step
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

_SOFT_STEPS = 300
_PRIOR_STEPS = 50
_ITERATIONS = 25  # of the minimizer between the two
_MINIMIZATIONS = 8  # at most, while a force is larger than
_LARGEST_FORCE = 2e4  # kJ/mol/nm: 0.02 nm into the wall
_STAGES = 30  # the soft repulsion grows this many times
_FIRST_STRENGTH, _LAST_STRENGTH = 1.0, 60.0  # kT, half the energy of two beads in the same place
_REACH = 1.15  # range of the soft repulsion, in smallest distances
_WALL = 1.03  # where the wall begins, in smallest distances
_WALL_STIFFNESS = 1e6  # kJ/mol/nm^2; beads at 300 K climb 0.003 nm into it
_FRICTION = 10.0  # 1/ps
_LONGEST_STEP = 0.01  # ps
_FASTER = 1.5  # a step this much longer than in simulations is stable with this friction
_NEAR = 3  # beads up to this many bonds apart are kept apart by angles and torsions
_HARMONICS = 4
_STRONGEST = 100.0  # kT, sum of a series' coefficients: more is a fit to a few full bins, too stiff for any step


@dataclass(frozen=True, kw_only=True)
class PushOff:
    """How overlaps are removed.

    Attributes:
        soft_steps: Steps of dynamics while the soft repulsion grows; 0 leaves it out.
        prior_steps: Steps of dynamics with the priors afterwards.
    """

    soft_steps: int = _SOFT_STEPS
    prior_steps: int = _PRIOR_STEPS


def push_apart(
    topology: CGTopology,
    positions: NDArray[np.float64],
    edge: float,
    potentials: Sequence[Potential],
    distances: NDArray[np.float64],
    statistics: LocalStatistics,
    *,
    seed: int,
    schedule: PushOff | None = None,
) -> NDArray[np.float64]:
    """Positions of the same chains without overlaps [nm], shape (n_beads, 3); the same on every run.

    Args:
        topology: The beads.
        positions: Positions with whole molecules [nm], shape (n_beads, 3).
        edge: Edge of the cubic box [nm].
        potentials: Priors bound to the beads.
        distances: Smallest distance wanted, by two bead types [nm], shape (n_types, n_types).
        statistics: Distributions that angles and torsions are to keep, and the temperature.
        seed: Seed of the thermal motion.
        schedule: How slowly.
    """
    schedule = schedule or PushOff()
    bonded = [p for p in potentials if isinstance(p, BondedPotential)]
    pairs = [p for p in potentials if isinstance(p, PairPotential)]
    step = _time_step(bonded, topology, statistics.temperature)
    if schedule.soft_steps:
        soft = _soft_repulsion(topology, _REACH * distances, edge, topology.exclusions(_NEAR))
        forces = [*_bonded_forces(topology, bonded, statistics), soft]
        context = _context(topology, forces, positions, edge, statistics.temperature, step, seed)
        positions = _harden(context, BOLTZMANN * statistics.temperature, schedule.soft_steps)
        del context
    excluded = _excluded_pairs(topology, pairs)
    native = [p.with_exclusions(excluded).to_openmm(periodic=True) for p in pairs]
    wall = _wall(topology, _WALL * distances, edge, excluded)
    forces = [*_bonded_forces(topology, bonded, statistics), *native, wall]
    step = min(step, _wall_step(topology))
    context = _context(topology, forces, positions, edge, statistics.temperature, step, seed + 1)
    _minimize(context)
    context.setVelocitiesToTemperature(statistics.temperature, seed + 2)
    context.getIntegrator().step(schedule.prior_steps)
    return _positions(context)


def _harden(context: openmm.Context, kt: float, n_steps: int) -> NDArray[np.float64]:
    """Positions after a soft repulsion grew from weak to strong in stages [nm], shape (n_beads, 3)."""
    n_stages = min(_STAGES, n_steps)
    for strength in np.geomspace(_FIRST_STRENGTH, _LAST_STRENGTH, n_stages):
        context.setParameter("strength", float(strength) * kt)
        context.getIntegrator().step(n_steps // n_stages)
    return _positions(context)


def _minimize(context: openmm.Context) -> None:
    """Minimize until no force is large."""
    for _ in range(_MINIMIZATIONS):
        openmm.LocalEnergyMinimizer.minimize(context, 10.0, _ITERATIONS)
        if _largest_force(context) < _LARGEST_FORCE:
            return


def _excluded_pairs(topology: CGTopology, pairs: Sequence[PairPotential]) -> NDArray[np.int64]:
    """Pairs that feel neither wall nor excluded volume here: OpenMM wants the same for all forces between pairs."""
    excluded = np.concatenate([topology.exclusions(_NEAR), *(p.exclusions for p in pairs)])
    return np.unique(excluded, axis=0)


def _soft_repulsion(
    topology: CGTopology, distances: NDArray[np.float64], edge: float, excluded: NDArray[np.int64]
) -> openmm.CustomNonbondedForce:
    """The energy strength (1 + cos(pi r / reach)) within the reach of each pair of types, finite at no distance."""
    formula = "strength*(1+cos(3.14159265358979*r/reach))*step(reach-r); reach=distance(type1,type2)"
    force = _pair_force(formula, topology, distances, edge, excluded)
    force.addGlobalParameter("strength", 0.0)
    return force


def _wall(
    topology: CGTopology, distances: NDArray[np.float64], edge: float, excluded: NDArray[np.int64]
) -> openmm.CustomNonbondedForce:
    formula = f"{0.5 * _WALL_STIFFNESS}*(reach-r)^2*step(reach-r); reach=distance(type1,type2)"
    return _pair_force(formula, topology, distances, edge, excluded)


def _pair_force(
    formula: str, topology: CGTopology, distances: NDArray[np.float64], edge: float, excluded: NDArray[np.int64]
) -> openmm.CustomNonbondedForce:
    force = openmm.CustomNonbondedForce(formula)
    n_types = len(distances)
    table = openmm.Discrete2DFunction(n_types, n_types, distances.ravel().tolist())
    force.addTabulatedFunction("distance", table)
    force.addPerParticleParameter("type")
    for bead_type in topology.bead_types.tolist():
        force.addParticle([bead_type])
    for i, j in excluded.tolist():
        force.addExclusion(i, j)
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(min(float(distances.max()), 0.5 * edge))
    return force


def _bonded_forces(
    topology: CGTopology, bonded: Sequence[BondedPotential], statistics: LocalStatistics
) -> list[openmm.Force]:
    """The bonded priors, and forces that keep recorded angles and torsions where the priors have none."""
    present = {p.coordinate.kind for p in bonded}
    kt = BOLTZMANN * statistics.temperature
    forces = [potential.to_openmm(periodic=True) for potential in bonded]
    if ANGLE.kind not in present:
        for types, rows in _by_types(topology, topology.angles):
            if statistics.angle_is_recorded(types):
                coefficients = _fit(CosineAngle, statistics.angle(types), kt)
                angle = CosineAngle(indices=rows, coefficients=np.tile(coefficients, (len(rows), 1)))
                forces.append(angle.to_openmm(periodic=True))
    if TORSION.kind not in present:
        for types, rows in _by_types(topology, topology.dihedrals):
            if statistics.torsion_is_recorded(types):
                coefficients = _fit(CosineTorsion, statistics.torsion(types), kt)
                torsions = CosineTorsion(indices=rows, coefficients=np.tile(coefficients, (len(rows), 1)))
                forces.append(torsions.to_openmm(periodic=True))
    return forces


def _by_types(topology: CGTopology, rows: NDArray[np.int64]) -> list[tuple[Types, NDArray[np.int64]]]:
    if not len(rows):
        return []
    kinds, inverse = np.unique(topology.bead_types[rows], axis=0, return_inverse=True)
    return [
        (tuple(topology.type_names[t] for t in kind), rows[inverse.reshape(-1) == number])
        for number, kind in enumerate(kinds.tolist())
    ]


def _fit(form: type[CosineAngle] | type[CosineTorsion], weights: NDArray[np.float64], kt: float) -> NDArray[np.float64]:
    """Coefficients of a series of cosines whose distribution is that of the bins, with as many terms as they allow."""
    low, high = form.coordinate.limits
    values = low + (np.arange(len(weights)) + 0.5) * (high - low) / len(weights)
    samples = Samples(coordinate=form.coordinate, values=values, shares=weights)
    for n_harmonics in range(_HARMONICS, 0, -1):
        try:
            coefficients = form.invert(samples, kt, Basis(origin=samples.mean, n=n_harmonics))
        except InputError:
            continue
        if np.abs(coefficients).sum() <= _STRONGEST * kt:
            return coefficients
    return np.zeros(1)


def _time_step(bonded: Sequence[Potential], topology: CGTopology, temperature: float) -> float:
    allowed = suggest_time_step(bonded, topology.masses, temperature=temperature)
    return min(_FASTER * allowed.time_step if allowed else _LONGEST_STEP, _LONGEST_STEP)


def _wall_step(topology: CGTopology) -> float:
    """A tenth of the period [ps] of the two lightest beads at the wall."""
    return float(0.1 * 2 * np.pi * np.sqrt(topology.masses.min() / 2 / _WALL_STIFFNESS))


def _largest_force(context: openmm.Context) -> float:
    forces = context.getState(forces=True).getForces(asNumpy=True)
    return float(np.linalg.norm(forces.value_in_unit(unit.kilojoule_per_mole / unit.nanometer), axis=1).max())


def _context(
    topology: CGTopology,
    forces: Sequence[openmm.Force],
    positions: NDArray[np.float64],
    edge: float,
    temperature: float,
    step: float,
    seed: int,
) -> openmm.Context:
    """A Context on one thread, where the order of sums, and with it every digit, is always the same."""
    system = openmm.System()
    for mass in topology.masses.tolist():
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in (edge * np.eye(3)).tolist()))
    for force in forces:
        system.addForce(force)
    integrator = openmm.LangevinMiddleIntegrator(temperature, _FRICTION, step)
    integrator.setRandomNumberSeed(seed)
    platform = openmm.Platform.getPlatform("CPU")
    context = openmm.Context(system, integrator, platform, {"Threads": "1", "DeterministicForces": "true"})
    context.setPositions(positions)
    context.setVelocitiesToTemperature(temperature, seed)
    return context


def _positions(context: openmm.Context) -> NDArray[np.float64]:
    positions = context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    if not np.isfinite(positions).all():
        raise InputError("the molecules could not be pushed apart: positions became infinite; build at a lower density")
    return np.array(positions, dtype=np.float64)
