"""The texts of `templates/`, and how numbers stand in them."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from string import Template
from typing import Protocol as Interface

from openmm_cgml.starting.protocol import Protocol

__all__ = ["Described", "counted", "filled", "pressure_text", "reason_of_step"]

ATMOSPHERE = 1.01325  # bar


class Described(Interface):
    """What every template may ask of a system."""

    @property
    def folder(self) -> Path:
        """Its folder, as commands name it."""

    @property
    def description(self) -> str:
        """One line."""

    @property
    def temperature(self) -> float:
        """Temperature [K]."""

    @property
    def pressure(self) -> float:
        """Pressure [bar]."""


def filled(template: str, start: Described, **values: str) -> str:
    """A template of this package with what is to stand in it."""
    text = (resources.files(__package__) / "templates" / template).read_text(encoding="utf8")
    return Template(text).substitute(
        name=start.folder.name,
        folder=shlex.quote(str(start.folder)),
        description=start.description,
        temperature=f"{start.temperature:g} kelvin",
        pressure=pressure_text(start.pressure),
        **values,
    )


def pressure_text(pressure: float) -> str:
    """A pressure [bar] with its unit."""
    return "1 atm" if pressure == ATMOSPHERE else f"{pressure:g} bar"


def counted(number: int, what: str) -> str:
    """A number with what it is of, in the plural if need be."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def reason_of_step(protocol: Protocol) -> str:
    """Why the time step is what it is."""
    if protocol.shortest_period is None:
        return "none is, and 4 fs are safe."
    period = f"a bond of {1000 * protocol.shortest_period:.1f} fs period"
    if protocol.time_step >= 0.004:
        return f"{period}, more than five steps of 4 fs. If a run becomes unstable, take 2 fs."
    return f"{period}, less than five steps of 4 fs, so it is 2 fs."
