"""A molecule as a PDB file with its bonds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["pdb_text"]


def pdb_text(
    remark: str,
    names: Sequence[str],
    elements: Sequence[str],
    residues: Sequence[tuple[str, int]],
    bonds: Sequence[tuple[int, int]],
    conformations: NDArray[np.float64],
) -> str:
    """The text of a PDB file with bonds (CONECT), and with models where there are several conformations.

    Args:
        remark: What to say at its top.
        names: Name of each atom.
        elements: Element symbol of each atom.
        residues: Name and number of the residue of each atom.
        bonds: Pairs of numbers of bonded atoms.
        conformations: Positions [nm], shape (n_conformations, n_atoms, 3).
    """
    lines = [f"REMARK   1 {remark}"[:80]]
    for model, positions in enumerate(conformations, 1):
        atoms = [
            f"HETATM{number:5d} {name if len(name) == 4 else f' {name}':<4} {residue:>3} A{place:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {symbol.upper():>2}"
            for number, (name, symbol, (residue, place), (x, y, z)) in enumerate(
                zip(names, elements, residues, (10 * positions).tolist(), strict=True), 1
            )
        ]
        lines += [f"MODEL     {model:4d}", *atoms, "ENDMDL"] if len(conformations) > 1 else atoms
    both_ways = sorted([*bonds, *((j, i) for i, j in bonds)])
    lines += [f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in both_ways]
    return "\n".join([*lines, "END", ""])
