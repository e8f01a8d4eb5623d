import json
from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.topology import CGTopology, MoleculeTemplate
from tests.fixtures import tiny_chain_force_field, tiny_force_field


def chains(force_field, monomers, count):
    names = force_field.chains[0].residues(monomers)
    molecule = MoleculeTemplate.from_names(names, force_field.templates, force_field.chains)
    return CGTopology.from_molecules([(molecule, count)], force_field.type_names)


def test_a_force_field_of_chains_is_saved_and_loaded_with_them(tmp_path):
    force_field = tiny_chain_force_field()
    path = force_field.save(tmp_path / "m")
    loaded = ForceField.load(path)
    assert loaded.chains == force_field.chains
    assert loaded.fingerprint == force_field.fingerprint != replace(force_field, chains=()).fingerprint
    document = json.loads((path / "manifest.json").read_text())
    assert document["required_features"] == ["chains"]  # readers that do not know chains refuse it by name
    assert "PEH, then PEM any number of times, then PET" in (path / "README.md").read_text()


def test_what_has_no_chains_needs_no_reader_that_knows_them(tmp_path):
    document = json.loads((tiny_force_field(3).save(tmp_path / "m") / "manifest.json").read_text())
    assert document["required_features"] == []
    assert "chains" not in document


def test_edited_chains_are_noticed(tmp_path):
    path = tiny_chain_force_field(network=False).save(tmp_path / "m")
    document = json.loads((path / "manifest.json").read_text())
    document["chains"][0]["monomers"] = 3
    (path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(ArtifactError):
        ForceField.load(path)


def test_chains_of_any_length_get_a_system():
    force_field = tiny_chain_force_field(network=False)
    for monomers in (2, 7):
        topology = chains(force_field, monomers, 4)
        for given in (topology, topology.to_openmm()):
            system = force_field.create_system(given, box=[3, 3, 3])
            bonds = next(force for force in system.getForces() if "bond" in force.getName())
            assert bonds.getNumBonds() == 4 * (2 * monomers - 1)
    assert force_field.bead_topology(topology).fingerprint == topology.fingerprint


def test_a_chain_cut_in_two_is_refused():
    force_field = tiny_chain_force_field(network=False)
    topology = chains(force_field, 4, 1)
    cut = replace(topology, bonds=np.delete(topology.bonds, 3, axis=0))
    with pytest.raises(InputError, match=r"residue 1 .'PEM'. is bonded to 1 residue.s. before and 0 after"):
        force_field.create_system(cut, box=[3, 3, 3])


def test_chains_of_residues_that_are_not_there_are_refused():
    force_field = tiny_chain_force_field(network=False)
    with pytest.raises(InputError, match="'XXX', which is not defined"):
        replace(force_field, chains=(replace(force_field.chains[0], body="XXX"),))
