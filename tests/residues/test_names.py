"""Names in a system.yaml that OpenMM and mdtraj read as others from files."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openmm import app

from openmm_cgml import read_specification
from openmm_cgml.builder import write_structure
from openmm_cgml.errors import InputError
from openmm_cgml.topology import CGTopology, ResidueTemplate


def write(path, residue, bead, *more):
    beads = ", ".join(f"{{name: {name}, type: T{i}, atoms: [X{i}]}}" for i, name in enumerate((bead, *more)))
    atoms = ", ".join(f"{{name: X{i}, element: C}}" for i in range(1 + len(more)))
    path.write_text(
        f"name: x\ntemperature: 300 K\nresidues:\n  - {{name: {residue}, count: 5, atoms: [{atoms}], beads: [{beads}]}}\n"
    )
    return path


@pytest.mark.parametrize(("given", "read"), [("SOL", "HOH"), ("TIP3", "HOH"), ("HID", "HIS"), ("LIG", "LIG")])
def test_residues_have_the_name_that_comes_back_from_files(tmp_path, given, read):
    (template,) = read_specification(write(tmp_path / "s.yaml", given, "W")).templates()
    assert (template.name, template.bead_names) == (read, ("W",))


def test_beads_have_the_name_that_comes_back_from_files(tmp_path):
    (template,) = read_specification(write(tmp_path / "s.yaml", "SOL", "OW")).templates()
    assert template.bead_names == ("O",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("MOL", "'C 1'"), "'C 1'"),
        (("'_A'", "B"), "'_A'"),
        (("ALA", "CA", "CB"), "OpenMM bonds beads CA and CB"),
        (("CYS", "BB", "SG"), "disulfide"),
    ],
)
def test_names_that_would_not_come_back_are_refused_as_the_file_is_read(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        read_specification(write(tmp_path / "s.yaml", *names))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=6))
def test_a_name_is_refused_or_comes_back_from_the_file_as_it_was(name):
    template = ResidueTemplate(name=name, bead_names=(name,), bead_type_names=("P",), masses=(72.0,))
    topology = CGTopology.from_residues([(template, 3)], ("P",))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.cif"
        try:
            write_structure(path, topology, np.arange(9.0).reshape(3, 3), np.eye(3) * 9)
        except InputError:
            return
        read = app.PDBxFile(str(path)).topology
    assert CGTopology.from_openmm(read, [template], ("P",)).fingerprint == topology.fingerprint


def test_every_name_in_openmms_tables_comes_back(tmp_path):
    app.PDBFile._loadNameReplacementTables()
    for name in app.PDBFile._residueNameReplacements:
        template = ResidueTemplate(name=name, bead_names=("BB",), bead_type_names=("P",), masses=(72.0,))
        topology = CGTopology.from_residues([(template, 2)], ("P",))
        write_structure(tmp_path / "t.cif", topology, np.zeros((2, 3)), None)
        read = app.PDBxFile(str(tmp_path / "t.cif")).topology
        assert CGTopology.from_openmm(read, [template], ("P",)).fingerprint == topology.fingerprint
