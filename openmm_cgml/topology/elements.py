"""Elements for beads, so that their masses pass through OpenMM, ParmEd, MDAnalysis and mdtraj."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterable
from typing import Any

from openmm_cgml.errors import InputError

Kind = tuple[str, float]
"""A bead type and a mass [Da]."""


def register_elements(kinds: Iterable[Kind]) -> dict[Kind, Any]:
    """OpenMM `Element` of each bead type and mass, made on first use and known to mdtraj too where that is imported.

    Args:
        kinds: Bead types with their masses [Da].

    The symbol is a letter and a digit derived from the type's name and mass, or the next one that is free, so a file
    says which it has (`register_symbol`).

    Raises:
        InputError: If there are more kinds than symbols.
    """
    elements = {}
    for name, mass in dict.fromkeys(kinds):
        label = _label(name, mass)
        if label not in _REGISTERED:
            free = next((symbol for symbol in _symbols(label) if _is_free(symbol)), None)
            if free is None:
                raise InputError(f"beads of more than {len(_SYMBOLS)} types and masses in one process; start another")
            _register(label, free, mass)
        _register_with_mdtraj(_REGISTERED[label], mass)
        elements[name, mass] = _REGISTERED[label]
    return elements


def register_symbol(symbol: str, mass: float) -> None:
    """Make a symbol of a file known as the element of beads of a mass, to OpenMM, and to mdtraj if it is imported.

    Args:
        symbol: A symbol that `register_elements` gave in another process.
        mass: Mass [Da].

    Raises:
        InputError: If it is no such symbol, or one of beads of another mass here.
    """
    from openmm import app, unit

    if symbol not in _SYMBOLS or not 0 < mass < math.inf:
        raise InputError(f"element symbol {symbol!r} and mass {mass} Da are not those of beads")
    known = app.Element._elements_by_symbol.get(symbol)
    if known is None:
        known = _register(symbol, symbol, mass)
    elif not math.isclose(known.mass.value_in_unit(unit.dalton), mass, rel_tol=1e-6):
        raise InputError(
            f"element symbol {symbol!r} stands for beads of {mass:.4f} Da, and in what this process has read or made "
            f"before for {known.name!r} of {known.mass}; read the file in a process of its own"
        )
    _register_with_mdtraj(known, mass)


_REGISTERED: dict[str, Any] = {}
_SYMBOLS = [f"{letter}{digit}" for letter in "QXZJGLMRTDEW" for digit in "123456789"]


def _label(name: str, mass: float) -> str:
    return f"{name}:{mass:.4f}"


def _symbols(label: str) -> list[str]:
    start = int.from_bytes(hashlib.sha256(label.encode()).digest()[:4], "big") % len(_SYMBOLS)
    return _SYMBOLS[start:] + _SYMBOLS[:start]


def _is_free(symbol: str) -> bool:
    from openmm import app

    return symbol not in {taken.upper() for taken in app.Element._elements_by_symbol}


def _register(label: str, symbol: str, mass: float) -> Any:
    from openmm import app, unit

    element = app.Element(1000 + _SYMBOLS.index(symbol), f"bead {label}", symbol, mass * unit.dalton)
    _REGISTERED.setdefault(label, element)
    return element


def _register_with_mdtraj(element: Any, mass: float) -> None:
    module = sys.modules.get("mdtraj.core.element")
    if module is not None and element.symbol.upper() not in module.Element._elements_by_symbol:
        module.Element(element.atomic_number, element.name, element.symbol, mass, 0.2)
