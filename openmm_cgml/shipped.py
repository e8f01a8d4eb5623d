"""Which folder a name or path of a model or system means; imports nothing heavy.

The published ones lie beside the package in a checkout, inside it in an installed wheel.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from openmm_cgml.errors import InputError

_PACKAGE = Path(__file__).resolve().parent
_MODEL, _SYSTEM = "manifest.json", "system.yaml"  # the files by which a model and a system are known
RESULT = "force_field"
"""The model in the output folder of a fit or a refinement."""


def find_model(name_or_path: str | os.PathLike[str]) -> Path:
    """Folder of a model: a force field, or what a name or path means that is asked for one.

    That is the folder itself, the force field in the output folder of a fit or a refinement, or the shipped model of
    that name (`benzene-1bead`, `models/benzene-1bead`).

    Raises:
        InputError: If there is none; the message says what was looked for and lists the shipped names.
    """
    path = Path(name_or_path)
    if path.parts and not (path / _MODEL).is_file() and (path / RESULT / _MODEL).is_file():
        return path / RESULT
    return _find(name_or_path, kind="models", marker=_MODEL, nested=RESULT, what="model")


def find_system(name_or_path: str | os.PathLike[str]) -> Path:
    """Folder of a system: an existing one, that of a `system.yaml`, or the shipped one of that name.

    Raises:
        InputError: If there is none; the message lists the shipped names.
    """
    path = Path(name_or_path)
    if path.name == _SYSTEM and path.is_file():
        return path.parent
    return _find(name_or_path, kind="systems", marker=_SYSTEM, nested=None, what="system")


def list_models() -> tuple[str, ...]:
    """Names of the shipped models."""
    return _names("models", _MODEL)


def list_systems() -> tuple[str, ...]:
    """Names of the shipped systems."""
    return _names("systems", _SYSTEM)


def _find(name_or_path: str | os.PathLike[str], *, kind: str, marker: str, nested: str | None, what: str) -> Path:
    text = os.fspath(name_or_path)
    if not text:
        raise InputError(f"the name of the {what} is empty; {_known(kind, marker)}")
    path = Path(text)
    if (path / marker).is_file():
        return path
    name = path.parts[-1] if len(path.parts) == 2 and path.parts[0] == kind else text
    if name in _names(kind, marker):
        return _root(kind) / name
    looked = f"{path / marker}" + (f" and {path / nested / marker}" if nested else "")
    if path.is_dir():
        raise InputError(f"{path} is no {what}: looked for {looked}; {_unfinished(path, nested)}{_known(kind, marker)}")
    close = difflib.get_close_matches(name, _names(kind, marker), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise InputError(
        f"no {what} {text!r}: no shipped name, and no folder (looked for {looked}); {hint}{_known(kind, marker)}"
    )


def _unfinished(path: Path, nested: str | None) -> str:
    """What to do with the folder of a fit that holds no force field yet."""
    if nested is None or not (path / "checkpoints").is_dir():
        return ""
    return f"{nested}/ is written when a fit or a refinement has finished: go on with --resume. "


def _known(kind: str, marker: str) -> str:
    return f"shipped {kind}: {', '.join(_names(kind, marker)) or 'none'}"


def _names(kind: str, marker: str) -> tuple[str, ...]:
    root = _root(kind)
    return tuple(sorted(entry.parent.name for entry in root.glob(f"*/{marker}"))) if root.is_dir() else ()


def _root(kind: str) -> Path:
    installed = _PACKAGE / "_shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
