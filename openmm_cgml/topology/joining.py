"""Topologies put together: residues to molecules, molecules to systems, and molecules found again in systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues import MoleculeTemplate, ResidueTemplate
from openmm_cgml.residues.rules import joints_between

if TYPE_CHECKING:
    from openmm_cgml.topology.coarse import CGTopology

Fields = dict[str, Any]
"""What a `CGTopology` is made of, by name."""


def molecule_fields(molecule: MoleculeTemplate, type_names: tuple[str, ...]) -> Fields:
    """The fields of the topology of one molecule.

    Raises:
        InputError: If a bead type is not among `type_names`.
    """
    residues = molecule.residues
    sizes = np.array([len(template.bead_names) for template in residues])
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    inside = [(s + i, s + j) for s, template in zip(starts, residues, strict=False) for i, j in template.bonds]
    between = [(starts[a] + i, starts[b] + j) for a, i, b, j in molecule.joints]
    return {
        "type_names": type_names,
        "bead_types": np.array(
            [type_index(t, type_names, template) for template in residues for t in template.bead_type_names]
        ),
        "bead_names": tuple(name for template in residues for name in template.bead_names),
        "masses": np.array([m for template in residues for m in template.masses]),
        "molecules": np.zeros(starts[-1], dtype=np.int64),
        "residues": np.repeat(np.arange(len(residues)), sizes),
        "residue_names": molecule.residue_names,
        "bonds": np.array(inside + between, dtype=np.int64).reshape(-1, 2),
    }


def joined_fields(parts: Sequence[CGTopology]) -> Fields:
    """The fields of the beads of all parts, one after the other, molecule and residue numbers going on."""

    def continued(arrays: list[NDArray[np.int64]], counts: list[int]) -> NDArray[np.int64]:
        return np.concatenate([a + s for a, s in zip(arrays, np.cumsum([0, *counts[:-1]]), strict=True)])

    return {
        "type_names": parts[0].type_names,
        "bead_types": np.concatenate([part.bead_types for part in parts]),
        "bead_names": tuple(name for part in parts for name in part.bead_names),
        "masses": np.concatenate([part.masses for part in parts]),
        "molecules": continued([part.molecules for part in parts], [part.n_molecules for part in parts]),
        "residues": continued([part.residues for part in parts], [len(part.residue_names) for part in parts]),
        "residue_names": tuple(name for part in parts for name in part.residue_names),
        "bonds": continued([part.bonds for part in parts], [part.n_beads for part in parts]),
    }


def repeated_fields(topology: CGTopology, copies: int) -> Fields:
    """The fields of the same beads `copies` times, molecule and residue numbers going on."""
    copy = np.arange(copies)

    def continued(numbers: NDArray[np.int64], by: int) -> NDArray[np.int64]:
        return (numbers + by * copy.reshape(-1, *[1] * numbers.ndim)).reshape(-1, *numbers.shape[1:])

    return {
        "type_names": topology.type_names,
        "bead_types": np.tile(topology.bead_types, copies),
        "bead_names": topology.bead_names * copies,
        "masses": np.tile(topology.masses, copies),
        "molecules": continued(topology.molecules, topology.n_molecules),
        "residues": continued(topology.residues, len(topology.residue_names)),
        "residue_names": topology.residue_names * copies,
        "bonds": continued(topology.bonds, topology.n_beads),
    }


def kinds_of_molecules(
    topology: CGTopology, templates: Mapping[str, ResidueTemplate]
) -> dict[MoleculeTemplate, list[int]]:
    """The kinds of molecules in a topology, in order of appearance, each with the numbers of its molecules.

    Args:
        topology: Beads in the order of their residues.
        templates: Residue templates by name.

    Raises:
        InputError: If a residue is none of them, or the beads are in another order.
    """
    n_residues = len(topology.residue_names)
    if unknown := [name for name in topology.residue_names if name not in templates]:
        raise InputError(f"unknown residue {unknown[0]!r}; known are {', '.join(templates) or 'none'}")
    if (np.diff(topology.residues) < 0).any():
        raise InputError("the beads of this topology are not in the order of their residues; sort them")
    first = np.searchsorted(topology.residues, np.arange(n_residues))
    owner = topology.molecules[first]
    order = np.argsort(owner, kind="stable")
    ends = np.cumsum(np.bincount(owner, minlength=topology.n_molecules))
    members = np.split(order, ends[:-1])
    place = np.empty(n_residues, dtype=np.int64)
    for residues in members:
        place[residues] = np.arange(len(residues))
    joints: list[list[tuple[int, int, int, int]]] = [[] for _ in members]
    for a, i, b, j in joints_between(topology.bonds, topology.residues, n_residues):
        joints[owner[a]].append((int(place[a]), i, int(place[b]), j))
    kinds: dict[tuple[Any, ...], list[int]] = {}
    for number, residues in enumerate(members):
        names = tuple(topology.residue_names[residue] for residue in residues)
        kinds.setdefault((names, tuple(sorted(joints[number]))), []).append(number)
    return {
        MoleculeTemplate(residues=tuple(templates[name] for name in names), joints=bonds): numbers
        for (names, bonds), numbers in kinds.items()
    }


def type_index(name: str, types: tuple[str, ...], template: ResidueTemplate) -> int:
    """Place of a bead type among `types`.

    Raises:
        InputError: If it is not there.
    """
    if name not in types:
        raise InputError(f"residue {template.name!r} has bead type {name!r}; known types are {', '.join(types)}")
    return types.index(name)
