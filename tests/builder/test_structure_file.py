import subprocess
import sys

import numpy as np
import pytest
from openmm import app, unit

from openmm_cgml.builder import structure_file
from openmm_cgml.errors import InputError
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.fixtures import benzene_box


@pytest.mark.parametrize("n_beads", [1, 3])
def test_beads_bonds_positions_and_box_come_back(tmp_path, n_beads):
    topology, positions, box = benzene_box(n_beads, 64)  # more molecules than there are letters
    structure_file.write_structure(tmp_path / "t.cif", topology, positions, box)
    read = app.PDBxFile(str(tmp_path / "t.cif"))
    assert read.topology.getNumBonds() == len(topology.bonds)
    assert [atom.name for atom in read.topology.atoms()] == list(topology.bead_names)
    chains = [chain.id for chain in read.topology.chains()]
    assert len(set(chains)) == len(chains) == 64
    assert np.abs(read.getPositions(asNumpy=True).value_in_unit(unit.nanometer) - positions).max() < 1e-5
    vectors = read.topology.getPeriodicBoxVectors().value_in_unit(unit.nanometer)
    assert np.allclose(vectors, box, atol=1e-5)


@pytest.mark.parametrize("name", ["LIG", "ALA", "GLY", "DA", "CYS", "HOH", "SOL", "WAT", "TIP3", "HID", "C3", "UNK"])
def test_residues_of_any_name_come_back_with_their_bonds(tmp_path, name):
    template = residue(name)
    topology = CGTopology.from_residues([(template, 30)], ("P", "C"))
    structure_file.write_structure(tmp_path / "t.cif", topology, np.random.default_rng(0).random((60, 3)), np.eye(3))
    read = app.PDBxFile(str(tmp_path / "t.cif")).topology
    again = CGTopology.from_openmm(read, [template], ("P", "C"))
    assert again.fingerprint == topology.fingerprint


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("MOL", "C 1"), "'C 1'"),
        (("MOL", "#1"), "'#1'"),
        (("MOL", "_BB"), "'_BB'"),
        (("loop_", "B"), "'loop_'"),
        (("MOL", "?"), "'[?]'"),
        (("ALA", "CA", "CB"), "OpenMM bonds beads CA and CB"),
        (("CYS", "BB", "SG"), "disulfide"),
        (("HOH", "O", "OW"), "all read as 'O'"),
    ],
)
def test_names_that_would_not_come_back_are_refused_before_a_file_is_written(tmp_path, names, message):
    residue_name, *beads = names
    template = ResidueTemplate(
        name=residue_name, bead_names=tuple(beads), bead_type_names=("P",) * len(beads), masses=(72.0,) * len(beads)
    )
    topology = CGTopology.from_residues([(template, 1)], ("P",))
    with pytest.raises(InputError, match=message):
        structure_file.write_structure(tmp_path / "t.cif", topology, np.zeros((len(beads), 3)), np.eye(3))
    assert not (tmp_path / "t.cif").exists()


def test_residues_that_openmm_calls_the_same_are_refused(tmp_path):
    topology = CGTopology.from_residues([(residue("SOL"), 1), (residue("WAT"), 1)], ("P", "C"))
    with pytest.raises(InputError, match="'SOL' and 'WAT' are both read from files as 'HOH'"):
        structure_file.write_structure(tmp_path / "t.cif", topology, np.zeros((4, 3)), np.eye(3))


def test_other_processes_learn_the_masses_from_the_file(tmp_path):
    topology = CGTopology.from_residues([(residue("SOL"), 30)], ("P", "C"))
    structure_file.write_structure(tmp_path / "t.cif", topology, np.random.default_rng(0).random((60, 3)), np.eye(3))
    code = (
        "import sys; from openmm_cgml.builder import register_beads; register_beads(sys.argv[1]);"
        "import mdtraj, MDAnalysis; from openmm import app;"
        "read = mdtraj.load(sys.argv[1]); total = sum(a.element.mass for a in read.top.atoms);"
        "file = app.PDBxFile(sys.argv[1]);"
        "print(total, mdtraj.compute_center_of_mass(read)[0, 0], read.top.n_bonds, read.top.n_chains,"
        "MDAnalysis.Universe(file).atoms.masses.sum())"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "t.cif")]
    found = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split()
    total, center, bonds, chains, other = found
    assert float(total) == pytest.approx(30 * 126.0) and float(other) == pytest.approx(30 * 126.0)
    assert np.isfinite(float(center)) and (int(bonds), int(chains)) == (30, 30)


def residue(name):
    return ResidueTemplate(
        name=name, bead_names=("BB", "SC"), bead_type_names=("P", "C"), masses=(72.0, 54.0), bonds=((0, 1),)
    )


def test_repeated_names_are_noticed_before_a_file_is_written(tmp_path, monkeypatch):
    topology, positions, box = benzene_box(3, 64)
    monkeypatch.setattr(structure_file, "chain_id", lambda number: "A")
    monkeypatch.setattr(structure_file, "_bonds", lambda topology: [])
    with pytest.raises(InputError, match="0 of 192 bonds"):
        structure_file.write_structure(tmp_path / "t.cif", topology, positions, box)
    assert not (tmp_path / "t.cif").exists()
