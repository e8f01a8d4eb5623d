"""The texts of `templates/`, and how numbers stand in them."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from string import Template
from typing import Protocol as Interface

from openmm_cgml.starting.protocol import Protocol

__all__ = [
    "Described",
    "commands_from_data",
    "counted",
    "filled",
    "pressure_text",
    "reason_of_step",
    "reference_command",
]

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


def reference_command(folder: Path) -> str:
    """The command line that simulates the atomistic system of a folder and maps it."""
    name = shlex.quote(str(folder))
    return f"openmm-cgml reference {name} -o {name}/runs/reference --map {name}/runs/data"


def commands_from_data(folder: Path, numbers: str, duration: str) -> list[str]:
    """The command lines from the mapped data of a folder to a report.

    Args:
        folder: The folder.
        numbers: Options of `simulate` that say how many molecules or chains.
        duration: Length of the simulation.
    """
    name = shlex.quote(str(folder))
    runs = f"{name}/runs"
    return [
        f"openmm-cgml fit {name}/fit.yaml -o {runs}/fit",
        f"openmm-cgml refine {runs}/fit --data {runs}/data --config {name}/refine.yaml -o {runs}/refined",
        f'openmm-cgml simulate {runs}/refined {numbers} --duration "{duration}" -o {runs}/nvt',
        f"openmm-cgml validate {runs}/nvt --reference {runs}/data -o {runs}/report",
    ]


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
