"""Beads by the names of their atoms, residue by residue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.heavy_atoms import HYDROGENS
from openmm_cgml.mapping.labels import UNMAPPED, AtomGroup, labels_of_groups, residue_groups
from openmm_cgml.mapping.templates import unique_names
from openmm_cgml.topology import AtomTopology

__all__ = ["group_by_names"]


@dataclass(frozen=True)
class _Bead:
    """Names of the atoms of a bead, and the residue that it is of; None for every residue that has them."""

    residue: str | None
    names: tuple[str, ...]


def group_by_names(atoms: AtomTopology, beads: Sequence[str]) -> NDArray[np.int64]:
    """Labels of beads that are given by the names of their atoms, shape (n_atoms,); -1 for atoms in no bead.

    Hydrogens that no bead names go with the atom that they are bonded to, so that "C1 C2" is enough, and the further
    hydrogens at the ends of a chain find their bead. Residues none of whose atoms are named have no beads.

    Args:
        atoms: The atoms. Names that repeat in a residue are taken as element and number, as `info` shows them.
        beads: For each bead the names of its atoms, "C1 H1 H2 H3", for every residue that has them; or for the
            residues of one name, "MTH: C1 H1 H2 H3".

    Raises:
        InputError: A name is in no residue or twice in one, or a residue has heavy atoms with and without a bead.
    """
    wanted = [_read(text) for text in beads]
    groups = residue_groups(replace(atoms, names=unique_names(atoms)))
    _check_known(wanted, groups)
    return labels_of_groups(groups, [_labels(group, wanted) for group in groups], atoms.n_atoms)


def _read(text: str) -> _Bead:
    residue, colon, names = text.rpartition(":")
    split = tuple(names.replace(",", " ").split())
    if not split or (colon and not residue.strip()):
        raise InputError(f"bead {text!r}: give names of atoms, 'C1 H1 H2', or with their residue, 'MTH: C1 H1 H2'")
    return _Bead(residue.strip() or None, split)


def _check_known(wanted: Sequence[_Bead], groups: Sequence[AtomGroup]) -> None:
    for bead in wanted:
        of_name = [group for group in groups if bead.residue in (None, group.name)]
        if not of_name:
            raise InputError(f"no residue {bead.residue}; there are {', '.join(sorted({g.name for g in groups}))}")
        known = sorted({name for group in of_name for name in group.names})
        if missing := [name for name in bead.names if name not in known]:
            raise InputError(
                f"no atom {', '.join(missing)} in {bead.residue or 'any residue'}; there are {_some(known)}"
            )


def _some(names: Sequence[str]) -> str:
    return " ".join(names[:60]) + (" ..." if len(names) > 60 else "")


def _labels(group: AtomGroup, wanted: Sequence[_Bead]) -> NDArray[np.int64]:
    """The bead of each atom of a kind of residue."""
    place = {name: i for i, name in enumerate(group.names)}
    heavy = {name for name, element in zip(group.names, group.elements, strict=True) if element not in HYDROGENS}
    own = [
        [name for name in bead.names if name in place]
        for bead in wanted
        if bead.residue in (None, group.name) and {name for name in bead.names if name in place} & heavy
    ]
    counts = Counter(name for names in own for name in names)
    if repeated := sorted(name for name, count in counts.items() if count > 1):
        raise InputError(f"residue {group.name}: atom {', '.join(repeated)} is in two beads; each is in one")
    left_out = [name for name in group.names if name in heavy and name not in counts]
    if own and left_out:
        raise InputError(
            f"residue {group.name}: atoms {_some(left_out)} are in no bead; name them all, or none of a residue "
            "that is to have no beads"
        )
    labels = np.full(len(group.names), UNMAPPED, dtype=np.int64)
    for number, names in enumerate(own):
        labels[[place[name] for name in names]] = number
    for i, j in group.bonds.tolist():
        for light, other in ((i, j), (j, i)):
            if labels[light] == UNMAPPED and group.elements[light] in HYDROGENS:
                labels[light] = labels[other]
    return labels
