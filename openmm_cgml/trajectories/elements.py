"""Elements of atoms of which a file gives only masses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

__all__ = ["element_masses", "elements_of_masses"]

_TOLERANCE, _ROUNDED = 0.02, 0.06  # Da; of masses with two decimals and more, and with fewer (1.0, 35.5)
_UNITED = {13.019: "C", 14.027: "C", 15.035: "C", 16.043: "C"}
"""CH to CH4, which lie near nitrogen and oxygen."""
_UNITED_TOLERANCE = 0.004


def elements_of_masses(masses: NDArray[np.float64]) -> tuple[str, ...]:
    """Element symbols of atoms of these masses [Da]; those of united CH, CH2, CH3 and CH4 are carbon.

    Args:
        masses: Masses, shape (n_atoms,).

    Raises:
        InputError: No element has such a mass.
    """
    values, inverse = np.unique(masses, return_inverse=True)
    symbols = [_element_of(float(mass)) for mass in values]
    return tuple(symbols[number] for number in inverse.tolist())


def element_masses(elements: tuple[str, ...]) -> NDArray[np.float64]:
    """Masses of elements [Da], shape (n_atoms,).

    Raises:
        InputError: A symbol is of no element.
    """
    from openmm import app

    known: dict[str, float] = {}
    for symbol in dict.fromkeys(elements):
        try:
            known[symbol] = float(app.Element.getBySymbol(symbol.capitalize()).mass._value)
        except KeyError as error:
            raise InputError(f"{symbol!r} is the symbol of no element; correct the topology") from error
    return np.array([known[symbol] for symbol in elements])


def _element_of(mass: float) -> str:
    from openmm.app import element

    for united, symbol in _UNITED.items():
        if abs(mass - united) < _UNITED_TOLERANCE:
            return symbol
    known = {e.symbol: float(e.mass._value) for e in element.Element._elements_by_symbol.values()}
    known = {symbol: value for symbol, value in known.items() if symbol != "D" and value > 0}
    symbol = min(known, key=lambda name: abs(known[name] - mass))
    is_rounded = abs(10 * mass - round(10 * mass)) < 1e-6
    if abs(known[symbol] - mass) > (_ROUNDED if is_rounded else _TOLERANCE):
        raise InputError(
            f"no element has a mass of {mass:g} Da (the nearest is {symbol}, {known[symbol]:g}): masses moved to "
            "hydrogens, united atoms or beads? Give a topology file that names elements (prmtop, tpr, PDB, mmCIF)"
        )
    return symbol
