import json
import math
from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.judging import judge_mapping, table_of
from openmm_cgml.judging.distributions import count_maxima, maxima_of, shape_anisotropy
from openmm_cgml.judging.pair_fit import held_out_fit
from openmm_cgml.judging.structure import disconnected_beads, judge_structure, uneven_atoms
from openmm_cgml.mapping import Mapping, mapping_from_labels, mapping_from_specification
from openmm_cgml.mapping.labels import labels_of_groups, residue_groups
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN
from tests.atoms import CONSTRAINTS, benzene_atoms, benzene_frames, benzene_specification
from tests.mapping.test_labels import solution

ADJACENT, MIXED, OPPOSITE = [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 2, 2], [0, 1, 2, 0, 1, 2]


def labels_of(atoms, carbons):
    return labels_of_groups(residue_groups(atoms), [list(carbons) * 2], atoms.n_atoms)


def judged(carbons, *, n_molecules=20, n_frames=8, **changes):
    atoms = benzene_atoms(n_molecules, **changes)
    mapping = mapping_from_labels(atoms, labels_of(atoms, carbons))
    return judge_mapping(mapping, atoms, benzene_frames(n_molecules, n_frames), temperature=300.0, name=str(carbons))


def test_adjacent_pairs_of_benzene_are_found_best():
    adjacent, mixed, opposite = (judged(pairs) for pairs in (ADJACENT, MIXED, OPPOSITE))
    lost = [round(1 - each.structure.network_variance_kept, 2) for each in (adjacent, mixed, opposite)]
    assert lost == [0.36, 0.52, 0.77]
    assert [each.structure.disconnected for each in (adjacent, mixed, opposite)] == [0, 40, 60]
    assert [each.structure.uneven_atoms for each in (adjacent, mixed, opposite)] == [0, 1, 0]
    kept = [each.variance_kept for each in (adjacent, mixed, opposite)]
    assert kept[0] > 0.99 and kept[2] < 0.02  # opposite atoms have their center where that of the ring is


def test_a_judgement_is_plain_json_and_a_column_of_the_table():
    judgements = [judged(ADJACENT), judged(OPPOSITE)]
    content = json.loads(json.dumps([each.to_dict() for each in judgements]))
    assert content[0]["structure"]["disconnected"] == 0 and content[0]["bead_types"] == {"C2H2": 60}
    assert content[0]["uniform_force_rms"] == judgements[0].force_rms("uniform")
    lines = table_of(judgements).splitlines()
    assert lines[0].split("  ")[-1].strip() == str(OPPOSITE)
    (row,) = [line for line in lines if line.startswith("disconnected beads")]
    assert row.split()[-2:] == ["0", "60"]


def test_force_rms_is_that_of_the_mapped_forces():
    atoms, frames = benzene_atoms(20), benzene_frames(20, 8)
    mapping = mapping_from_specification(benzene_specification(3), atoms)
    judgement = judge_mapping(mapping, atoms, frames, temperature=300.0, fit_pairs=False)
    assert judgement.force_rms("uniform") == pytest.approx(float(np.sqrt((mapping(frames).forces ** 2).mean())))
    assert judgement.force_rms("optimal") <= judgement.force_rms("uniform")
    assert judgement.pair_fit is None


def test_cut_constraints_are_counted_and_make_uniform_forces_invalid():
    rings = np.array([(1, 2)])
    judgement = judged(ADJACENT, constraints=np.concatenate([CONSTRAINTS, rings]))
    assert judgement.structure.constraints_cut == 20
    assert judgement.force_rms("uniform") is None and judgement.force_rms("optimal") > 0
    assert "not valid" in table_of([judgement])


def test_what_cannot_be_found_out_is_said():
    atoms, frames = benzene_atoms(2), benzene_frames(2, 3)
    mapping = mapping_from_specification(benzene_specification(3), atoms)
    judgement = judge_mapping(mapping, atoms, frames.replace(forces=None, forces_inter=None), temperature=300.0)
    text = " ".join(judgement.notes)
    assert "no forces" in text and "no pair splines: 3 frames" in text and "100 samples" in text
    assert judgement.force_rms("optimal") is None
    assert all(note in table_of([judgement]) for note in judgement.notes)


def test_molecules_that_are_divided_otherwise_than_their_kind_are_counted():
    atoms = benzene_atoms(4)
    labels = labels_of(atoms, ADJACENT)
    labels[12:24] = labels[[23, *range(12, 23)]]
    assert judge_structure(atoms, labels).uneven_molecules == 1
    assert judge_structure(atoms, labels_of(atoms, ADJACENT)).uneven_molecules == 0


def test_solvent_without_beads_is_no_part_of_the_judgement():
    atoms = solution(n_molecules=2)
    beads = np.where(np.arange(33) < 24, np.append(labels_of(benzene_atoms(2), ADJACENT), np.zeros(9, int)), -1)
    alone = judge_structure(benzene_atoms(2), labels_of(benzene_atoms(2), ADJACENT))
    assert judge_structure(atoms, beads) == alone


def test_disconnected_beads_are_named():
    bonds = np.array([(0, 1), (1, 2), (2, 3)])
    assert disconnected_beads(np.array([0, 1, 1, 0]), bonds).tolist() == [0]
    assert disconnected_beads(np.array([0, -1, 1, 1]), bonds).tolist() == []


@pytest.mark.parametrize(
    ("carbons", "uneven"), [([0] * 6, 0), ([0, 1, 2, 3, 4, 5], 0), ([0, 0, 0, 1, 1, 1], 1), ([0, 0, 1, 2, 2, 3], 1)]
)
def test_equivalent_atoms_have_equivalent_places_or_are_counted(carbons, uneven):
    (group,) = residue_groups(benzene_atoms(1))
    assert uneven_atoms(group, np.array(carbons * 2)) == uneven


def test_an_atom_in_two_beads_is_refused():
    target = mapping_from_specification(benzene_specification(3), benzene_atoms(1)).target
    weights = np.zeros((3, 12))
    weights[[0, 0, 1, 1, 2, 2], [0, 1, 1, 2, 3, 4]] = 0.5
    forces = np.linalg.pinv(weights.T)
    mapping = Mapping(
        target=target, position_weights=weights, force_weights=forces, source_bonds=benzene_atoms(1).bonds
    )
    with pytest.raises(InputError, match="atom 1 is part of two beads"):
        judge_mapping(mapping, benzene_atoms(1), benzene_frames(1, 5), temperature=300.0)


@pytest.mark.parametrize("n", [1000, 100_000])
def test_maxima_are_counted_and_noise_is_none(n):
    rng = np.random.default_rng(n)
    normal = rng.normal(size=n)
    assert count_maxima(0.15 + 0.01 * normal) == 1
    assert count_maxima(rng.random(n)) == 1
    assert count_maxima(0.15 + 0.01 * normal + 0.05 * (rng.random(n) < 0.3)) == 2
    assert count_maxima(np.full(n, 0.1)) == 1


def test_maxima_of_periodic_samples_are_counted_across_the_seam():
    rng = np.random.default_rng(0)
    turned = (math.pi + 0.3 * rng.normal(size=5000) + math.pi) % (2 * math.pi) - math.pi
    assert count_maxima(turned, period=2 * math.pi) == 1
    assert count_maxima(turned) == 2  # the same samples on a line
    three = (turned + rng.choice([0.0, 2.1, -2.1], size=5000) + math.pi) % (2 * math.pi) - math.pi
    assert count_maxima(three, period=2 * math.pi) == 3


def test_maxima_come_by_coordinate_and_types():
    judgement = judged(ADJACENT)
    assert judgement.maxima == {"bonds": {"C2H2-C2H2": 1}, "angles": {"C2H2-C2H2-C2H2": 1}, "torsions": {}}
    atoms = benzene_atoms(2)
    mapping = mapping_from_labels(atoms, labels_of(atoms, ADJACENT))
    assert maxima_of(mapping.target, mapping(benzene_frames(2, 3)))["bonds"] == {}


def test_anisotropy_is_that_of_disks_rods_and_points():
    atoms, frames = benzene_atoms(3), benzene_frames(3, 2)
    flat = mapping_from_labels(atoms, atoms.molecules)
    assert shape_anisotropy(flat, atoms.masses, frames)["C6H6"] == pytest.approx(0.25, abs=0.01)
    rods = mapping_from_labels(atoms, np.where(np.arange(36) % 12 % 3 == 0, atoms.molecules, -1))
    assert shape_anisotropy(rods, atoms.masses, frames)["C2H2"] == pytest.approx(1.0, abs=0.01)
    points = mapping_from_labels(atoms, np.where(np.arange(36) % 12 == 0, atoms.molecules, -1))
    assert shape_anisotropy(points, atoms.masses, frames)["C"] == 0.0


def soft_spheres(n_frames=8, n=200, noise=0.0, seed=0):
    """Random points that repel with 300 (1 - r / 0.8 nm) kJ/mol/nm."""
    rng = np.random.default_rng(seed)
    positions, box = rng.random((n_frames, n, 3)) * 2.5, np.tile(np.eye(3) * 2.5, (n_frames, 1, 1))
    vectors = positions[:, :, None] - positions[:, None]
    vectors -= 2.5 * np.round(vectors / 2.5)
    distances = np.linalg.norm(vectors, axis=3) + 10 * np.eye(n)
    strength = np.where(distances < 0.8, 300 * (1 - distances / 0.8), 0.0)
    forces = (strength[..., None] * vectors / distances[..., None]).sum(axis=2)
    from openmm_cgml.frames import Frames

    return Frames(positions=positions, box=box, forces=forces + noise * rng.normal(size=forces.shape))


def points(n=200):
    return CGTopology(
        type_names=("A",), bead_types=np.zeros(n, int), bead_names=("A",) * n, masses=np.full(n, 50.0),
        molecules=np.arange(n), residues=np.arange(n), residue_names=("A",) * n, bonds=np.zeros((0, 2), int),
    )  # fmt: skip


@pytest.mark.physics
def test_splines_explain_pair_forces_and_not_noise():
    pure = held_out_fit(points(), soft_spheres(), 300.0)
    assert pure.r2 > 0.99 and pure.n_frames == 4
    signal = pure.force_rms
    noisy = held_out_fit(points(), soft_spheres(noise=signal), 300.0)
    assert noisy.r2 == pytest.approx(0.5, abs=0.1)
    only = soft_spheres().replace(forces=np.random.default_rng(1).normal(size=(8, 200, 3)))
    assert held_out_fit(points(), only, 300.0).r2 < 0.02


def test_splines_are_judged_by_frames_that_they_were_not_fitted_to():
    frames = soft_spheres()
    turned = frames.replace(forces=frames.forces * np.repeat([1.0, -1.0], 4)[:, None, None])
    assert held_out_fit(points(), turned, 300.0).r2 < -2


@pytest.mark.physics
def test_the_time_step_is_a_twentieth_of_the_period_of_the_stiffest_bond():
    rng = np.random.default_rng(0)
    atoms = benzene_atoms(1)
    stiffness, mass = 30_000.0, 6 * 13.019 / 2
    spread = math.sqrt(BOLTZMANN * 300 / stiffness)
    frames = benzene_frames(1, 4000)
    positions = np.zeros((4000, 12, 3))
    positions[:, [3, 4, 5, 9, 10, 11], 0] = (0.25 + spread * rng.normal(size=4000))[:, None]
    mapping = mapping_from_labels(atoms, [0, 0, 0, 1, 1, 1] * 2)
    judgement = judge_mapping(mapping, atoms, frames.replace(positions=positions), temperature=300.0, fit_pairs=False)
    period = 2 * math.pi * math.sqrt(mass / 2 / stiffness)
    assert judgement.time_step == pytest.approx(period / 20, rel=0.05)


def test_beads_held_apart_by_constraints_have_no_time_step_and_a_note():
    atoms, frames = benzene_atoms(1), benzene_frames(1, 200)
    positions = np.zeros((200, 12, 3))
    positions[:, [3, 4, 5, 9, 10, 11], 0] = 0.25
    mapping = mapping_from_labels(atoms, [0, 0, 0, 1, 1, 1] * 2)
    judgement = judge_mapping(mapping, atoms, frames.replace(positions=positions), temperature=300.0, fit_pairs=False)
    assert judgement.time_step is None
    assert any("is constant" in note for note in judgement.notes)


def test_equal_molecules_of_other_masses_are_kinds_of_their_own():
    atoms = benzene_atoms(2)
    heavy = replace(atoms, masses=np.where(np.arange(24) == 6, 2.014, atoms.masses))
    assert judge_structure(heavy, labels_of_groups(residue_groups(heavy), [ADJACENT * 2] * 2, 24)).uneven_atoms > 0
