"""Integrators: one step for all forces, or several steps of the native priors within one of the network."""

from __future__ import annotations

from typing import Any

import openmm
from openmm import unit

from openmm_cgml.engine.backends import FORCE_NAME
from openmm_cgml.errors import InputError
from openmm_cgml.simulation.config import SimulationConfig

_WITHOUT_FORCES = (
    openmm.CMMotionRemover,
    openmm.AndersenThermostat,
    openmm.MonteCarloBarostat,
    openmm.MonteCarloAnisotropicBarostat,
    openmm.MonteCarloMembraneBarostat,
    openmm.MonteCarloFlexibleBarostat,
)
"""Members of a System that act on its state and exert no force."""


def create_integrator(system: openmm.System, config: SimulationConfig, seed: int) -> openmm.Integrator:
    """The integrator that a configuration asks for.

    Args:
        system: The System to integrate.
        config: Settings of the run.
        seed: Seed of the thermostat.
    """
    thermostat = config.ensemble == "NVT"
    if config.network_interval > 1:
        return create_multiple_time_step_integrator(
            system,
            time_step=config.time_step,
            network_interval=config.network_interval,
            temperature=config.temperature if thermostat else None,
            friction=config.friction,
            seed=seed,
        )
    if not thermostat:
        return openmm.VerletIntegrator(config.time_step)
    integrator = openmm.LangevinMiddleIntegrator(config.temperature, config.friction, config.time_step)
    integrator.setRandomNumberSeed(_openmm_seed(seed))
    return integrator


def create_multiple_time_step_integrator(
    system: openmm.System,
    *,
    time_step: Any,
    network_interval: int,
    temperature: Any | None = 300.0,
    friction: Any = 1.0,
    seed: int = 0,
) -> openmm.CustomIntegrator:
    """An integrator that evaluates the network only every so many steps of the native forces.

    It is OpenMM's `MTSLangevinIntegrator` (BAOAB-RESPA), or its `MTSIntegrator` without a thermostat. One of its steps
    is `network_interval` steps of the native forces: `integrator.step(100)` advances by `100 * network_interval *
    time_step`.

    Args:
        system: A System with a force called "network", as `ForceField.create_system` makes it, in a force group that no
            other force is in.
        time_step: Step of the native forces, plain ps or a Quantity.
        network_interval: Steps of the native forces per evaluation of the network.
        temperature: Of the thermostat, plain K or a Quantity; None for constant energy.
        friction: Of the thermostat, plain 1/ps or a Quantity.
        seed: Seed of the thermostat.

    Raises:
        InputError: If the System has no force called "network", no other force, or both in one force group.
    """
    inner, outer = find_force_groups(system)
    if isinstance(network_interval, bool) or int(network_interval) != network_interval or network_interval < 1:
        raise InputError(f"network_interval is {network_interval!r}; it must be a positive integer")
    groups = [(outer, 1), *((group, int(network_interval)) for group in inner)]
    step = int(network_interval) * _plain(time_step, unit.picosecond)
    if temperature is None:
        return openmm.MTSIntegrator(step, groups)
    rate = _plain(friction, unit.picosecond**-1)
    integrator = openmm.MTSLangevinIntegrator(_plain(temperature, unit.kelvin), rate, step, groups)
    integrator.setRandomNumberSeed(_openmm_seed(seed))
    return integrator


def find_force_groups(system: openmm.System) -> tuple[tuple[int, ...], int]:
    """The force groups of the native forces, and that of the network.

    Args:
        system: The System.

    Raises:
        InputError: If there is no force called "network", no other force, or both in one force group.
    """
    outer = {force.getForceGroup() for force in system.getForces() if force.getName() == FORCE_NAME}
    native = _native_forces(system)
    inner = {force.getForceGroup() for force in native}
    if not outer:
        names = ", ".join(force.getName() for force in system.getForces()) or "none"
        raise InputError(f"the System has no force called {FORCE_NAME!r}, only {names}; nothing to evaluate less often")
    if not inner:
        raise InputError("the System has no native forces to integrate between evaluations of the network")
    if len(outer) > 1 or outer & inner:
        shared = [force.getName() for force in native if force.getForceGroup() in outer]
        raise InputError(
            f"the network is in force groups {sorted(outer)} and {', '.join(shared) or 'nothing'} with it; give it one "
            "group of its own, as create_system does"
        )
    return tuple(sorted(inner)), outer.pop()


def share_group_of_priors(system: openmm.System) -> None:
    """Put all native forces of a System into the group of the first, so that they are evaluated together."""
    native = _native_forces(system)
    first = min((force.getForceGroup() for force in native), default=0)
    for force in native:
        force.setForceGroup(first)


def _native_forces(system: openmm.System) -> list[openmm.Force]:
    return [f for f in system.getForces() if f.getName() != FORCE_NAME and not isinstance(f, _WITHOUT_FORCES)]


def _plain(value: Any, of: Any) -> float:
    return float(value.value_in_unit(of)) if unit.is_quantity(value) else float(value)


def _openmm_seed(seed: int) -> int:
    return seed + 1  # OpenMM takes 0 for "any"
