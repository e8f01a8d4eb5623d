"""Where the published models and systems lie: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from openmm_cgml.errors import InputError

_PACKAGE = Path(__file__).resolve().parent


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """Folder of a model: an existing one, or the shipped one of that name (`benzene-1bead`, `models/benzene-1bead`).

    Raises:
        InputError: If there is neither; the message lists the shipped names.
    """
    return _find(name_or_path, kind="models", marker="manifest.json", what="model")


def find_system(name_or_path: str | os.PathLike[str]) -> Path:
    """Folder of a system: an existing one, that of a `system.yaml`, or the shipped one of that name.

    Raises:
        InputError: If there is none; the message lists the shipped names.
    """
    path = Path(name_or_path)
    if path.name == "system.yaml" and path.is_file():
        return path.parent
    return _find(name_or_path, kind="systems", marker="system.yaml", what="system")


def list_models() -> tuple[str, ...]:
    """Names of the shipped models."""
    return _names("models", "manifest.json")


def list_systems() -> tuple[str, ...]:
    """Names of the shipped systems."""
    return _names("systems", "system.yaml")


def _find(name_or_path: str | os.PathLike[str], *, kind: str, marker: str, what: str) -> Path:
    text = os.fspath(name_or_path)
    if not text:
        raise InputError(f"the name of the {what} is empty; {_known(kind, marker)}")
    path = Path(text)
    if (path / marker).is_file():
        return path
    name = path.parts[-1] if len(path.parts) == 2 and path.parts[0] == kind else text
    if name in _names(kind, marker):
        return _root(kind) / name
    if path.is_dir():
        raise InputError(f"{path} is a folder without {marker}, so it is no {what}; {_known(kind, marker)}")
    close = difflib.get_close_matches(name, _names(kind, marker), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(
        f"no {what} {text!r}: neither a folder with {marker} nor a shipped name; {hint}{_known(kind, marker)}"
    )


def _known(kind: str, marker: str) -> str:
    return f"shipped {kind}: {', '.join(_names(kind, marker)) or 'none'}"


def _names(kind: str, marker: str) -> tuple[str, ...]:
    root = _root(kind)
    return tuple(sorted(entry.parent.name for entry in root.glob(f"*/{marker}"))) if root.is_dir() else ()


def _root(kind: str) -> Path:
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
