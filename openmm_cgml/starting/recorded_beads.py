"""The beads of a recorded system: of a system.yaml or VOTCA's files, by names, by SMARTS, or of even masses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.judging import suggest_mappings
from openmm_cgml.mapping import divide_residues
from openmm_cgml.mapping.descriptions import describe_system
from openmm_cgml.mapping.labels import residue_groups
from openmm_cgml.mapping.named import group_by_names
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.mapping.smarts import group_by_smarts
from openmm_cgml.mapping.templates import center_of_mass_mapping, unique_names
from openmm_cgml.mapping.votca import mapping_from_votca, read_votca_mapping
from openmm_cgml.specification import ResidueSpecification, SystemSpecification, read_specification
from openmm_cgml.starting.config import StartFromRecordingConfig
from openmm_cgml.topology import AtomTopology

__all__ = ["describe_beads", "labels_of"]

_TOLERANCE = 1e-3


def describe_beads(
    name: str, config: StartFromRecordingConfig, atoms: AtomTopology, temperature: float
) -> SystemSpecification:
    """The system of the atoms of a recording, with the beads that were asked for.

    Args:
        name: Name of the system.
        config: What was asked for.
        atoms: The atoms.
        temperature: Temperature of the recording [K].

    Raises:
        InputError: The beads do not fit the atoms, or cannot be described residue by residue.
    """
    if config.mapping:
        return _of_files(name, config.mapping, atoms, temperature)
    if config.bead:
        return describe_system(atoms, group_by_names(atoms, config.bead), name=name, temperature=temperature)
    if config.smarts:
        divide = partial(group_by_smarts, patterns=config.smarts)
        return describe_system(atoms, divide_residues(atoms, divide), name=name, temperature=temperature)
    return suggest_mappings(atoms, [config.beads], temperature=temperature, methods=["partition"])[0].specification


def labels_of(mapping: Mapping) -> NDArray[np.int64]:
    """The bead of each atom, shape (n_atoms,); -1 for none."""
    weights = mapping.position_weights.tocoo()
    labels = np.full(mapping.n_atoms, -1, dtype=np.int64)
    labels[weights.col] = weights.row
    return labels


def _of_files(name: str, paths: Sequence[Path], atoms: AtomTopology, temperature: float) -> SystemSpecification:
    """The beads of a system.yaml, or of VOTCA's XML files, one for each kind of molecule."""
    is_votca = [path.suffix.lower() == ".xml" for path in paths]
    if not any(is_votca) and len(paths) == 1:
        given = read_specification(paths[0])
        center_of_mass_mapping(given, atoms)  # refuses what is of other atoms
        return given.model_copy(update={"reference": None, "literature": {}})
    if not all(is_votca):
        raise InputError(
            f"mappings {', '.join(map(str, paths))}: give one system.yaml, or VOTCA's XML files, one for each molecule"
        )
    mapping = mapping_from_votca([read_votca_mapping(path) for path in paths], atoms)
    labels = labels_of(mapping)
    _check_centers_of_mass(mapping, labels, atoms, paths)
    found = describe_system(atoms, labels, name=name, temperature=temperature)
    residues = tuple(_with_types(residue, mapping, labels, atoms) for residue in found.residues)
    return found.model_copy(update={"residues": residues})


def _check_centers_of_mass(
    mapping: Mapping, labels: NDArray[np.int64], atoms: AtomTopology, paths: Sequence[Path]
) -> None:
    """Refuse beads elsewhere than at the center of mass, and atoms that several beads share."""
    mapped = labels >= 0
    total = np.bincount(labels[mapped], weights=atoms.masses[mapped], minlength=mapping.n_beads)
    expected = atoms.masses[mapped] / total[labels[mapped]]
    found = np.asarray(mapping.position_weights[labels[mapped], np.flatnonzero(mapped)]).ravel()
    if mapping.position_weights.nnz != mapped.sum() or np.abs(found - expected).max() > _TOLERANCE:
        raise InputError(
            f"{', '.join(map(str, paths))}: beads that share atoms or are not at the center of mass of their atoms; a "
            "system.yaml has centers of mass. Use openmm_cgml.mapping.votca.mapping_from_votca in Python"
        )


def _with_types(
    residue: ResidueSpecification, mapping: Mapping, labels: NDArray[np.int64], atoms: AtomTopology
) -> ResidueSpecification:
    """A residue with the types that VOTCA's files give its beads."""
    names = tuple(atom.name for atom in residue.atoms)
    groups = residue_groups(replace(atoms, names=unique_names(atoms)))
    group = next(g for g in groups if g.names == names and (labels[g.atoms[0]] >= 0).all())
    own = dict(zip(names, labels[group.atoms[0]].tolist(), strict=True))
    target = mapping.target
    beads = tuple(
        bead.model_copy(update={"type": target.type_names[target.bead_types[own[bead.atoms[0]]]]})
        for bead in residue.beads
    )
    return residue.model_copy(update={"beads": beads})
