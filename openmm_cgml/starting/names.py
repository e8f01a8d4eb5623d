"""Names of systems and residues that OpenMM, PDB and mmCIF keep as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from openmm_cgml.errors import InputError
from openmm_cgml.residues.names import is_known_residue

__all__ = ["chain_residue_names", "check_system_name", "residue_names"]

_SYSTEM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_WATER = "HOH"


def check_system_name(name: str) -> None:
    """Refuse a name that folders, files and shells may not take as it is.

    Raises:
        InputError: It has other signs than letters, digits, '.', '-' and '_'.
    """
    if not _SYSTEM_NAME.fullmatch(name):
        raise InputError(f"name {name!r}: use letters, digits, '.', '-' and '_', beginning with a letter or digit")


def residue_names(system: str, is_water: Sequence[bool]) -> tuple[str, ...]:
    """A name of three letters or digits for each kind of molecule; water is HOH.

    One kind is called after the system; several are M01, M02, and so on. Names that files or programs take for
    something known (amino acids, nucleotides, solvents) are not given.

    Args:
        system: Name of the system.
        is_water: Whether each kind is water.
    """
    if len(is_water) == 1:
        return (_WATER if is_water[0] else _after(system),)
    return tuple(_WATER if water else f"M{number:02}" for number, water in enumerate(is_water, 1))


def chain_residue_names(system: str) -> tuple[str, str, str]:
    """Names of the first, the inner and the last residue of a chain: two letters of the system's name and H, M or T.

    Args:
        system: Name of the system.
    """
    letters = re.sub(r"[^A-Z0-9]", "", system.upper())
    seconds = [*letters[1:], *"123456789"]
    for first in (letters[:1] if letters[:1].isalpha() else "P", "P"):
        for second in seconds:
            names = (f"{first}{second}H", f"{first}{second}M", f"{first}{second}T")
            if not any(map(is_known_residue, names)):
                return names
    return "P0H", "P0M", "P0T"


def _after(system: str) -> str:
    """Three letters of a name: the first ones, or with fewer vowels, that mean nothing else."""
    letters = re.sub(r"[^A-Z0-9]", "", system.upper())
    consonants = letters[:1] + re.sub(r"[AEIOUY]", "", letters[1:])
    candidates = [letters[:3], consonants[:3], *(letters[:2] + digit for digit in "123456789"), "M01"]
    return next(name for name in candidates if len(name) == 3 and name[0].isalpha() and not is_known_residue(name))
