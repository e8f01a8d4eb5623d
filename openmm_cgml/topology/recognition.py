"""Beads recognized by the names of residues and beads, as a force field knows them or as files have them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues import ChainTemplate, LinkRules, MoleculeTemplate, ResidueTemplate, check_residue_bonds
from openmm_cgml.residues.names import names_in_files
from openmm_cgml.topology.graph import connected_components
from openmm_cgml.topology.joining import Fields, type_index


def recognized_fields(
    residue_names: Sequence[str],
    bead_names: Sequence[tuple[str, ...]],
    bonds: NDArray[np.int64],
    templates: Sequence[ResidueTemplate],
    type_names: Sequence[str],
    chains: Sequence[ChainTemplate],
    molecules: Sequence[MoleculeTemplate],
) -> Fields:
    """The fields of the topology of residues of known names with beads of these names, in order, after all checks."""
    found = _templates_of(residue_names, bead_names, templates)
    if not found:
        raise InputError("the topology has no residues")
    types = {t.name: [type_index(name, tuple(type_names), t) for name in t.bead_type_names] for t in templates}
    residues = np.repeat(np.arange(len(found)), [len(template.bead_names) for template in found])
    names = [template.name for template in found]
    check_residue_bonds(bonds, residues, names, {template.name: template for template in templates})
    LinkRules(templates, chains, molecules).check_bonds(bonds, residues, names)
    return {
        "type_names": tuple(type_names),
        "bead_types": np.array([t for name in names for t in types[name]]),
        "bead_names": tuple(bead for template in found for bead in template.bead_names),
        "masses": np.array([mass for template in found for mass in template.masses]),
        "molecules": connected_components(len(residues), bonds),
        "residues": residues,
        "residue_names": tuple(names),
        "bonds": bonds,
    }


def _templates_of(
    residue_names: Sequence[str], bead_names: Sequence[tuple[str, ...]], templates: Sequence[ResidueTemplate]
) -> list[ResidueTemplate]:
    """The template of each residue."""
    own = {(template.name, template.bead_names): template for template in templates}
    read: dict[tuple[str, tuple[str, ...]], list[ResidueTemplate]] = {}
    found = []
    for number, names in enumerate(zip(residue_names, bead_names, strict=True)):
        if names in own:
            found.append(own[names])
            continue
        if not read:  # only now: the tables of names come with OpenMM
            for template in templates:
                read.setdefault(names_in_files(template.name, template.bead_names), []).append(template)
        candidates = read.get(names, [])
        if len(candidates) != 1:
            raise InputError(_unknown(number, *names, templates, candidates))
        found.append(candidates[0])
    return found


def _unknown(
    number: int,
    name: str,
    beads: tuple[str, ...],
    templates: Sequence[ResidueTemplate],
    candidates: Sequence[ResidueTemplate],
) -> str:
    known = {template.name: template for template in templates}
    if candidates:
        return (
            f"residue {number} ({name!r}) may be {' or '.join(template.name for template in candidates)}: OpenMM reads "
            "all of them from files under this name; set the residue's name in the Topology"
        )
    if name in known:
        return f"residue {number} ({name!r}) has beads {list(beads)}; the model's have {list(known[name].bead_names)}"
    return f"residue {number} is {name!r}, which this model does not know; known are {', '.join(known)}"
