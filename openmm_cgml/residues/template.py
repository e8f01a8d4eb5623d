"""`ResidueTemplate`: the beads of one kind of residue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ResidueTemplate:
    """The beads of one kind of residue.

    Attributes:
        name: Residue name, as in `openmm.app.Topology`.
        bead_names: Names of the beads, each once in the residue.
        bead_type_names: Bead type of each bead.
        masses: Mass of each bead [Da].
        bonds: Pairs of bead numbers bonded within the residue.
    """

    name: str
    bead_names: tuple[str, ...]
    bead_type_names: tuple[str, ...]
    masses: tuple[float, ...]
    bonds: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.bead_names)
        if n == 0 or len(self.bead_type_names) != n or len(self.masses) != n:
            raise InputError(
                f"residue {self.name!r}: {n} bead names, {len(self.bead_type_names)} types, {len(self.masses)} masses;"
                " give one of each per bead, and at least one bead"
            )
        twice = [name for name, count in Counter(self.bead_names).items() if count > 1]
        if twice:
            raise InputError(
                f"residue {self.name!r}: bead name {twice[0]!r} appears twice; names are unique in a residue"
            )
        for bead, mass in zip(self.bead_names, self.masses, strict=True):
            if not (math.isfinite(mass) and mass > 0):
                raise InputError(f"residue {self.name!r}, bead {bead!r}: mass {mass} Da; it must be positive")
        bonds = tuple(sorted((min(i, j), max(i, j)) for i, j in self.bonds))
        check_bonds(np.array(bonds, dtype=np.int64).reshape(-1, 2), n, f"residue {self.name!r}")
        object.__setattr__(self, "bonds", bonds)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "name": self.name,
            "bead_names": list(self.bead_names),
            "bead_type_names": list(self.bead_type_names),
            "masses": list(self.masses),
            "bonds": [list(bond) for bond in self.bonds],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ResidueTemplate:
        """The template that `to_dict` wrote."""
        return cls(
            name=str(content["name"]),
            bead_names=tuple(map(str, content["bead_names"])),
            bead_type_names=tuple(map(str, content["bead_type_names"])),
            masses=tuple(float(m) for m in content["masses"]),
            bonds=tuple((int(i), int(j)) for i, j in content["bonds"]),
        )


def check_bonds(bonds: NDArray[np.int64], n: int, where: str) -> None:
    """Raise InputError unless the bonds, shape (n_bonds, 2), are distinct pairs of `n` particles."""
    if not len(bonds):
        return
    if bonds.min() < 0 or bonds.max() >= n:
        raise InputError(
            f"{where}: a bond names particle {bonds.max() if bonds.max() >= n else bonds.min()}; there are {n}"
        )
    itself = np.flatnonzero(bonds[:, 0] == bonds[:, 1])
    if len(itself):
        raise InputError(f"{where}: particle {bonds[itself[0], 0]} is bonded to itself; remove that bond")
    unique, counts = np.unique(np.sort(bonds, axis=1), axis=0, return_counts=True)
    if counts.max() > 1:
        i, j = unique[np.argmax(counts)]
        raise InputError(f"{where}: bond {i}-{j} appears {counts.max()} times; keep one")


def check_residue_bonds(
    bonds: NDArray[np.int64], residues: NDArray[np.int64], names: list[str], known: Mapping[str, ResidueTemplate]
) -> None:
    """Raise InputError unless the bonds within each residue are those of its template.

    Args:
        bonds: Bonded beads i < j, shape (n_bonds, 2); those between residues are not looked at.
        residues: Residue number of each bead, in increasing order, shape (n_beads,).
        names: Name of each residue.
        known: Templates by name.
    """
    inside = residues[bonds[:, 0]] == residues[bonds[:, 1]] if len(bonds) else np.zeros(0, dtype=bool)
    found: dict[int, set[tuple[int, int]]] = {}
    starts = np.searchsorted(residues, np.arange(len(names)))
    for i, j in bonds[inside].tolist():
        r = int(residues[i])
        found.setdefault(r, set()).add((i - int(starts[r]), j - int(starts[r])))
    for r, name in enumerate(names):
        want, have = set(known[name].bonds), found.get(r, set())
        if want != have:
            label = known[name].bead_names

            def text(pairs: set[tuple[int, int]], label: tuple[str, ...] = label) -> str:
                return ", ".join(f"{label[i]}-{label[j]}" for i, j in sorted(pairs)) or "none"

            raise InputError(
                f"residue {r} ({name!r}): bonds missing: {text(want - have)}; bonds that the model does not have:"
                f" {text(have - want)}; add what is missing with Topology.addBond, or build the topology from the model"
            )
