"""OpenMM forces from bound priors and a deployed network, and the checks on boxes and time steps that go with them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit

from openmm_cgml.engine import (
    DeployedNetwork,
    DeployedPairs,
    DeployedSites,
    DeployedThreeBody,
    choose_backend,
    create_ml_force,
)
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import (
    BOND,
    BondedPotential,
    FadingTorsion,
    PairPotential,
    Potential,
    SitePairs,
    ThreeBody,
)
from openmm_cgml.units import BOLTZMANN

_STEPS_PER_PERIOD = 20


@dataclass(frozen=True, kw_only=True)
class TimeStep:
    """The time step that the stiffest prior allows.

    Attributes:
        time_step: A twentieth of the shortest period [ps].
        period: The shortest period [ps].
        term: The term it belongs to, in words.
    """

    time_step: float
    period: float
    term: str

    def __str__(self) -> str:
        return (
            f"{1000 * self.time_step:.1f} fs, a twentieth of the {1000 * self.period:.0f} fs period of the stiffest "
            f"term ({self.term})"
        )


def create_forces(
    potentials: Sequence[Potential],
    deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody | None,
    *,
    ml_backend: str = "auto",
    exact: bool = False,
    periodic: bool = True,
    n_replicas: int = 1,
    bonded_in_engine: bool = False,
) -> list[openmm.Force]:
    """One named OpenMM force per prior and one ML force, which comes last.

    Pair priors that the ML force evaluates from tables (`pair_table`) get no force of their own.

    Args:
        potentials: Priors bound to the beads.
        deployed: What the ML force evaluates: the network bound to the beads, the pair priors without a network, or
            priors between sites or three-body priors with a network or without; None for native forces alone.
        ml_backend: "TorchForce", "PythonForce", or "auto" for the first of these that works here.
        exact: Evaluate the network itself instead of tables of its filters.
        periodic: Whether the System has a periodic box.
        n_replicas: Number of copies of one system that the beads are.
        bonded_in_engine: Evaluate bonded priors whose native force is slow on the CPU, fading torsions, by the engine.
    """
    taken: Sequence[Potential] = ()
    if deployed is not None and deployed.pair_table is not None:
        of_sites = isinstance(deployed, DeployedSites)
        taken = site_potentials_of(potentials) if of_sites else pair_potentials_of(potentials)
    if isinstance(deployed, DeployedThreeBody):
        taken = (*taken, *three_body_potentials_of(potentials))
    left = [potential for potential in potentials if potential not in taken]
    forces = [_bonded_or_native(potential, periodic, bonded_in_engine) for potential in left]
    if n_replicas > 1:
        for force in forces:
            _keep_replicas_apart(force, n_replicas)
    if isinstance(deployed, DeployedSites):
        choose_backend(ml_backend, has_sites=True)  # refuses what cannot evaluate them
        forces.append(create_ml_force(deployed, periodic=periodic, exact=exact))
    elif isinstance(deployed, DeployedThreeBody):
        choose_backend(ml_backend, has_three_body=True)
        forces.append(create_ml_force(deployed, periodic=periodic, exact=exact))
    elif isinstance(deployed, DeployedPairs):
        forces.append(create_ml_force(deployed, periodic=periodic))
    elif deployed is not None:
        backend = choose_backend(ml_backend).name
        forces.append(create_ml_force(deployed, backend=backend, periodic=periodic, exact=exact))
    return forces


def _bonded_or_native(potential: Potential, periodic: bool, in_engine: bool) -> openmm.Force:
    """The native force of a prior, or a `PythonForce` where that is asked for, can be had and is faster."""
    if in_engine and isinstance(potential, FadingTorsion) and hasattr(openmm, "PythonForce"):
        from openmm_cgml.engine import create_torsion_force

        return create_torsion_force(potential, periodic=periodic)
    return potential.to_openmm(periodic=periodic)


def pair_potentials_of(potentials: Sequence[Potential]) -> tuple[PairPotential, ...]:
    """The potentials that act between all pairs of beads."""
    return tuple(potential for potential in potentials if isinstance(potential, PairPotential))


def site_potentials_of(potentials: Sequence[Potential]) -> tuple[SitePairs, ...]:
    """The potentials that act between sites of the beads, which have no native force."""
    return tuple(potential for potential in potentials if isinstance(potential, SitePairs))


def three_body_potentials_of(potentials: Sequence[Potential]) -> tuple[ThreeBody, ...]:
    """The potentials of three bodies, which have no native force; at most one."""
    return tuple(potential for potential in potentials if isinstance(potential, ThreeBody))


def nonbonded_potentials_of(potentials: Sequence[Potential]) -> list[PairPotential | SitePairs]:
    """The potentials that act between all pairs of beads or of their sites."""
    return [potential for potential in potentials if isinstance(potential, PairPotential | SitePairs)]


def _keep_replicas_apart(force: openmm.Force, n_replicas: int) -> None:
    """Let a nonbonded force act within replicas only; without a neighbor list, so not for speed."""
    if isinstance(force, openmm.CustomNonbondedForce):
        n = force.getNumParticles() // n_replicas
        for replica in range(n_replicas):
            beads = range(replica * n, (replica + 1) * n)
            force.addInteractionGroup(beads, beads)


def add_forces(system: openmm.System, forces: Sequence[openmm.Force], *, force_group: int | None = None) -> None:
    """Add forces to a System, each in a force group of its own or all in one.

    Args:
        system: The System, changed in place.
        forces: The forces.
        force_group: One group for all of them; None gives each the lowest group above 0 that no force is in yet.

    Raises:
        InputError: If there are not enough groups left; OpenMM has 32.
    """
    used = {force.getForceGroup() for force in system.getForces()} | {0}
    free = [group for group in range(32) if group not in used]
    if force_group is None and len(free) < len(forces):
        raise InputError(
            f"{len(forces)} forces need a force group each and the System has {len(free)} left of OpenMM's 32; "
            "pass force_group to put them all in one"
        )
    for index, force in enumerate(forces):
        force.setForceGroup(free[index] if force_group is None else force_group)
        system.addForce(force)


def box_vectors(box: object) -> NDArray[np.float64] | None:
    """Box vectors as an array [nm], shape (3, 3); None stays None.

    Args:
        box: Vectors (rows) or the edges of a rectangular box, plain numbers in nm or an OpenMM Quantity.

    Raises:
        InputError: If the shape, a value or the orientation is wrong, or the vectors are not in OpenMM's reduced form.
    """
    if box is None:
        return None
    if unit.is_quantity(box):
        box = box.value_in_unit(unit.nanometer)  # type: ignore[attr-defined]
    elif isinstance(box, list | tuple) and any(unit.is_quantity(row) for row in box):
        box = [row.value_in_unit(unit.nanometer) for row in box]
    array = np.array(box, np.float64)
    array = np.diag(array) if array.shape == (3,) else array
    if array.shape != (3, 3) or not np.isfinite(array).all():
        raise InputError(f"box is {array.tolist()}; give three finite edges or box vectors of shape (3, 3) [nm]")
    if (np.diag(array) <= 0).any() or np.triu(array, 1).any():
        raise InputError(
            f"box vectors {array.tolist()} nm are not of the form (ax, 0, 0), (bx, by, 0), (cx, cy, cz) with ax, by "
            "and cz > 0; rotate the system, or use openmm.app.internal.unitcell.reducePeriodicBoxVectors"
        )
    tolerance = 1e-6 * array[0, 0]
    (ax, _, _), (bx, by, _), (cx, cy, _) = array
    if max(2 * abs(bx) - ax, 2 * abs(cx) - ax) > tolerance or 2 * abs(cy) - by > tolerance:
        raise InputError(
            f"box vectors {array.tolist()} nm are not reduced; take the same lattice in reduced form from "
            "openmm.app.internal.unitcell.reducePeriodicBoxVectors"
        )
    return array


def check_box(box: NDArray[np.float64] | None, cutoffs: Mapping[str, float]) -> None:
    """Refuse a box in which a bead would see two images of another within a cutoff.

    Args:
        box: Reduced box vectors [nm], shape (3, 3), or None.
        cutoffs: Cutoff [nm] by the name of what has it.

    Raises:
        InputError: If there is no box, or its smallest width is below twice the longest cutoff.
    """
    if box is None:
        raise InputError(
            "the topology has no periodic box and this force field is for periodic systems; set it with "
            "topology.setPeriodicBoxVectors(...) or pass box=... (a box much larger than the system stands for vacuum)"
        )
    if not cutoffs:
        return
    name = max(cutoffs, key=lambda key: cutoffs[key])
    # OpenMM asks for this of the diagonal of reduced vectors, which is never above the distance between faces.
    width, needed = float(np.diag(box).min()), 2 * cutoffs[name]
    if width < needed:
        raise InputError(
            f"the box is {width:.4g} nm wide and the cutoff of the {name} is {cutoffs[name]:.4g} nm; the width must be "
            f"at least {needed:.4g} nm: take a larger box, {math.ceil(100 * (needed / width) ** 3) / 100:g} times the "
            "molecules at this density"
        )


def cutoffs_of(potentials: Sequence[Potential], network_cutoff: float | None) -> dict[str, float]:
    """Cutoff [nm] of everything that has one, by name."""
    having = [*nonbonded_potentials_of(potentials), *three_body_potentials_of(potentials)]
    cutoffs = {potential.name: potential.cutoff for potential in having}
    return cutoffs if network_cutoff is None else {**cutoffs, "network": network_cutoff}


def suggest_time_step(
    potentials: Sequence[Potential],
    masses: NDArray[np.float64],
    *,
    temperature: float = 300.0,
    bonds: Sequence[Potential] | None = None,
) -> TimeStep | None:
    """The time step that the stiffest prior allows: a twentieth of its period 2 pi sqrt(mu / k); None without priors.

    The network has no part in the estimate. What else each potential allows, it says itself, see `Potential.period`: a
    bond or an angle the period at its minimum, a torsion none, a repulsion that of its curvature at an energy of 5 kT.
    Sites collide with the least inertia that their beads give them in any direction.

    Args:
        potentials: Priors bound to the beads.
        masses: Bead masses [Da], shape (n_beads,); 0 for beads that do not move.
        temperature: Temperature of the simulation [K].
        bonds: Potentials that tell the lengths of bonds, where these do not.
    """
    kt = BOLTZMANN * temperature
    lengths = bond_lengths_of(potentials if bonds is None else bonds)
    found = [period for p in potentials if (period := p.period(masses, lengths, kt)) is not None]
    if not found:
        return None
    fastest = min(found)
    return TimeStep(time_step=fastest.period / _STEPS_PER_PERIOD, period=fastest.period, term=fastest.term)


def bond_lengths_of(potentials: Sequence[Potential]) -> dict[frozenset[int], float]:
    """Equilibrium length [nm] of every bond, by its two beads."""
    bonds = [p for p in potentials if isinstance(p, BondedPotential) and p.coordinate is BOND]
    return {
        frozenset(pair): length
        for bond in bonds
        for pair, length in zip(bond.indices.tolist(), bond.minima()[0].tolist(), strict=True)
    }
