"""Barostats: which ones a System has, and what they can be combined with."""

from __future__ import annotations

from typing import Any

import openmm
from openmm import unit

from openmm_cgml.errors import InputError

BAROSTATS = (
    openmm.MonteCarloBarostat,
    openmm.MonteCarloAnisotropicBarostat,
    openmm.MonteCarloMembraneBarostat,
    openmm.MonteCarloFlexibleBarostat,
)
_TEMPERATURE_TOLERANCE = 1e-3
"""Largest difference between the temperatures of thermostat and barostat [K]."""


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
