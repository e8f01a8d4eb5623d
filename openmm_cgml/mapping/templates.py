"""The mapping that a system.yaml describes: beads at the centers of mass of named atoms of each residue."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from openmm_cgml.errors import InputError
from openmm_cgml.mapping.force_weights import check_constraints, optimal_weights_exist, uniform_force_weights
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.residues.names import residue_name_in_files
from openmm_cgml.specification import ResidueSpecification, SystemSpecification
from openmm_cgml.topology import AtomTopology, CGTopology, ResidueTemplate, connected_components


def mapping_from_specification(specification: SystemSpecification, atoms: AtomTopology) -> Mapping:
    """The mapping of the atoms to the beads of the specification, with uniform force weights.

    Beads sit at the centers of mass of their atoms (real masses) and feel the sum of their forces. They come residue by
    residue in the order of the atomistic topology. Residues are recognized by name and atoms by name, in any order;
    molecules are what bonds join.

    Args:
        specification: The system.
        atoms: The atomistic topology; its number of residues may differ from the specification's.

    Raises:
        InputError: Residues, atoms or elements that differ from the specification's; constraints that straddle beads,
            with which forces need other weights (`optimal_force_weights`), if there are any.
    """
    mapping = center_of_mass_mapping(specification, atoms)
    try:
        check_constraints(mapping.force_weights, atoms.constraints, atoms.names)
    except InputError:
        check_constraints(mapping.force_weights, atoms.constraints, atoms.names, way_out=_way_out(mapping, atoms))
    return mapping


def _way_out(mapping: Mapping, atoms: AtomTopology) -> str:
    if not optimal_weights_exist(mapping, atoms):
        return ""
    return (
        "Weights that are equal at both ends of every constraint do exist for these beads: the optimal ones "
        "(`openmm-cgml map ... --force-map optimal`, which is the default). Or: "
    )


def center_of_mass_mapping(specification: SystemSpecification, atoms: AtomTopology) -> Mapping:
    """As `mapping_from_specification`, whether or not constraints allow uniform force weights.

    Raises:
        InputError: Residues, atoms or elements that differ from the specification's.
    """
    kinds = _match_residues(specification, atoms)
    beads_per_residue = np.zeros(len(atoms.residue_names), dtype=np.int64)
    for residue, members in kinds:
        beads_per_residue[members] = len(residue.beads)
    first_bead = np.concatenate([[0], np.cumsum(beads_per_residue)])
    bead_of_atom = np.full(atoms.n_atoms, -1, dtype=np.int64)
    for residue, members in kinds:
        local = {name: number for number, bead in enumerate(residue.beads) for name in bead.atoms}
        order = np.array([local[atom.name] for atom in residue.atoms])
        bead_of_atom[_atoms_in_order(residue, members, atoms)] = first_bead[members][:, None] + order
    target = _target(specification, atoms, kinds, first_bead, bead_of_atom)
    mapped = np.flatnonzero(bead_of_atom >= 0)
    owner = bead_of_atom[mapped]
    weights = atoms.masses[mapped] / target.masses[owner]
    positions = csr_array((weights, (owner, mapped)), shape=(target.n_beads, atoms.n_atoms))
    return Mapping(
        target=target,
        position_weights=positions,
        force_weights=uniform_force_weights(positions),
        source_bonds=atoms.bonds,
        provenance={"specification": specification.name, "positions": "center of mass", "forces": "uniform"},
    )


def templates_of_masses(templates: Sequence[ResidueTemplate], target: CGTopology) -> list[ResidueTemplate]:
    """The templates with the bead masses of a mapped topology, where these are not sums of atomic masses.

    United atoms and isotopes have masses that no element tells.

    Args:
        templates: The kinds of residues.
        target: The beads, with the masses of the recorded atoms.

    Raises:
        InputError: Residues of one kind differ in their masses.
    """
    names = np.asarray(target.residue_names)[target.residues]
    changed = []
    for template in templates:
        masses = target.masses[names == template.name].reshape(-1, len(template.masses))
        wrong = np.argwhere(np.abs(masses - masses[:1]) > 1e-3)
        if len(wrong):
            copy, bead = wrong[0]
            raise InputError(
                f"bead {template.bead_names[bead]} of residue {template.name} weighs {masses[0, bead]:.4f} Da in the "
                f"first of these residues and {masses[copy, bead]:.4f} Da in number {copy} of them: give residues of "
                "other masses another name"
            )
        same = not len(masses) or np.allclose(masses[0], template.masses, rtol=0, atol=1e-6)
        changed.append(template if same else replace(template, masses=tuple(masses[0].tolist())))
    return changed


NAMELESS = ("UNL", "UNK", "")
"""Residue names that name nothing: such residues are known by their atoms."""

_Kinds = list[tuple[ResidueSpecification, NDArray[np.int64]]]


def _match_residues(specification: SystemSpecification, atoms: AtomTopology) -> _Kinds:
    """Every kind of residue of the specification with the numbers of its residues."""
    found_names = _residue_names(specification, atoms)
    names = np.asarray(found_names)
    known = [residue.name for residue in specification.residues]
    counts = Counter(found_names)
    unknown = sorted(set(counts) - set(known) - set(specification.unmapped))
    absent = [name for name in known if name not in counts]
    if unknown or absent:
        found = ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
        what = f"has residues {', '.join(unknown)}" if unknown else f"has no residue {', '.join(absent)}"
        raise InputError(
            f"the atomistic topology {what}; it holds {found}, and system {specification.name!r} describes "
            f"{', '.join(known)}: use the system.yaml of this recording, or add the residue to it (solvent that shall "
            "have no beads is listed there as `unmapped: [HOH]`)"
        )
    return [(residue, np.flatnonzero(names == residue.name)) for residue in specification.residues]


def _residue_names(specification: SystemSpecification, atoms: AtomTopology) -> list[str]:
    """The name of each residue as in the specification; nameless ones (UNL) are known by their atoms."""
    names = [residue_name_in_files(name) for name in atoms.residue_names]
    known = {residue.name for residue in specification.residues}
    nameless = [n for n, name in enumerate(names) if name in NAMELESS and name not in {*known, *specification.unmapped}]
    if not nameless:
        return names
    atom_names, order = unique_names(atoms), np.argsort(atoms.residues, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(atoms.residues, minlength=len(names)))[:-1])
    makes: dict[tuple[str, ...], list[str]] = {}
    for residue in specification.residues:
        makes.setdefault(tuple(sorted(atom.name for atom in residue.atoms)), []).append(residue.name)
    for number in nameless:
        fitting = makes.get(tuple(sorted(atom_names[i] for i in members[number].tolist())), [])
        names[number] = fitting[0] if len(fitting) == 1 else names[number]
    return names


def unique_names(atoms: AtomTopology) -> tuple[str, ...]:
    """The names of the atoms; in residues where names repeat, element symbols with running numbers (C1, C2, H1)."""
    names = list(atoms.names)
    order = np.argsort(atoms.residues, kind="stable")
    for own in np.split(order, np.flatnonzero(np.diff(atoms.residues[order])) + 1):
        members = own.tolist()
        if len({names[i] for i in members}) < len(members):
            counts: Counter[str] = Counter()
            for i in members:
                counts[atoms.elements[i]] += 1
                names[i] = f"{atoms.elements[i]}{counts[atoms.elements[i]]}"
    return tuple(names)


def _atoms_in_order(
    residue: ResidueSpecification, members: NDArray[np.int64], atoms: AtomTopology
) -> NDArray[np.int64]:
    """The atoms of each residue in the order of the specification, shape (n_copies, n_atoms per residue)."""
    wanted = np.array([atom.name for atom in residue.atoms])
    sizes = np.bincount(atoms.residues, minlength=len(atoms.residue_names))[members]
    names = np.asarray(unique_names(atoms))
    if (sizes != len(wanted)).any():
        number = members[np.flatnonzero(sizes != len(wanted))[0]]
        raise InputError(_difference(residue, int(number), np.asarray(atoms.names)[atoms.residues == number].tolist()))
    order = np.argsort(atoms.residues, kind="stable")
    own = order[np.isin(atoms.residues[order], members)].reshape(len(members), len(wanted))
    by_name = np.take_along_axis(own, np.argsort(names[own], axis=1), axis=1)
    wrong = np.flatnonzero((names[by_name] != np.sort(wanted)).any(axis=1))
    if len(wrong):
        raise InputError(_difference(residue, int(members[wrong[0]]), names[own[wrong[0]]].tolist()))
    result = np.empty_like(by_name)
    result[:, np.argsort(wanted)] = by_name
    elements = np.asarray(atoms.elements)[result]
    different = np.argwhere(elements != np.array([atom.element for atom in residue.atoms]))
    if len(different):
        copy, place = different[0]
        raise InputError(
            f"residue {members[copy]} ({residue.name}): atom {wanted[place]} is element {elements[copy, place]}, the "
            f"system.yaml says {residue.atoms[place].element}; correct the one that is wrong"
        )
    return result


def _difference(residue: ResidueSpecification, number: int, found: list[str]) -> str:
    wanted = [atom.name for atom in residue.atoms]
    missing = list((Counter(wanted) - Counter(found)).elements())
    extra = list((Counter(found) - Counter(wanted)).elements())
    return (
        f"residue {number} ({residue.name}) has {len(found)} atoms, the system.yaml describes {len(wanted)}: "
        f"missing {', '.join(missing) or 'none'}; not described {', '.join(extra) or 'none'}. "
        f"Each atom must be in one bead"
    )


def _target(
    specification: SystemSpecification,
    atoms: AtomTopology,
    kinds: _Kinds,
    first_bead: NDArray[np.int64],
    bead_of_atom: NDArray[np.int64],
) -> CGTopology:
    """The bead topology; bonds between residues are where atoms of two beads are bonded."""
    n_beads, n_residues = int(first_bead[-1]), len(atoms.residue_names)
    bead_residues = np.repeat(np.arange(n_residues), np.diff(first_bead))
    kept, residues = np.unique(bead_residues, return_inverse=True)
    bead_types, bead_names = np.empty(n_beads, dtype=np.int64), np.empty(n_beads, dtype=object)
    residue_names = np.empty(n_residues, dtype=object)
    bonds = [_bonds_between_residues(atoms, bead_of_atom)]
    for residue, members in kinds:
        own = first_bead[members][:, None] + np.arange(len(residue.beads))
        residue_names[members] = residue.name
        bead_names[own] = [bead.name for bead in residue.beads]
        bead_types[own] = [specification.type_names.index(bead.type) for bead in residue.beads]
        pairs = np.array(residue.template().bonds, dtype=np.int64).reshape(-1, 2)
        bonds.append((first_bead[members][:, None, None] + pairs).reshape(-1, 2))
    mapped = bead_of_atom >= 0
    molecules = np.empty(n_beads, dtype=np.int64)
    molecules[bead_of_atom[mapped]] = atoms.molecules[mapped]
    _, first, inverse = np.unique(molecules, return_index=True, return_inverse=True)
    target = CGTopology(
        type_names=specification.type_names,
        bead_types=bead_types,
        bead_names=tuple(bead_names.tolist()),
        masses=np.asarray(np.bincount(bead_of_atom[mapped], weights=atoms.masses[mapped]), dtype=np.float64),
        molecules=np.argsort(np.argsort(first))[inverse],
        residues=residues,
        residue_names=tuple(residue_names[kept].tolist()),
        bonds=np.concatenate(bonds),
    )
    _warn_of_loose_parts(target)
    return target


def _bonds_between_residues(atoms: AtomTopology, bead_of_atom: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of beads of two residues whose atoms are bonded, shape (n_bonds, 2).

    Raises:
        InputError: A bond leads from a bead to an atom that is in none.
    """
    between = atoms.bonds[atoms.residues[atoms.bonds[:, 0]] != atoms.residues[atoms.bonds[:, 1]]]
    pairs = bead_of_atom[between]
    loose = np.flatnonzero((pairs < 0).sum(axis=1) == 1)
    if len(loose):
        i, j = between[loose[0]]
        names = [atoms.residue_names[atoms.residues[k]] for k in (i, j)]
        raise InputError(
            f"atoms {i} ({atoms.names[i]} of {names[0]}) and {j} ({atoms.names[j]} of {names[1]}) are bonded, and one "
            "of these residues is left unmapped: a molecule is mapped as a whole. Describe both residues, or neither"
        )
    return np.unique(np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1), axis=0)


def _warn_of_loose_parts(target: CGTopology) -> None:
    parts = connected_components(target.n_beads, target.bonds)
    n_parts = np.bincount(target.molecules[np.unique(parts, return_index=True)[1]], minlength=target.n_molecules)
    loose = np.flatnonzero(n_parts > 1)
    if len(loose):
        warnings.warn(
            f"{len(loose)} molecules, the first number {loose[0]}, consist of {n_parts[loose[0]]} parts without a bond "
            f"between their beads; add bonds to the system.yaml if they should hold together",
            stacklevel=3,
        )
