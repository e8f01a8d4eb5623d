import numpy as np
import pytest
from openmm import app, unit

from openmm_cgml.builder import structure_file
from openmm_cgml.errors import InputError
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


def test_lost_bonds_are_noticed_before_a_file_is_written(tmp_path, monkeypatch):
    topology, positions, box = benzene_box(3, 64)
    write = app.PDBxFile.writeFile

    def forgetful(*arguments, keepIds):
        write(*arguments, keepIds=False)  # OpenMM's default, which reuses the 26 letters

    monkeypatch.setattr(app.PDBxFile, "writeFile", forgetful)
    with pytest.raises(InputError, match="of 192 bonds"):
        structure_file.write_structure(tmp_path / "t.cif", topology, positions, box)
    assert not (tmp_path / "t.cif").exists()
