"""Arguments that several verbs share: a model and a system, by name or folder, completed by the shell."""

from __future__ import annotations

from typing import Annotated

import typer

from openmm_cgml.errors import InputError
from openmm_cgml.shipped import list_models, list_systems


def complete_model(incomplete: str) -> list[str]:
    """Shipped models whose names begin so."""
    return [name for name in list_models() if name.startswith(incomplete)]


def complete_system(incomplete: str) -> list[str]:
    """Shipped systems whose names begin so."""
    return [name for name in list_systems() if name.startswith(incomplete)]


Model = Annotated[
    str,
    typer.Argument(
        help="A shipped model's name (`openmm-cgml list`), or a folder: a force field, or the output of a fit or "
        "refinement.",
        autocompletion=complete_model,
    ),
]
System = Annotated[
    str,
    typer.Argument(
        help="A shipped system's name (`openmm-cgml list`), or a folder with a system.yaml.",
        autocompletion=complete_system,
    ),
]


def molecule_counts(molecules: list[str] | None) -> int | dict[str, int] | None:
    """How many molecules: one number, or a number for each residue that is named (`BNZ=1000`).

    Raises:
        InputError: If it is neither.
    """
    if not molecules:
        return None
    try:
        if len(molecules) == 1 and "=" not in molecules[0]:
            return int(molecules[0])
        pairs = [(name, int(number)) for name, number in (entry.split("=") for entry in molecules)]
    except ValueError as error:
        raise InputError(f"--molecules {' '.join(molecules)}: write 1000, or NAME=1000 for each residue") from error
    if len(dict(pairs)) != len(pairs):
        raise InputError(f"--molecules {' '.join(molecules)}: a residue is named twice; give one number for each")
    return dict(pairs)
