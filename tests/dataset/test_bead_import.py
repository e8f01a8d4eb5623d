from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.dataset.bead_import import bead_topology, import_beads
from openmm_cgml.errors import InputError
from openmm_cgml.trajectories import TrajectorySource, find_unit_system, read_bead_topology
from tests.trajectories.liquid import BONDS, N_FRAMES, N_MOLECULES, run_liquid, write_data, write_dump


@pytest.fixture
def beads(tmp_path):
    text = write_data(tmp_path / "a.data").read_text()
    (tmp_path / "a.data").write_text(text.replace("1 12.011", "1 28.05 # C2H4").replace("2 15.999", "2 14.03"))
    return read_bead_topology(tmp_path / "a.data")


def test_types_are_the_comments_of_the_masses_or_numbered(beads):
    topology, types = beads
    assert types == ("C2H4", "T2") * N_MOLECULES
    assert topology.atoms.names == ("C2H41", "T21") * N_MOLECULES
    np.testing.assert_allclose(topology.atoms.masses[:2], [28.05, 14.03])
    made, templates = bead_topology(topology.atoms, types)
    assert [(template.name, template.bead_type_names, template.bonds) for template in templates] == [
        ("M1", ("C2H4", "T2"), ((0, 1),))
    ]
    np.testing.assert_array_equal(made.bonds, BONDS)


def test_frames_of_beads_become_a_dataset(tmp_path, beads):
    run = run_liquid()
    path = write_dump(tmp_path / "a.dump", run, seed=5, wrap=True, columns="id x y z fx fy fz")
    source = TrajectorySource(paths=(path,), units=find_unit_system("real"), time_step=1e-3)
    seen = []
    found = import_beads(source, *beads, tmp_path / "d", temperature=300.0, progress=seen.append)
    dataset = ForceMatchingDataset.open(tmp_path / "d")
    assert dataset.n_frames == seen[-1] == N_FRAMES
    np.testing.assert_allclose(dataset.frames().forces, run.forces, rtol=1e-5, atol=1e-3)
    assert dataset.source["imported"]["units"] == "real"
    assert {finding.what for finding in found.findings} >= {"density", "forces along bonds", "frames read"}
    assert "bond lengths" not in {finding.what for finding in found.findings}  # beads have no usual ones


def test_slips_of_units_are_refused_for_beads_too(tmp_path, beads):
    source = TrajectorySource(paths=(write_dump(tmp_path / "a.dump", run_liquid()),), units=find_unit_system("metal"))
    with pytest.raises(InputError, match="no such run can be"):
        import_beads(source, *beads, tmp_path / "d", temperature=300.0)
    assert not (tmp_path / "d").exists()


def test_residues_of_one_name_that_differ_are_refused(beads):
    topology, types = beads
    masses = topology.atoms.masses.copy()
    masses[2] = 30.0
    with pytest.raises(InputError, match="residue 1 is called M1 and differs"):
        bead_topology(replace(topology.atoms, masses=masses), types)


def test_a_topology_without_masses_is_refused(tmp_path):
    (tmp_path / "a.gro").write_text(
        "beads\n2\n    1X      A    1   0.0   0.0   0.0\n    1X      B    2   0.1   0.0   0.0\n 2 2 2\n"
    )
    with pytest.raises(InputError, match="does not give the masses of all beads"):
        read_bead_topology(tmp_path / "a.gro")
