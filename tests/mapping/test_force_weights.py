from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_array

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import (
    ForceMapReport,
    Mapping,
    center_of_mass_mapping,
    check_constraints,
    mapping_from_labels,
    mapping_from_specification,
    optimal_force_weights,
    optimal_weights_exist,
    uniform_force_weights,
)
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification


def noisy_frames(n_molecules, n_frames, seed=0):
    """Forces with a strong correlated pair noise between carbons of neighboring beads, and equal within C-H pairs."""
    rng = np.random.default_rng(seed)
    frames = benzene_frames(n_molecules, n_frames, seed=seed)
    noise = rng.normal(scale=3000.0, size=(n_frames, n_molecules, 3))
    forces = frames.forces.reshape(n_frames, n_molecules, 12, 3).copy()
    forces[:, :, 1] += noise
    forces[:, :, 2] -= noise
    return frames.replace(forces=forces.reshape(n_frames, -1, 3))


def optimal(n_beads, frames, n_molecules):
    atoms = benzene_atoms(n_molecules)
    mapping = mapping_from_specification(benzene_specification(n_beads), atoms)
    weights, reports = optimal_force_weights(mapping, [frames[:3], frames[3:]], atoms)
    changed = Mapping(
        target=mapping.target,
        position_weights=mapping.position_weights,
        force_weights=weights,
        source_bonds=mapping.source_bonds,
    )
    return mapping, changed, reports


def test_optimal_weights_are_consistent_and_constraint_free_and_less_noisy():
    frames = noisy_frames(5, 20)
    uniform, changed, (report,) = optimal(3, frames, 5)
    check_constraints(changed.force_weights, benzene_atoms(5).constraints)
    before, after = (np.sqrt((m(frames).forces ** 2).mean(axis=(0, 2))).reshape(5, 3) for m in (uniform, changed))
    assert np.allclose(np.sqrt((before**2).mean(axis=0)), report.uniform_rms)
    assert np.allclose(np.sqrt((after**2).mean(axis=0)), report.optimal_rms)
    assert report.optimal_rms[0] < 0.8 * report.uniform_rms[0]
    assert report.n_samples == 20 * 5 * 3
    assert ForceMapReport.from_dict(report.to_dict()) == report


def test_no_other_consistent_weights_have_less_noise():
    frames = noisy_frames(2, 30, seed=3)
    uniform, changed, _ = optimal(3, frames, 2)
    rng = np.random.default_rng(0)
    best = (changed(frames).forces ** 2).sum()
    positions = uniform.position_weights.toarray()[:3, :12]
    groups = np.hstack([np.eye(6), np.eye(6)])
    null = np.linalg.svd(positions @ groups.T)[2][3:]
    for _ in range(10):
        change = rng.normal(scale=0.05, size=(3, 3))
        local = (change - change.mean(axis=0)) @ null @ groups  # the sum over the beads stays 1 for every atom
        weights = csr_array(changed.force_weights.toarray() + np.kron(np.eye(2), local))
        other = Mapping(
            target=changed.target,
            position_weights=changed.position_weights,
            force_weights=weights,
            source_bonds=changed.source_bonds,
        )
        assert (other(frames).forces ** 2).sum() > best


def test_the_force_on_a_molecule_stays_the_sum_over_its_atoms():
    frames = noisy_frames(4, 30, seed=1)
    rng = np.random.default_rng(2)
    atomic = frames.forces.copy()
    atomic.reshape(30, 4, 12, 3)[:, :, 0] += rng.normal(scale=4000.0, size=(30, 4, 3))  # not the same on all carbons
    frames = frames.replace(forces=atomic)
    _, changed, _ = optimal(3, frames, 4)
    assert np.abs(changed.force_weights.toarray().sum(axis=0) - 1).max() < 1e-12
    on_molecules = changed(frames).forces.reshape(30, 4, 3, 3).sum(axis=2)
    assert np.allclose(on_molecules, atomic.reshape(30, 4, 12, 3).sum(axis=2), rtol=0, atol=1e-6)
    assert np.abs(changed.force_weights.toarray()[:3, :12] - 1).min(axis=0).max() > 0.1  # and they are no plain sums


def test_beads_of_one_residue_each_have_uniform_weights_exactly():
    uniform, changed, (report,) = optimal(1, noisy_frames(3, 20), 3)
    assert changed.fingerprint == uniform.fingerprint
    assert report.variance_removed == 0 and "nothing to gain" in report.to_text()


def test_beads_across_residues_get_the_weights_of_their_molecule():
    atoms = benzene_atoms(4)
    halves = replace(  # every molecule is two residues of half a ring each, and its first bead takes from both
        atoms,
        residues=2 * atoms.molecules + np.isin(np.arange(48) % 6, (3, 4, 5)),
        residue_names=("HAL",) * 8,
    )
    labels = np.tile([0, 1, 1, 2, 2, 0] * 2, 4) + 3 * np.repeat(np.arange(4), 12)
    mapping = mapping_from_labels(halves, labels)
    frames = noisy_frames(4, 30)
    weights, (report,) = optimal_force_weights(mapping, [frames], halves)
    assert report.bead_names == ("B1", "B2", "B3") and report.n_samples == 360
    Mapping(
        target=mapping.target,
        position_weights=mapping.position_weights,
        force_weights=weights,
        source_bonds=mapping.source_bonds,
    )  # which checks that they fit
    check_constraints(weights, halves.constraints)


def test_beads_that_are_rigid_together_have_no_weights():
    constraints = np.array([(i, j) for i in range(12) for j in range(i)])
    atoms = benzene_atoms(2, constraints=constraints)
    mapping = center_of_mass_mapping(benzene_specification(3), atoms)
    assert not optimal_weights_exist(mapping, atoms)
    with pytest.raises(InputError, match="no force weights fit the beads"):
        optimal_force_weights(mapping, [noisy_frames(2, 30)], atoms)
    with pytest.raises(InputError, match="straddle beads") as error:
        mapping_from_specification(benzene_specification(3), atoms)
    assert "--force-map optimal" not in str(error.value)


def test_independent_equal_forces_make_the_uniform_sum_optimal():
    rng = np.random.default_rng(0)
    frames = benzene_frames(50, 30)
    frames = frames.replace(forces=rng.normal(size=frames.forces.shape))
    _, changed, _ = optimal(1, frames, 50)
    assert np.allclose(changed.force_weights.toarray()[0, :12], 1.0, atol=0.05)


@pytest.mark.physics
def test_optimal_and_uniform_maps_share_the_mean_force():
    """Atoms in a harmonic trap with shared bonds: the conditional mean force on the beads is known exactly."""
    rng = np.random.default_rng(2)
    stiffness = np.diag([400.0, 100.0, 900.0, 50.0]) + 30.0 * np.ones((4, 4))
    samples = rng.multivariate_normal(np.zeros(4), np.linalg.inv(stiffness), size=200_000)
    forces = -samples @ stiffness
    positions = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    covariance = forces.T @ forces / len(forces)

    def trace(free):
        weights = uniform + free.reshape(2, 2) @ null
        return np.trace(weights @ covariance @ weights.T)

    uniform, null = (positions > 0).astype(float), np.array([[1.0, -1, 0, 0], [0, 0, 1.0, -1]])
    least_noise = uniform + minimize(trace, np.zeros(4)).x.reshape(2, 2) @ null
    beads = samples @ positions.T
    mean_force = np.linalg.inv(positions @ np.linalg.inv(stiffness) @ positions.T)
    for weights, tolerance in ((uniform, 3.0), (least_noise, 3.0)):
        slope = np.linalg.lstsq(beads, forces @ weights.T, rcond=None)[0]
        assert np.allclose(slope, -mean_force, atol=tolerance)
    wrong = uniform.copy()
    wrong[0, 0] = 0.0  # control: weights with B C^T different from 1 have another mean force
    slope = np.linalg.lstsq(beads, forces @ wrong.T, rcond=None)[0]
    assert not np.allclose(slope, -mean_force, atol=20.0)


def test_constraints_that_straddle_beads_are_refused_with_their_atoms():
    atoms = benzene_atoms(2, constraints=[(1, 2)])
    with pytest.raises(InputError, match=r"2 constraints straddle beads, for example C2 \(1\)-C3 \(2\)"):
        mapping_from_specification(benzene_specification(3), atoms)
    mapping_from_specification(benzene_specification(1), atoms)


def test_an_atom_in_two_beads_has_no_uniform_force_weights():
    with pytest.raises(InputError, match=r"atoms \[1\] belong to more than one bead"):
        uniform_force_weights(csr_array(np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]])))


def test_frames_without_forces_are_refused():
    frames = benzene_frames(1, 2)
    with pytest.raises(InputError, match="no forces"):
        optimal(1, Frames(positions=frames.positions, box=frames.box), 1)
