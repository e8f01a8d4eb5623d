"""Names of residues and beads in files: which can be written, and which other programs read as something else.

OpenMM and mdtraj rename residues and atoms of biomolecules and water as they read PDB and mmCIF files (SOL, WAT and
TIP3 become HOH), and add the bonds that standard residues have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from openmm_cgml.errors import InputError

_WRITABLE = re.compile(r"[!-~]+")
_RESERVED = re.compile(r"[_$'\[\];].*|[.?]|.*[#\"].*|(data|save)_.*|(loop|stop|global)_", re.IGNORECASE)
_ONLY_MDTRAJ = {"HSE": "HIS", "H20": "HOH"}
"""Residues that mdtraj renames and OpenMM does not."""


def residue_name_in_files(name: str) -> str:
    """The name that a residue called `name` has once OpenMM or mdtraj has read it from a file."""
    return _replacements()[0].get(name, name)


def is_known_residue(name: str) -> bool:
    """Whether OpenMM or mdtraj takes a residue of this name for one it knows: an amino acid, a nucleotide, water."""
    known = _replacements()[0]
    return name in known or name in known.values()


def bead_name_in_files(residue: str, bead: str) -> str:
    """The name that a bead has once OpenMM has read it from a file.

    Args:
        residue: Name of its residue, before or after reading.
        bead: Name of the bead.
    """
    return _replacements()[1].get(residue_name_in_files(residue), {}).get(bead, bead)


def names_in_files(residue: str, beads: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The names that a residue and its beads have once OpenMM has read them from a file."""
    return residue_name_in_files(residue), tuple(bead_name_in_files(residue, bead) for bead in beads)


def check_name(name: str, what: str) -> None:
    """Refuse a name that PDB, mmCIF and other files of molecules cannot hold.

    Args:
        name: The name.
        what: What has it, for the message.

    Raises:
        InputError: If the name is empty, has blanks or other signs than those of ASCII, or means something in mmCIF.
    """
    if not _WRITABLE.fullmatch(name) or _RESERVED.fullmatch(name):
        raise InputError(
            f"{what} is called {name!r}, which files of molecules cannot hold; use letters and digits, no blanks, # or "
            "double quotes, and none of _ $ ' [ ] ; in front"
        )


def check_names(residue: str, beads: tuple[str, ...]) -> None:
    """Refuse a residue whose names files cannot hold, or whose beads would not come back from one as they are.

    Raises:
        InputError: Naming the residue and the bead.
    """
    check_name(residue, "a residue")
    for bead in beads:
        check_name(bead, f"a bead of residue {residue!r}")
    name, read = names_in_files(residue, beads)
    for bead, same in zip(beads, read, strict=True):
        if read.count(same) > 1:
            raise InputError(
                f"residue {residue!r}: beads {', '.join(b for b, r in zip(beads, read, strict=True) if r == same)} are "
                f"all read as {same!r} from files, where OpenMM takes the residue for {name}; rename bead {bead!r}"
            )
    if name == "CYS" and "SG" in read and "HG" not in read:
        raise InputError(
            f"residue {residue!r}: OpenMM bonds two beads called SG of such residues wherever they come close in a PDB "
            "file (a disulfide bond); give the bead another name, for example SC"
        )


@cache
def _replacements() -> tuple[Mapping[str, str], Mapping[str, Mapping[str, str]]]:
    """OpenMM's tables: residue names, and atom names by residue."""
    from openmm import app

    app.PDBFile._loadNameReplacementTables()
    return {**app.PDBFile._residueNameReplacements, **_ONLY_MDTRAJ}, app.PDBFile._atomNameReplacements
