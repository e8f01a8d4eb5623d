"""GAFF-2.11 atom types of hydrocarbons, ethers, phenols, nitriles and aryl fluorides, from elements and bonds alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from openmm_cgml.errors import InputError

__all__ = ["DEFAULT_IMPROPERS", "gaff_types"]

# Aromaticity is not asked for: programs disagree about the dioxane rings of ladder polymers.
_HEAVY = {("C", 4): "c3", ("C", 3): "ca", ("C", 2): "cg", ("N", 1): "n1", ("O", 2): "os", ("F", 1): "f"}
_HYDROGEN = {"c3": "hc", "ca": "ha", "oh": "ho"}

# Amber's parmchk2 writes these with its default of 1.1 kcal/mol, since GAFF's own table lacks them.
DEFAULT_IMPROPERS = "\n".join(
    [
        '<PeriodicTorsionForce ordering="amber">',
        *(
            f'  <Improper class1="ca" class2="ca" class3="ca" class4="{kind}" periodicity1="2" phase1="{math.pi}" '
            'k1="4.6024"/>'
            for kind in ("os", "oh", "cg")
        ),
        "</PeriodicTorsionForce>",
    ]
)
"""What keeps aromatic carbons with an oxygen or a nitrile flat, as part of an OpenMM force field file."""


def gaff_types(elements: Sequence[str], bonds: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """GAFF-2.11 type of each atom of complete molecules.

    Carbons with three neighbors are taken for aromatic ones.

    Args:
        elements: Element symbols.
        bonds: Pairs of atom numbers.

    Raises:
        InputError: An atom is of a kind that the table does not hold.
    """
    neighbors: list[list[int]] = [[] for _ in elements]
    for i, j in bonds:
        neighbors[i].append(j)
        neighbors[j].append(i)
    heavy = [_heavy_type(atom, elements, neighbors) for atom in range(len(elements))]
    return tuple(heavy[i] or _hydrogen_type(i, heavy, elements, neighbors) for i in range(len(elements)))


def _heavy_type(atom: int, elements: Sequence[str], neighbors: list[list[int]]) -> str:
    """Type of an atom, empty for hydrogen."""
    if elements[atom] == "H":
        return ""
    kind = _HEAVY.get((elements[atom], len(neighbors[atom])))
    around = {elements[n] for n in neighbors[atom]}
    if kind is None or (kind == "c3" and not around <= {"C", "H"}):
        raise _unknown(atom, elements, neighbors)
    return "oh" if kind == "os" and "H" in around else kind


def _hydrogen_type(atom: int, heavy: list[str], elements: Sequence[str], neighbors: list[list[int]]) -> str:
    kinds = [_HYDROGEN.get(heavy[n]) for n in neighbors[atom]]
    if len(kinds) != 1 or kinds[0] is None:
        raise _unknown(atom, elements, neighbors)
    return kinds[0]


def _unknown(atom: int, elements: Sequence[str], neighbors: list[list[int]]) -> InputError:
    around = ", ".join(elements[n] for n in neighbors[atom]) or "nothing"
    return InputError(
        f"no GAFF type known for atom {atom}, element {elements[atom]} bonded to {around}; the table holds alkanes, "
        "aromatic rings, aryl ethers, phenols, aryl nitriles and aryl fluorides"
    )
