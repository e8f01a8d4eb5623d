"""Physical constants, and quantities with units turned into plain numbers.

One unit system everywhere: nm, kJ/mol, ps, Da, K, rad (OpenMM's); pressure in bar and density in g/cm^3.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from openmm_cgml.errors import InputError

BOLTZMANN = 0.00831446261815324
"""Boltzmann (gas) constant [kJ/mol/K], exact since the 2019 SI."""
AVOGADRO = 6.02214076e23
"""Particles per mole, exact since the 2019 SI."""
KILOCALORIE = 4.184
"""One thermochemical kilocalorie [kJ]."""
DALTON_PER_NM3_IN_G_PER_CM3 = 1e21 / AVOGADRO
"""One Da/nm^3 [g/cm^3]."""
KJ_PER_MOL_NM3_IN_BAR = 1e25 / AVOGADRO
"""One kJ/mol/nm^3 [bar]."""

# Exponents of (length, time, mass, energy per mole, temperature, angle, pressure): mole stays inside the energy, since
# kJ/mol is the unit of energy here, and pressure is its own base unit (bar).
_Dimension = tuple[int, ...]
_LENGTH, _TIME, _MASS, _ENERGY, _TEMPERATURE, _ANGLE, _PRESSURE = (
    tuple(int(i == j) for j in range(7)) for i in range(7)
)

DIMENSIONS: Mapping[str, tuple[_Dimension, str]] = MappingProxyType(
    {
        "length": (_LENGTH, "nm"),
        "time": (_TIME, "ps"),
        "mass": (_MASS, "dalton"),
        "energy": (_ENERGY, "kJ/mol"),
        "temperature": (_TEMPERATURE, "kelvin"),
        "angle": (_ANGLE, "radian"),
        "pressure": (_PRESSURE, "bar"),
        "density": ((-3, 0, 1, 0, 0, 0, 0), "g/cm^3"),
        "force": ((-1, 0, 0, 1, 0, 0, 0), "kJ/mol/nm"),
        "bond_stiffness": ((-2, 0, 0, 1, 0, 0, 0), "kJ/mol/nm^2"),
        "angle_stiffness": ((0, 0, 0, 1, 0, -2, 0), "kJ/mol/rad^2"),
        "friction": ((0, -1, 0, 0, 0, 0, 0), "1/ps"),
    }
)
"""Dimension name -> (exponents, the unit in which numbers of it are kept)."""

_UNITS: dict[str, tuple[float, _Dimension]] = {}
for _names, _factor, _base in (
    ("nm nanometer nanometers", 1.0, _LENGTH),
    ("angstrom angstroms Angstrom A Å", 0.1, _LENGTH),
    ("pm picometer", 1e-3, _LENGTH),
    ("cm", 1e7, _LENGTH),
    ("ps picosecond picoseconds", 1.0, _TIME),
    ("fs femtosecond femtoseconds", 1e-3, _TIME),
    ("ns nanosecond nanoseconds", 1e3, _TIME),
    ("us microsecond microseconds", 1e6, _TIME),
    ("s", 1e12, _TIME),
    ("dalton daltons Da amu", 1.0, _MASS),
    ("g gram", AVOGADRO, _MASS),
    ("kg", AVOGADRO * 1e3, _MASS),
    ("K kelvin", 1.0, _TEMPERATURE),
    ("rad radian radians", 1.0, _ANGLE),
    ("deg degree degrees", math.pi / 180, _ANGLE),
    ("bar", 1.0, _PRESSURE),
    ("atm atmosphere atmospheres", 1.01325, _PRESSURE),
    ("MPa", 10.0, _PRESSURE),
    ("GPa", 1e4, _PRESSURE),
    ("kPa", 0.01, _PRESSURE),
):
    for _name in _names.split():
        _UNITS[_name] = (_factor, _base)
_MOLAR = {"kJ": 1.0, "kcal": KILOCALORIE, "J": 1e-3, "cal": KILOCALORIE * 1e-3}

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*$", re.DOTALL)
_FACTOR = re.compile(r"\s*([*/]?)\s*(?:(1)(?![\d.])|([A-Za-zÅ]+)(?:\s*(?:\^|\*\*)\s*(-?\d+))?)")


def parse_quantity(value: Any, dimension: str) -> float:
    """The number that a text like `"8 angstrom"` or an OpenMM `Quantity` means, in our unit of `dimension`.

    Args:
        value: Text of a number and a unit (`"20 kcal/mol/angstrom^2"`), or an `openmm.unit.Quantity`.
        dimension: A key of `DIMENSIONS`.

    Raises:
        InputError: If the unit is missing, unknown, of another dimension, or the number is not finite.
    """
    if dimension not in DIMENSIONS:
        raise InputError(f"unknown dimension {dimension!r}; one of {', '.join(DIMENSIONS)}")
    expected, unit_name = DIMENSIONS[dimension]
    if hasattr(value, "value_in_unit"):
        return _from_openmm(value, dimension)
    example = f'for example "{1.0:g} {unit_name}"'
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"{value!r} is not a {dimension}; write a number and a unit, {example}")
    match = _NUMBER.match(str(value))
    if match is None:
        raise InputError(f"{value!r} is not a {dimension}; write a number and a unit, {example}")
    number, unit_text = float(match[1]), match[2]
    if not math.isfinite(number):
        raise InputError(f"{value!r} is not a finite {dimension}; {example}")
    if not unit_text:
        raise InputError(f"{value!r} has no unit; a {dimension} needs one, {example}")
    factor, found = _parse_unit(unit_text, value)
    if found != expected:
        raise InputError(f"{value!r} is not a {dimension}: {unit_text!r} has another dimension; {example}")
    return number * factor / _parse_unit(unit_name, unit_name)[0]


def value_in(value: Any, dimension: str) -> float:
    """`value` as a finite float in our unit of `dimension`: plain numbers are taken as such, the rest is parsed.

    Raises:
        InputError: As `parse_quantity`, and for a number that is not finite.
    """
    if isinstance(value, str) or hasattr(value, "value_in_unit"):
        return parse_quantity(value, dimension)
    number = float(value)
    if not math.isfinite(number):
        raise InputError(f"{value!r} is not a finite {dimension} [{DIMENSIONS[dimension][1]}]")
    return number


def _parse_unit(text: str, whole: Any) -> tuple[float, _Dimension]:
    factor, exponents, position, moles = 1.0, [0] * 7, 0, 0
    while position < len(text):
        match = _FACTOR.match(text, position)
        if match is None:
            raise InputError(f"cannot read the unit in {whole!r} at {text[position:]!r}; write it like kJ/mol/nm^2")
        sign = -1 if match[1] == "/" else 1
        position = match.end()
        if match[2]:
            continue
        name, power = match[3], sign * int(match[4] or 1)
        if name == "mol":
            moles += power
        elif name in _MOLAR:
            factor *= _MOLAR[name] ** power
            moles += power
            exponents[3] += power
        elif name in _UNITS:
            unit_factor, base = _UNITS[name]
            factor *= unit_factor**power
            exponents = [e + power * b for e, b in zip(exponents, base, strict=True)]
        else:
            known = ", ".join(sorted({*_UNITS, *_MOLAR, "mol"}))
            raise InputError(f"unknown unit {name!r} in {whole!r}; known are {known}")
    if moles != 0:
        raise InputError(f"energies are per mole here; write {whole!r} with kJ/mol or kcal/mol")
    return factor, tuple(exponents)


def _from_openmm(quantity: Any, dimension: str) -> float:
    from openmm import unit

    units = {
        "length": unit.nanometer,
        "time": unit.picosecond,
        "mass": unit.dalton,
        "energy": unit.kilojoule_per_mole,
        "temperature": unit.kelvin,
        "angle": unit.radian,
        "pressure": unit.bar,
        "density": unit.gram / unit.centimeter**3,
        "force": unit.kilojoule_per_mole / unit.nanometer,
        "bond_stiffness": unit.kilojoule_per_mole / unit.nanometer**2,
        "angle_stiffness": unit.kilojoule_per_mole / unit.radian**2,
        "friction": unit.picosecond**-1,
    }
    try:
        number = float(quantity.value_in_unit(units[dimension]))
    except (TypeError, AttributeError) as error:
        raise InputError(f"{quantity} is not a {dimension}; it needs a unit like {DIMENSIONS[dimension][1]}") from error
    if not math.isfinite(number):
        raise InputError(f"{quantity} is not a finite {dimension}")
    return number
