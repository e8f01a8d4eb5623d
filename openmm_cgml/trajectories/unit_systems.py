"""Systems of units of other programs, and the one place where their numbers become ours: nm, ps, Da, kJ/mol, nm/ps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from openmm_cgml.errors import InputError
from openmm_cgml.units import AVOGADRO, KILOCALORIE

__all__ = ["UNIT_SYSTEMS", "UnitSystem", "find_unit_system", "lennard_jones_units"]

_ELECTRONVOLT = 1.602176634e-19 * AVOGADRO / 1e3  # kJ/mol, exact since the 2019 SI
_BOHR = 0.052917721090  # nm, CODATA 2022
_HARTREE = 4.3597447222060e-18 * AVOGADRO / 1e3  # kJ/mol, CODATA 2022
_ATOMIC_TIME = 2.4188843265864e-5  # ps, CODATA 2022
_JOULE = AVOGADRO / 1e3  # per particle, in kJ/mol


@dataclass(frozen=True, kw_only=True)
class UnitSystem:
    """What one unit of each quantity is in ours.

    Attributes:
        name: Its name, as the program calls it.
        length: In nm.
        time: Of times and time steps, in ps.
        mass: In Da.
        energy: In kJ/mol.
        speed: In nm/ps; programs do not always measure it in their own lengths and times.
    """

    name: str
    length: float
    time: float
    mass: float
    energy: float
    speed: float

    @property
    def force(self) -> float:
        """In kJ/mol/nm: all programs here measure it as energy over length."""
        return self.energy / self.length


def _system(
    name: str, length: float, time: float, mass: float, energy: float, speed: float | None = None
) -> UnitSystem:
    return UnitSystem(
        name=name, length=length, time=time, mass=mass, energy=energy, speed=length / time if speed is None else speed
    )


UNIT_SYSTEMS: Mapping[str, UnitSystem] = MappingProxyType(
    {
        system.name: system
        for system in (
            _system("openmm", 1.0, 1.0, 1.0, 1.0),
            _system("gromacs", 1.0, 1.0, 1.0, 1.0),
            _system("mdanalysis", 0.1, 1.0, 1.0, 1.0),
            _system("amber", 0.1, 1.0, 1.0, KILOCALORIE),
            _system("real", 0.1, 1e-3, 1.0, KILOCALORIE),
            _system("metal", 0.1, 1.0, 1.0, _ELECTRONVOLT),
            _system("si", 1e9, 1e12, 1e3 * AVOGADRO, _JOULE),
            _system("cgs", 1e7, 1e12, AVOGADRO, 1e-7 * _JOULE),
            _system("electron", _BOHR, 1e-3, 1.0, _HARTREE, _BOHR / _ATOMIC_TIME),
            # ASE: angstrom, eV, amu; its time is angstrom sqrt(amu/eV), which follows from these.
            _system("ase", 0.1, 0.1 / _ELECTRONVOLT**0.5, 1.0, _ELECTRONVOLT),
        )
    }
)
"""Units by name: those of LAMMPS (real, metal, si, cgs, electron), of Amber, GROMACS, OpenMM, MDAnalysis and ASE."""


def lennard_jones_units(*, length: float, energy: float, mass: float) -> UnitSystem:
    """The `lj` units of LAMMPS, whose numbers mean nothing without three scales.

    Args:
        length: sigma [nm].
        energy: epsilon [kJ/mol].
        mass: Unit of mass [Da].

    Raises:
        InputError: A scale is not positive.
    """
    scales = {"length": length, "energy": energy, "mass": mass}
    for name, value in scales.items():
        if not value > 0:
            raise InputError(f"the {name} of lj units is {value}; a positive number is needed")
    return _system("lj", time=length * (mass / energy) ** 0.5, **scales)


def find_unit_system(name: str) -> UnitSystem:
    """The units called `name`.

    Raises:
        InputError: There are none of that name, or they need scales.
    """
    if name == "lj":
        raise InputError(
            "lj units mean nothing without sigma, epsilon and a mass: give --lj-scales '0.34 nm, 0.996 kJ/mol, 39.95 "
            "Da', "
            "or lennard_jones_units(length=..., energy=..., mass=...) in Python"
        )
    if name not in UNIT_SYSTEMS:
        raise InputError(f"unknown units {name!r}; known are {', '.join(UNIT_SYSTEMS)} and lj (with its scales)")
    return UNIT_SYSTEMS[name]
