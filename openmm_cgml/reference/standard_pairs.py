"""The energy of one pair in OpenMM's NonbondedForce as an expression in its distance."""

from __future__ import annotations

import math
from collections.abc import Sequence

import openmm
from openmm import unit

__all__ = ["combined_parameters", "pair_energy", "plain_pair_energy", "switch_expression"]

# OpenMM's ONE_4PI_EPS0 (SimTKOpenMMRealType.h), which its Python layer does not expose.
_COULOMB_CONSTANT = 138.93545764438198  # kJ nm / (mol e^2)
_COULOMB = f"{_COULOMB_CONSTANT}*charge_product/r"
_LENNARD_JONES = "4*epsilon*((sigma/r)^12 - (sigma/r)^6)"


def plain_pair_energy() -> str:
    """Energy [kJ/mol] of an exception, in r, charge_product, sigma and epsilon: without cutoff in every method."""
    return f"{_COULOMB} + {_LENNARD_JONES}"


def pair_energy(force: openmm.NonbondedForce) -> str:
    """Energy [kJ/mol] of an ordinary pair, in r, charge_product, sigma and epsilon.

    No cutoff takes all of Coulomb's energy, Ewald methods all but what their cutoff in real space costs; a cutoff takes
    its reaction field (OpenMM User Guide, "Coulomb Interaction With Cutoff"). Lennard-Jones has the cutoff and the
    switch of the force.
    """
    method, cutoff = force.getNonbondedMethod(), force.getCutoffDistance().value_in_unit(unit.nanometer)
    if method == force.NoCutoff:
        return plain_pair_energy()
    switch = force.getSwitchingDistance().value_in_unit(unit.nanometer) if force.getUseSwitchingFunction() else None
    lennard_jones = f"{switch_expression(cutoff, switch)}*{_LENNARD_JONES}"
    if method in (force.PME, force.Ewald):
        # The part in real space, erfc(alpha r)/r, ends at the cutoff.
        return f"{_COULOMB}*(1 - step(r - {cutoff!r})*erfc({_ewald_alpha(force)!r}*r)) + {lennard_jones}"
    dielectric = force.getReactionFieldDielectric()
    k_rf = (dielectric - 1) / (2 * dielectric + 1) / cutoff**3
    c_rf = 3 * dielectric / (2 * dielectric + 1) / cutoff
    coulomb = f"{_COULOMB_CONSTANT}*charge_product*(1/r + {k_rf!r}*r^2 - {c_rf!r})"
    return f"step({cutoff!r} - r)*{coulomb} + {lennard_jones}"


def _ewald_alpha(force: openmm.NonbondedForce) -> float:
    """Inverse width of the charge clouds [1/nm], by OpenMM's rule where it is not set (NonbondedForceImpl)."""
    given = force.getPMEParameters()[0]
    alpha = given.value_in_unit(unit.nanometer**-1) if unit.is_quantity(given) else given
    cutoff = force.getCutoffDistance().value_in_unit(unit.nanometer)
    return float(alpha) or math.sqrt(-math.log(2 * force.getEwaldErrorTolerance())) / cutoff


def switch_expression(cutoff: float, switch: float | None) -> str:
    """The factor of a pair energy in r: 1 up to the switching distance, 0 beyond the cutoff.

    Args:
        cutoff: [nm]
        switch: Distance from which OpenMM's fifth-order polynomial takes the energy to zero [nm]; None for none.
    """
    inside = f"step({cutoff!r} - r)"
    if switch is None or switch >= cutoff:
        return inside
    x = f"((r - {switch!r})/{cutoff - switch!r})"
    return f"{inside}*(1 - step(r - {switch!r})*{x}^3*(10 - 15*{x} + 6*{x}^2))"


def combined_parameters(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Charge product [e^2], sigma [nm] and epsilon [kJ/mol] of a pair by OpenMM's rules (Lorentz-Berthelot).

    Args:
        first: Charge [e], sigma [nm] and epsilon [kJ/mol] of one particle.
        second: Those of the other.
    """
    (charge_1, sigma_1, epsilon_1), (charge_2, sigma_2, epsilon_2) = first, second
    return [charge_1 * charge_2, 0.5 * (sigma_1 + sigma_2), (epsilon_1 * epsilon_2) ** 0.5]
