from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import (
    UNMAPPED,
    divide_residues,
    mapping_from_labels,
    mapping_from_specification,
    partition_molecule,
)
from openmm_cgml.mapping.labels import bead_types, formula_of, labels_of_groups, molecule_groups, residue_groups
from openmm_cgml.topology import AtomTopology, connected_components
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification


def chain_atoms(n_chains=2, n_monomers=4):
    """Chains of CH2-CH2 residues with a CH3 at either end, atoms named as in the shipped polyethylene."""
    names, elements, residues, residue_names, bonds = [], [], [], [], []
    for _ in range(n_chains):
        last = None
        for monomer in range(n_monomers):
            kind = "PEH" if monomer == 0 else "PET" if monomer == n_monomers - 1 else "PEM"
            for carbon in (1, 2):
                here = len(names)
                extra = (kind == "PEH" and carbon == 1) or (kind == "PET" and carbon == 2)
                names += [f"C{carbon}", *(f"H{carbon}{h}" for h in range(1, 4 if extra else 3))]
                elements += ["C", *"H" * (3 if extra else 2)]
                bonds += [(here, here + h) for h in range(1, len(names) - here)]
                bonds += [] if last is None else [(last, here)]
                last = here
                residues += [len(residue_names)] * (len(names) - here)
            residue_names.append(kind)
    return AtomTopology(
        names=tuple(names),
        elements=tuple(elements),
        masses=np.array([12.011 if e == "C" else 1.008 for e in elements]),
        residues=np.array(residues),
        residue_names=tuple(residue_names),
        molecules=connected_components(len(names), np.array(bonds)),
        bonds=np.array(bonds),
        constraints=np.zeros((0, 2), dtype=np.int64),
    )


def solution(n_molecules=2, n_waters=3):
    """Benzene, then water."""
    benzene = benzene_atoms(n_molecules)
    first, waters = benzene.n_atoms, np.arange(n_waters)
    water_bonds = np.concatenate([[[first + 3 * w, first + 3 * w + h] for h in (1, 2)] for w in waters])
    return AtomTopology(
        names=(*benzene.names, *("O", "H1", "H2") * n_waters),
        elements=(*benzene.elements, *("O", "H", "H") * n_waters),
        masses=np.concatenate([benzene.masses, [15.999, 1.008, 1.008] * n_waters]),
        residues=np.concatenate([benzene.residues, n_molecules + np.repeat(waters, 3)]),
        residue_names=(*benzene.residue_names, *("HOH",) * n_waters),
        molecules=np.concatenate([benzene.molecules, n_molecules + np.repeat(waters, 3)]),
        bonds=np.concatenate([benzene.bonds, water_bonds]),
        constraints=benzene.constraints,
    )


def test_labels_make_the_mapping_that_a_specification_makes():
    atoms = benzene_atoms(3)
    labels = labels_of_groups(residue_groups(atoms), [[0, 0, 1, 1, 2, 2] * 2], atoms.n_atoms)
    mapping, expected = mapping_from_labels(atoms, labels), mapping_from_specification(benzene_specification(3), atoms)
    assert np.allclose(mapping.position_weights.toarray(), expected.position_weights.toarray(), rtol=0, atol=1e-15)
    assert (mapping.force_weights != expected.force_weights).nnz == 0
    assert mapping.target.to_dict() == expected.target.to_dict()


def test_numbers_of_labels_do_not_matter_and_beads_come_by_residue_and_first_atom():
    atoms = benzene_atoms(2)
    labels = labels_of_groups(residue_groups(atoms), [[0, 0, 1, 1, 2, 2] * 2], atoms.n_atoms)
    shuffled = np.array([7, 90, 3, 4, 55, 8])[labels]
    assert mapping_from_labels(atoms, shuffled).fingerprint == mapping_from_labels(atoms, labels).fingerprint


def test_solvent_is_left_out_and_its_forces_are_in_no_bead():
    atoms = solution()
    labels = np.where(np.asarray(atoms.residue_names)[atoms.residues] == "HOH", UNMAPPED, atoms.residues)
    mapping = mapping_from_labels(atoms, labels)
    assert mapping.n_beads == 2 and mapping.n_atoms == 33
    assert mapping.target.residue_names == ("BNZ", "BNZ")
    assert mapping.force_weights[:, 24:].nnz == 0
    frames = benzene_frames(2, 3)
    padded = frames.replace(
        **{
            name: np.concatenate([getattr(frames, name), np.full((3, 9, 3), 0.5)], axis=1)
            for name in ("positions", "forces", "forces_inter")
        }
    )
    alone = mapping_from_specification(benzene_specification(1), benzene_atoms(2))
    assert np.allclose(mapping(padded).positions, alone(frames).positions)
    assert np.allclose(mapping(padded).forces, alone(frames).forces)


def test_ends_of_chains_are_divided_as_the_body_is():
    atoms = chain_atoms()
    labels = divide_residues(atoms, partial(partition_molecule, n_beads=2))
    target = mapping_from_labels(atoms, labels).target
    assert target.type_names == ("CH3", "CH2")
    assert target.bead_types.tolist() == [0, *[1] * 6, 0] * 2
    assert len(target.bonds) == 14 and target.n_molecules == 2


def test_a_solvent_does_not_decide_how_a_molecule_with_its_atoms_is_divided():
    atoms = solution(n_molecules=1, n_waters=5)
    names = ["O" if name == "C1" else name for name in atoms.names]  # a ring that has an atom called like water's
    atoms = replace(atoms, names=tuple(names), elements=("O", *atoms.elements[1:]))
    labels = divide_residues(atoms, lambda m, e, b: partition_molecule(m, e, b, min(2, len(m) // 6 + 1)))
    assert len(set(labels[:12].tolist())) == 2


def test_beads_across_residues_make_their_molecule_one_residue():
    atoms = chain_atoms(n_monomers=3)
    carbons = np.flatnonzero(np.asarray(atoms.elements) == "C")
    owner = np.arange(atoms.n_atoms)
    for i, j in atoms.bonds.tolist():
        if atoms.elements[j] == "H":
            owner[j] = owner[i]
    labels = np.searchsorted(carbons, owner) // 3  # three carbons a bead, residues have two
    target = mapping_from_labels(atoms, labels).target
    assert target.residue_names == ("PEH", "PEH")
    assert target.bead_names == ("B1", "B2") * 2


def test_groups_are_kinds_by_name_atoms_and_bonds():
    atoms = solution()
    assert [(g.name, g.atoms.shape) for g in residue_groups(atoms)] == [("BNZ", (2, 12)), ("HOH", (3, 3))]
    bonds = atoms.bonds[~(atoms.bonds == [12, 13]).all(axis=1)]
    opened = replace(atoms, bonds=bonds)
    assert [g.atoms.shape[0] for g in molecule_groups(opened)] == [1, 1, 3]


def test_types_tell_beads_of_one_formula_but_other_atoms_apart():
    atoms = chain_atoms(n_chains=1, n_monomers=2)  # CH3-CH2-CH2-CH3
    odd = np.repeat([0, 1, 2, 0], [4, 3, 3, 4])  # both ends, and each middle; the ends are no connected bead
    types, names = bead_types(atoms, odd)
    assert names == ("C2H6", "CH2") and types.tolist() == [0, 1, 1]
    isotope = replace(atoms, masses=np.where(np.arange(14) == 5, 2.014, atoms.masses))
    assert bead_types(isotope, odd)[1] == ("C2H6", "CH2", "CH2a")


def test_formulas_have_carbon_and_hydrogen_first():
    assert formula_of(["O", "H", "C", "H", "Cl"]) == "CH2ClO"
    assert formula_of(["O", "H", "H"]) == "H2O"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(23), "labels have shape .23,., there are 24 atoms"),
        (np.full(24, -1), "no atom is in a bead"),
        (np.zeros(24), "mixes molecules"),
    ],
)
def test_labels_that_are_no_mapping_are_refused(labels, message):
    with pytest.raises(InputError, match=message):
        mapping_from_labels(benzene_atoms(2), labels)


def test_beads_of_beads_are_made_as_beads_of_atoms_are_and_composed():
    atoms = chain_atoms(2, 4)
    fine = mapping_from_labels(atoms, divide_residues(atoms, partial(partition_molecule, n_beads=2)))
    beads = AtomTopology.from_beads(fine.target)
    groups = molecule_groups(beads)
    divided = [partition_molecule(g.masses, g.elements, g.bonds, 4) for g in groups]
    coarse = mapping_from_labels(beads, labels_of_groups(groups, divided, beads.n_atoms))
    assert coarse.target.type_names == ("CH2CH3", "(CH2)2")
    composed = coarse @ fine
    frames = random_frames(atoms)
    assert np.allclose(composed(frames).positions, coarse(fine(frames)).positions)
    assert np.allclose(composed(frames).forces, coarse(fine(frames)).forces)
    weights = composed.position_weights.toarray()[0]
    assert np.flatnonzero(weights).tolist() == list(range(7))
    assert weights[:7] == pytest.approx(atoms.masses[:7] / atoms.masses[:7].sum())


def random_frames(atoms):
    rng = np.random.default_rng(0)
    return Frames(positions=rng.random((3, atoms.n_atoms, 3)), forces=rng.normal(size=(3, atoms.n_atoms, 3)))
