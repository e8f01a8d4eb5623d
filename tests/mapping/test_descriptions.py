from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.mapping import (
    center_of_mass_mapping,
    divide_residues,
    mapping_from_labels,
    mapping_from_specification,
    partition_molecule,
)
from openmm_cgml.mapping.descriptions import describe_system, to_yaml
from openmm_cgml.mapping.labels import labels_of_groups, residue_groups
from openmm_cgml.specification import read_specification
from tests.atoms import benzene_atoms, benzene_specification
from tests.mapping.test_labels import chain_atoms, solution

PAIRS = [0, 0, 1, 1, 2, 2] * 2


def divided(atoms, n_beads=2):
    return divide_residues(atoms, partial(partition_molecule, n_beads=n_beads))


def test_labels_are_described_as_the_shipped_system_is():
    atoms = benzene_atoms(500)
    labels = labels_of_groups(residue_groups(atoms), [PAIRS], atoms.n_atoms)
    made = describe_system(atoms, labels, name="x", temperature=300.0)
    (own,), (shipped,) = made.residues, benzene_specification(3).residues
    assert own == shipped


@pytest.mark.parametrize("atoms", [benzene_atoms(2), chain_atoms(), solution()], ids=["liquid", "chains", "solution"])
def test_a_description_that_is_written_and_read_gives_the_mapping_of_the_labels(tmp_path, atoms):
    n_heavy = 1 if "HOH" in atoms.residue_names else 2
    labels = divided(atoms, n_heavy)
    specification = describe_system(atoms, labels, name="mine", temperature=310.0, description="a: test, # of marks")
    (tmp_path / "mine.yaml").write_text(to_yaml(specification, comment="two\nlines"))
    read = read_specification(tmp_path / "mine.yaml")
    assert read == specification
    mapping, expected = mapping_from_specification(read, atoms), mapping_from_labels(atoms, labels)
    assert mapping.fingerprint == expected.fingerprint


def test_chains_have_head_body_tail_and_links():
    (chain,) = describe_system(chain_atoms(3, 5), divided(chain_atoms(3, 5)), name="x", temperature=300.0).chains
    assert (chain.head, chain.body, chain.tail) == ("PEH", "PEM", "PET")
    assert chain.links == (("C2", "C1"),)
    assert (chain.monomers, chain.count) == (5, 3)


def test_solvent_without_beads_is_listed_as_unmapped():
    atoms = solution()
    labels = np.where(np.arange(atoms.n_atoms) < 24, atoms.molecules, -1)
    specification = describe_system(atoms, labels, name="x", temperature=300.0)
    assert specification.unmapped == ("HOH",)
    assert "unmapped: [HOH]" in to_yaml(specification)
    assert mapping_from_specification(specification, atoms).n_beads == 2


def test_nameless_molecules_with_repeated_atom_names_are_known_by_their_atoms(tmp_path):
    atoms = solution()
    atoms = replace(atoms, names=atoms.elements, residue_names=("UNL",) * 5)
    labels = divided(atoms, 1)
    specification = describe_system(atoms, labels, name="x", temperature=300.0)
    assert [residue.name for residue in specification.residues] == ["M1", "M2"]
    assert [atom.name for atom in specification.residues[0].atoms][:7] == ["C1", "C2", "C3", "C4", "C5", "C6", "H1"]
    mapping = mapping_from_specification(specification, atoms)
    assert mapping.target.residue_names == ("M1", "M1", "M2", "M2", "M2")
    assert np.array_equal(
        mapping.position_weights.toarray(), mapping_from_labels(atoms, labels).position_weights.toarray()
    )


def test_chains_that_are_one_residue_are_described_whole():
    atoms = chain_atoms(2, 4)
    atoms = replace(atoms, residues=atoms.molecules, residue_names=("UNL", "UNL"))
    specification = describe_system(atoms, divided(atoms, 4), name="x", temperature=300.0)
    (residue,) = specification.residues
    assert residue.count == 2 and len(residue.beads) == 4 and not specification.chains
    assert [bead.type for bead in residue.beads] == ["C2H5", "C2H4", "C2H4", "C2H5"]
    assert mapping_from_specification(specification, atoms).target.n_molecules == 2


def across_residues():
    atoms = chain_atoms(1, 3)
    return atoms, np.arange(atoms.n_atoms) // 10


def unlike():
    labels = labels_of_groups(residue_groups(benzene_atoms(2)), [PAIRS], 24)
    return benzene_atoms(2), np.where(np.arange(24) == 13, labels[16], labels)


def half_mapped():
    return benzene_atoms(2), np.where(np.arange(24) % 12 == 0, -1, np.arange(24) // 12)


def branched():
    atoms = chain_atoms(1, 5)
    names = (*atoms.residue_names[:2], "PEX", *atoms.residue_names[3:])
    return replace(atoms, residue_names=names), atoms.residues


def one_name():
    atoms = chain_atoms(1, 3)
    return replace(atoms, residue_names=("PE",) * 3), atoms.residues


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (across_residues, r"bead 0 reaches from residue 0 \(PEH\) into others"),
        (unlike, "not all divided in the same way"),
        (half_mapped, "some atoms are in no bead"),
        (branched, "no linear chain"),
        (one_name, "of several kinds"),
    ],
)
def test_what_a_system_yaml_cannot_say_is_refused(case, message):
    atoms, labels = case()
    with pytest.raises(InputError, match=message):
        describe_system(atoms, labels, name="x", temperature=300.0)


def test_a_bond_from_a_mapped_residue_to_an_unmapped_one_is_refused():
    atoms = chain_atoms(1, 4)
    specification = describe_system(atoms, divided(atoms), name="x", temperature=300.0)
    kept = [residue for residue in specification.residues if residue.name != "PET"]
    chain = specification.chains[0].model_copy(update={"tail": "PEM"})
    changed = specification.model_copy(update={"residues": tuple(kept), "chains": (chain,), "unmapped": ("PET",)})
    with pytest.raises(InputError, match="is left unmapped: a molecule is mapped as a whole"):
        center_of_mass_mapping(changed, atoms)


def test_residues_that_nobody_named_are_refused_with_the_way_to_leave_them_out():
    with pytest.raises(InputError, match=r"has residues HOH.*unmapped: \[HOH\]"):
        mapping_from_specification(benzene_specification(1), solution())
