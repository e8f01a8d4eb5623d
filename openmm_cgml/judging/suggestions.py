"""Candidate mappings of a recording: the same ways to divide every kind of residue, as systems that can be mapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import divide_residues, group_by_spectrum, group_by_variance, partition_molecule
from openmm_cgml.mapping.descriptions import describe_system
from openmm_cgml.mapping.heavy_atoms import HeavyAtoms
from openmm_cgml.mapping.labels import AtomGroup, Divide, residue_groups
from openmm_cgml.mapping.metis import group_by_metis
from openmm_cgml.mapping.variance import position_covariance
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.topology import AtomTopology
from openmm_cgml.wholeness import BondForest

METHODS = ("partition", "variance", "spectral", "metis")
"""Ways to divide residues: even masses; most variance of a network of bonds, or of a recording; spectrum; METIS."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidate:
    """One way to divide the residues of a recording.

    Attributes:
        name: Made of the number of beads and the ways that lead to it: "3-beads".
        methods: The ways that lead to it.
        labels: The bead of each atom, shape (n_atoms,).
        specification: The system with these beads.
    """

    name: str
    methods: tuple[str, ...]
    labels: NDArray[np.int64]
    specification: SystemSpecification


def suggest_mappings(
    atoms: AtomTopology,
    n_beads: Sequence[int],
    *,
    temperature: float,
    methods: Sequence[str] = ("partition", "variance"),
    frames: Frames | None = None,
) -> tuple[Candidate, ...]:
    """Candidates with so many beads per residue, those that come out the same once.

    Residues with fewer heavy atoms than that have one bead for each of these.

    Args:
        atoms: The atoms.
        n_beads: Numbers of beads per residue.
        temperature: Temperature that the systems are described for [K].
        methods: Ways to divide residues, of `METHODS`.
        frames: Frames whose variance "variance" keeps; by default that of a network of equal springs along the bonds.

    Raises:
        InputError: Unknown methods, or no numbers of beads that are positive.
    """
    unknown = sorted(set(methods) - set(METHODS))
    if unknown or not methods:
        raise InputError(f"methods {', '.join(unknown) or 'none'}; known are {', '.join(METHODS)}")
    if not n_beads or min(n_beads) < 1:
        raise InputError(f"{list(n_beads)} beads per residue; give positive numbers")
    found: dict[bytes, tuple[int, list[str], NDArray[np.int64]]] = {}
    for number in sorted(set(n_beads)):
        for method in methods:
            labels = divide_residues(atoms, _bounded(_divider(method, number, atoms, frames), number))
            entry = found.setdefault(labels.tobytes(), (number, [], labels))
            entry[1].append(method)
    taken: dict[int, int] = {}
    candidates = []
    for number, ways, labels in found.values():
        taken[number] = taken.get(number, 0) + 1
        suffix = "" if taken[number] == 1 else f"-{ways[0]}"
        name = f"{number}-bead{'s' if number > 1 else ''}{suffix}"
        candidates.append(
            Candidate(
                name=name,
                methods=tuple(ways),
                labels=labels,
                specification=describe_system(atoms, labels, name=name, temperature=temperature),
            )
        )
    return tuple(candidates)


def _bounded(divide: Callable[..., NDArray[np.int64]], number: int) -> Divide:
    """The same for residues that have fewer heavy atoms than beads are asked for."""

    def bounded(masses: NDArray[np.float64], elements: Sequence[str], bonds: NDArray[np.int64]) -> NDArray[np.int64]:
        n_heavy = HeavyAtoms.from_molecule(masses, elements, bonds).n_heavy
        return divide(masses, elements, bonds, n_beads=min(number, n_heavy))

    return bounded


def _divider(method: str, number: int, atoms: AtomTopology, frames: Frames | None) -> Callable[..., NDArray[np.int64]]:
    if method == "variance" and frames is not None:
        return partial(_group_by_recorded_variance, atoms, frames)
    return {
        "partition": partition_molecule,
        "variance": group_by_variance,
        "spectral": group_by_spectrum,
        "metis": group_by_metis,
    }[method]


def _group_by_recorded_variance(
    atoms: AtomTopology,
    frames: Frames,
    masses: NDArray[np.float64],
    elements: Sequence[str],
    bonds: NDArray[np.int64],
    n_beads: int,
) -> NDArray[np.int64]:
    group = next(g for g in residue_groups(atoms) if g.elements == tuple(elements) and np.array_equal(g.bonds, bonds))
    return group_by_variance(masses, elements, bonds, n_beads, covariance=_covariance(atoms, group, frames))


def _covariance(atoms: AtomTopology, group: AtomGroup, frames: Frames) -> NDArray[np.float64]:
    """Covariance of all atoms of a kind of residue about their center [nm^2], shape (n_atoms, n_atoms)."""
    positions = np.asarray(frames.positions, np.float64)
    if frames.box is not None:
        forest = BondForest.from_bonds(atoms.bonds, atoms.n_atoms)
        positions = forest.make_whole(positions, np.asarray(frames.box, np.float64))
    return position_covariance(positions[:, group.atoms].reshape(-1, group.atoms.shape[1], 3))
