"""Arguments that several verbs share: a model and a system, by name or folder, completed by the shell."""

from __future__ import annotations

from typing import Annotated

import typer

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
