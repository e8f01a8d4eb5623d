"""Barostats: which ones a System has, and what they can be combined with."""

from __future__ import annotations

from typing import Any

import openmm
from openmm import unit

from openmm_cgml.errors import InputError
from openmm_cgml.simulation.config import SimulationConfig

BAROSTATS = (
    openmm.MonteCarloBarostat,
    openmm.MonteCarloAnisotropicBarostat,
    openmm.MonteCarloMembraneBarostat,
    openmm.MonteCarloFlexibleBarostat,
)
_TEMPERATURE_TOLERANCE = 1e-3
"""Largest difference between the temperatures of thermostat and barostat [K]."""
_SEED_OFFSET = 2
"""The thermostat has the seed itself and the velocities the next."""


def add_barostat(system: openmm.System, config: SimulationConfig) -> None:
    """Add the barostat that a configuration asks for to a System, which is changed; none without a pressure.

    Args:
        system: The System, periodic.
        config: Settings of the run.

    Raises:
        InputError: If the System is not periodic, has a barostat already, or OpenMM cannot scale beads one by one.
    """
    if config.pressure is None:
        return
    if not system.usesPeriodicBoundaryConditions():
        raise InputError(f"a pressure of {config.pressure:g} bar needs a periodic box, and the System has none")
    if found := find_barostats(system):
        raise InputError(
            f"the System has a {type(found[0]).__name__} and the configuration a pressure of {config.pressure:g} bar; "
            "keep one of them"
        )
    barostat = _create_barostat(config)
    barostat.setRandomNumberSeed(config.seed + _SEED_OFFSET)
    if config.scaling == "beads":
        if not hasattr(barostat, "setScaleMoleculesAsRigid"):
            raise InputError(
                f"scaling beads needs OpenMM 8.6, here is {openmm.version.version}: take scaling molecules, or update"
            )
        barostat.setScaleMoleculesAsRigid(False)
    system.addForce(barostat)


def _create_barostat(config: SimulationConfig) -> Any:
    pressure, temperature, coupling = config.pressure, config.temperature, config.pressure_coupling
    # OpenMM counts steps of the integrator, each of which holds several of the priors where the network is slower.
    interval = max(1, round(config.barostat_interval / config.network_interval))
    if coupling == "isotropic":
        return openmm.MonteCarloBarostat(pressure, temperature, interval)
    if coupling == "semi-isotropic":
        kind = openmm.MonteCarloMembraneBarostat
        return kind(pressure, 0.0, temperature, kind.XYIsotropic, kind.ZFree, interval)
    axes = [coupling in ("anisotropic", axis) for axis in "xyz"]
    return openmm.MonteCarloAnisotropicBarostat([pressure] * 3, temperature, *axes, interval)


def find_barostats(system: openmm.System) -> list[Any]:
    """The barostats of a System that act."""
    return [force for force in system.getForces() if isinstance(force, BAROSTATS) and force.getFrequency() > 0]


def check_barostats(system: openmm.System, *, temperature: float, ensemble: str, replicas: int, n_frozen: int) -> None:
    """Check that the barostats of a System fit the rest of a simulation.

    Args:
        system: The System.
        temperature: Temperature of the thermostat [K].
        ensemble: "NVT" or "NVE".
        replicas: Copies in the System.
        n_frozen: Beads of mass 0 that are no virtual sites.

    Raises:
        InputError: Naming what they do not go together with.
    """
    barostats = find_barostats(system)
    if not barostats:
        return
    name = type(barostats[0]).__name__
    if len(barostats) > 1:
        raise InputError(f"the System has {len(barostats)} barostats, which would scale one box; keep one")
    if replicas > 1:
        raise InputError(
            f"{replicas} replicas share one box, and {name} would couple their volumes, which is no ensemble: simulate "
            "them one by one, or at constant volume"
        )
    if ensemble == "NVE":
        raise InputError(f"a {name} does work on the System, so nothing conserves its energy; take ensemble NVT")
    if n_frozen:
        raise InputError(
            f"a {name} would move the {n_frozen} beads of mass 0, which are to stay where they are; simulate at "
            "constant volume, or give them a mass and a restraint"
        )
    own = barostats[0].getDefaultTemperature().value_in_unit(unit.kelvin)
    if abs(own - temperature) > _TEMPERATURE_TOLERANCE:
        raise InputError(
            f"the {name} of the System is for {own:g} K and the thermostat for {temperature:g} K; give both the same"
        )
