import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import Mapping, mapping_from_specification
from openmm_cgml.topology import CGTopology, ResidueTemplate
from tests.atoms import TRICLINIC, benzene_atoms, benzene_frames, benzene_specification


def benzene_mapping(n_beads, n_molecules=3):
    return mapping_from_specification(benzene_specification(n_beads), benzene_atoms(n_molecules))


def pairs_topology(n_beads, bonded=True):
    """One molecule of beads in a row."""
    bonds = [(i, i + 1) for i in range(n_beads - 1)] if bonded else []
    template = ResidueTemplate(
        name="RES",
        bead_names=tuple(f"B{i}" for i in range(n_beads)),
        bead_type_names=("A",) * n_beads,
        masses=(1.0,) * n_beads,
        bonds=tuple(bonds),
    )
    return CGTopology.from_residues([(template, 1)])


def two_from_four(weights, bonds=((0, 1), (1, 2), (2, 3)), force_weights=None):
    weights = np.array(weights, dtype=float)
    forces = (weights > 0).astype(float) if force_weights is None else np.array(force_weights, dtype=float)
    return Mapping(
        target=pairs_topology(2),
        position_weights=csr_array(weights),
        force_weights=csr_array(forces),
        source_bonds=bonds,
    )


HALVES = [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_the_operators_are_linear(seed, a, b):
    mapping = benzene_mapping(3)
    one, two = benzene_frames(3, 2, seed=seed), benzene_frames(3, 2, seed=seed + 1)
    mixed = Frames(
        positions=a * one.positions + b * two.positions, forces=a * one.forces + b * two.forces, times=one.times
    )
    expected = mapping(one), mapping(two)
    assert np.allclose(
        mapping(mixed).positions, a * expected[0].positions + b * expected[1].positions, rtol=0, atol=1e-11
    )
    assert np.allclose(mapping(mixed).forces, a * expected[0].forces + b * expected[1].forces, rtol=0, atol=1e-8)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_wrapped_atoms_give_the_same_beads_up_to_lattice_vectors(seed):
    mapping = benzene_mapping(3)
    frames = benzene_frames(3, 2, seed=seed % 50, box=TRICLINIC)
    images = np.random.default_rng(seed).integers(-3, 4, size=frames.positions.shape)
    wrapped = mapping(frames.replace(positions=frames.positions + images @ TRICLINIC))
    moved = (wrapped.positions - mapping(frames).positions) @ np.linalg.inv(TRICLINIC)
    assert np.allclose(moved, np.rint(moved), atol=1e-10)
    by_molecule = np.rint(moved).reshape(2, 3, 3, 3)
    assert (by_molecule == by_molecule[:, :, :1]).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), n_beads=st.sampled_from([1, 3]))
def test_the_sum_of_forces_is_conserved(seed, n_beads):
    frames = benzene_frames(4, 2, seed=seed)
    mapped = benzene_mapping(n_beads, 4)(frames)
    for name in ("forces", "forces_inter"):
        before, after = getattr(frames, name).sum(axis=1), getattr(mapped, name).sum(axis=1)
        assert np.allclose(before, after, rtol=0, atol=1e-9 * 500 * frames.n_particles)


def test_beads_are_at_the_center_of_mass_of_their_molecule():
    frames, atoms = benzene_frames(2, 3), benzene_atoms(2)
    mass = atoms.masses[:12, None]
    expected = (frames.positions[:, :12] * mass).sum(axis=1) / mass.sum()
    assert np.allclose(benzene_mapping(1, 2)(frames).positions[:, 0], expected, atol=1e-14)


def test_boxes_energies_and_times_are_kept():
    frames = benzene_frames(2, 3)
    mapped = benzene_mapping(1, 2)(frames)
    assert np.array_equal(mapped.box, frames.box)
    assert np.array_equal(mapped.times, frames.times)
    assert set(mapped.energies) == {"inter", "kinetic"}


def test_atoms_to_beads_to_superbeads_is_atoms_to_superbeads():
    to_beads, to_molecules = benzene_mapping(3, 2), benzene_mapping(1, 2)
    weights = np.kron(np.eye(2), np.full((1, 3), 1 / 3))
    outer = Mapping(
        target=to_molecules.target,
        position_weights=csr_array(weights),
        force_weights=csr_array((weights > 0).astype(float)),
        source_bonds=to_beads.target.bonds,
    )
    frames = benzene_frames(2, 2)
    both, direct, twice = (outer @ to_beads)(frames), to_molecules(frames), outer(to_beads(frames))
    for name in ("positions", "forces", "forces_inter"):
        assert np.allclose(getattr(both, name), getattr(direct, name), atol=1e-9)
        assert np.allclose(getattr(twice, name), getattr(direct, name), atol=1e-9)


def test_the_identity_maps_beads_to_themselves():
    mapped = benzene_mapping(3)(benzene_frames(3, 2))
    again = Mapping.identity(benzene_mapping(3).target)(mapped)
    assert np.array_equal(again.positions, mapped.positions)
    assert np.array_equal(again.forces, mapped.forces)


def test_mappings_that_do_not_chain_are_refused():
    with pytest.raises(InputError, match=r"gives 9 beads, the outer one starts from 36"):
        benzene_mapping(1) @ benzene_mapping(3)


def test_errors_of_mean_forces_add_in_quadrature_with_their_weights():
    weighted = two_from_four(HALVES, force_weights=[[2, 0, 0, 0], [0, 0, 1, 1]])
    mapped = weighted(Frames(positions=np.zeros((1, 4, 3)), force_error=np.full((1, 4, 3), 3.0)))
    assert np.allclose(mapped.force_error[0, :, 0], [6.0, 3.0 * np.sqrt(2)])
    frames = benzene_frames(1, 1).replace(force_error=np.full((1, 12, 3), 2.0))
    assert np.allclose(benzene_mapping(1, 1)(frames).force_error, 2.0 * np.sqrt(12))


def test_a_mapping_survives_json():
    mapping = benzene_mapping(3)
    again = Mapping.from_dict(json.loads(json.dumps(mapping.to_dict())))
    assert again.fingerprint == mapping.fingerprint
    assert np.array_equal(again.position_weights.toarray(), mapping.position_weights.toarray())


def test_a_changed_mapping_file_is_refused():
    content = json.loads(json.dumps(benzene_mapping(1).to_dict()))
    values = content["force_weights"]["values"]
    content["target"]["masses"][0] += 1e-3
    assert len(values) == 36
    with pytest.raises(ArtifactError, match="changed after it was written"):
        Mapping.from_dict(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["position_weights"]["columns"].__setitem__(5, 900_000_000),
        lambda c: c["force_weights"]["columns"].__setitem__(5, -1),
        lambda c: c["force_weights"]["columns"].__setitem__(5, 2.5),
        lambda c: c["position_weights"]["row_starts"].__setitem__(1, 50_000),
        lambda c: c["position_weights"]["row_starts"].reverse(),
        lambda c: c["force_weights"]["values"].pop(),
        lambda c: c["shape"].__setitem__(1, 10**12),
        lambda c: c["source_bonds"][0].__setitem__(0, 10**6),
        lambda c: c.update(provenance=None),
        lambda c: c.pop("shape"),
    ],
)
def test_no_index_of_a_damaged_mapping_reaches_compiled_code(change):
    content = json.loads(json.dumps(benzene_mapping(3).to_dict()))
    change(content)
    with pytest.raises(ArtifactError):
        Mapping.from_dict(content)


def test_the_fingerprint_ignores_how_weights_are_stored():
    entries = np.array([0.5, 0.25, 0.25, 0.5, 0.5]), (np.array([0, 0, 0, 1, 1]), np.array([1, 0, 0, 3, 2]))
    scrambled = csr_array(entries, shape=(2, 4))
    a, b = two_from_four(HALVES), two_from_four(scrambled.toarray())
    assert a.fingerprint == b.fingerprint
    assert a.fingerprint != two_from_four([[0.4, 0.6, 0, 0], [0, 0, 0.5, 0.5]]).fingerprint


def test_weights_cannot_be_changed_in_place():
    with pytest.raises(ValueError, match="read-only"):
        two_from_four(HALVES).position_weights.data[0] = 2.0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[0.5, 0.5, 0, 0], [0, 0, 0, 0]], r"bead 1 \(B1 of RES 0\) holds no atoms"),
        ([[1.5, -0.5, 0, 0], [0, 0, 0.5, 0.5]], r"bead 0 .* negative position weight"),
        ([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.4]], r"do not sum to 1 \(bead 1 .*: 0.9\)"),
        ([[0.5, np.nan, 0, 0], [0, 0, 0.5, 0.5]], "not finite"),
    ],
)
def test_bad_position_weights_are_refused_with_the_bead(weights, message):
    with pytest.raises(InputError, match=message):
        two_from_four(weights)


def test_force_weights_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"identity, but it is off by -?0\.5 at bead 1"):
        two_from_four(HALVES, force_weights=[[1, 1, 0, 0], [0, 0, 1, 0]])


def test_a_bead_that_mixes_molecules_is_refused():
    with pytest.raises(InputError, match=r"bead 1 .* mixes molecules: atom 3"):
        two_from_four(HALVES, bonds=((0, 1), (1, 2)))


def test_a_molecule_whose_parts_are_not_bonded_is_refused():
    with pytest.raises(InputError, match="different bonded parts"):
        two_from_four(HALVES, bonds=((0, 1), (2, 3)))


def test_frames_of_another_system_are_refused():
    with pytest.raises(InputError, match="24 atoms, the mapping was made for 36"):
        benzene_mapping(1)(benzene_frames(2, 1))
