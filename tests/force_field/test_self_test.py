from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from openmm_cgml.engine import DeployedNetwork
from openmm_cgml.errors import ArtifactError
from openmm_cgml.force_field.self_test import (
    TOLERANCE,
    network_energy_and_forces,
    record_self_test,
    verify_self_test,
)
from tests.fixtures import benzene_box, displaced, tiny_chain_force_field, tiny_force_field
from tests.long_chains import BOX, chain_network, chain_topology, grown_chains, reference, rewrapped


def parts(force_field):
    return force_field.priors, force_field.network, force_field.templates, force_field.type_names, force_field.chains


@pytest.mark.parametrize("n_beads", [1, 3])
def test_a_record_is_verified_by_the_force_field_that_made_it(n_beads):
    force_field = tiny_force_field(n_beads, dtype=torch.float64)
    record = record_self_test(*parts(force_field), 1.4)
    assert set(record) >= {"energies_priors", "forces_priors", "energies_network", "forces_network"}
    assert np.sqrt(np.mean(record["forces_network"] ** 2)) > 1.0  # not a comparison of zeros
    verify_self_test(record, *parts(force_field), name="self-test")


def test_chains_are_recorded_with_their_bonds_and_without_overlaps():
    force_field = tiny_chain_force_field(dtype=torch.float64)
    record = record_self_test(*parts(force_field), 1.4)
    positions, edge = record["positions"], record["box"][0, 0]
    assert positions.shape[1] % 12 == 0  # chains of six monomers
    assert positions.shape[1] / edge**3 > 20
    nearest = min(cKDTree(frame % edge, boxsize=edge).query(frame % edge, k=2)[0][:, 1].min() for frame in positions)
    assert nearest > 0.1
    steps = np.linalg.norm(np.diff(positions.reshape(3, -1, 12, 3), axis=2), axis=-1)
    assert steps.max() < 0.7  # no bond reaches across the box
    verify_self_test(record, *parts(force_field), name="self-test")
    stiffer = replace(force_field.priors, terms=tuple(_stiffer(term) for term in force_field.priors.terms))
    with pytest.raises(ArtifactError, match="of the priors differ"):
        verify_self_test(record, *parts(replace(force_field, priors=stiffer)), name="self-test")


def _stiffer(term):
    if term.form != "harmonic_bond":
        return term
    return replace(term, parameters={**term.parameters, "stiffness": 1.001 * term.parameters["stiffness"]})


@pytest.mark.parametrize("key", ["energies_priors", "forces_priors", "energies_network", "forces_network"])
def test_a_deviation_beyond_the_tolerance_is_named(key):
    force_field = tiny_force_field(3, dtype=torch.float64)
    record = record_self_test(*parts(force_field), 1.4)
    record[key] = record[key].copy()
    record[key].flat[0] += 10 * TOLERANCE * np.sqrt(np.mean(record[key] ** 2))
    with pytest.raises(ArtifactError, match=key.replace("_", " of the ")):
        verify_self_test(record, *parts(force_field), name="self-test")


def test_another_network_does_not_reproduce_the_record():
    record = record_self_test(*parts(tiny_force_field(1, dtype=torch.float64)), 1.4)
    with pytest.raises(ArtifactError, match="differ by"):
        verify_self_test(record, *parts(tiny_force_field(1, seed=1, dtype=torch.float64)), name="self-test")


def test_a_record_without_its_tensors_is_refused():
    force_field = tiny_force_field(1, dtype=torch.float64)
    record = record_self_test(*parts(force_field), 1.4)
    for key in ("positions", "forces_network"):
        with pytest.raises(ArtifactError, match=key):
            verify_self_test({k: v for k, v in record.items() if k != key}, *parts(force_field), name="self-test")


@pytest.mark.parametrize("n_beads", [1, 3])
@pytest.mark.parametrize("include_bonded", [True, False])
def test_the_network_evaluated_plainly_agrees_with_the_deployed_one(n_beads, include_bonded):
    force_field = tiny_force_field(n_beads, dtype=torch.float64, include_bonded=include_bonded)
    topology, positions, box = benzene_box(n_beads, 64)
    positions = displaced(positions, box)
    exclude_bonds = force_field.priors.exclude_bonds
    exclusions = topology.exclusions(exclude_bonds)
    energy, forces = network_energy_and_forces(force_field.network, topology, exclusions, positions, box)
    deployed = DeployedNetwork(force_field.network, topology, exclude_bonds=exclude_bonds)
    other_energy, other_forces = deployed(torch.from_numpy(positions), torch.from_numpy(box))
    scale = np.sqrt(np.mean(forces**2))
    assert energy == pytest.approx(float(other_energy), rel=1e-10)
    assert np.abs(forces - other_forces.numpy()).max() < 1e-9 * scale


def test_a_chain_and_its_own_images_are_intermolecular_in_the_plain_evaluation():
    topology, whole, network = chain_topology(), grown_chains(), chain_network()
    expected, expected_forces = reference(network, topology, whole)
    none = np.zeros((0, 2), np.int64)
    energy, forces = network_energy_and_forces(network, topology, none, rewrapped(whole, "wrapped"), BOX)
    assert energy == pytest.approx(expected, rel=1e-10)
    assert np.abs(forces - expected_forces).max() < 1e-9 * np.sqrt(np.mean(forces**2))
    assert abs(reference(network, topology, whole, by_index=True)[0] - expected) > 1.0, "the control must fail"
