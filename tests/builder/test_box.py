import numpy as np
import pytest
from openmm import unit
from scipy.spatial import cKDTree

from openmm_cgml.builder import build_box, place_molecules
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField, Manifest, TrainingSummary
from tests.fixtures import BENZENE_1, BENZENE_3, tiny_force_field

NM3_IN_CM3 = 1e-21
AVOGADRO = 6.02214076e23


def closest_between_molecules(topology, positions, box):
    pairs = cKDTree(positions % box[0, 0], boxsize=box[0, 0]).query_pairs(0.5, output_type="ndarray")
    pairs = pairs[topology.molecules[pairs[:, 0]] != topology.molecules[pairs[:, 1]]]
    vectors = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    vectors -= box[0, 0] * np.round(vectors / box[0, 0])
    return np.linalg.norm(vectors, axis=1).min()


@pytest.mark.parametrize("n_beads", [1, 3])
@pytest.mark.parametrize("n_molecules", [64, 100, 500])
def test_a_box_has_the_density_and_no_overlaps(n_beads, n_molecules):
    topology, positions, box = build_box(tiny_force_field(n_beads), n_molecules)
    assert topology.n_molecules == n_molecules
    assert positions.shape == (n_molecules * n_beads, 3)
    grams = topology.masses.sum() / AVOGADRO
    assert grams / (np.linalg.det(box) * NM3_IN_CM3) == pytest.approx(0.84, rel=1e-6)
    assert closest_between_molecules(topology, positions, box) > 0.16


def test_molecules_have_the_shape_of_their_priors():
    topology, positions, _ = build_box(tiny_force_field(3), 64)
    lengths = np.linalg.norm(positions[topology.bonds[:, 0]] - positions[topology.bonds[:, 1]], axis=1)
    assert np.allclose(lengths, 0.237, atol=1e-4)


def test_orientations_and_places_are_random_but_given_by_the_seed():
    force_field = tiny_force_field(3)
    one, again, other = (build_box(force_field, 64, seed=seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)
    normals = np.cross(*(one.reshape(64, 3, 3)[:, i] - one.reshape(64, 3, 3)[:, 0] for i in (1, 2)))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert np.linalg.norm(normals.mean(axis=0)) < 0.35  # 64 random directions: 0.125 +- 0.05
    order = normals.T @ normals / 64
    assert np.abs(np.linalg.eigvalsh(order) - 1 / 3).max() < 0.2


@pytest.mark.parametrize("density", [0.5, "0.5 g/cm^3", "500 kg/cm^3"])
def test_a_density_can_be_given(density):
    force_field = tiny_force_field(1)
    if density == "500 kg/cm^3":
        with pytest.raises(InputError, match="between"):
            build_box(force_field, 64, density=density)
        return
    _, _, box = build_box(force_field, 64, density=density)
    assert np.linalg.det(box) == pytest.approx(64 * 78.1134 / AVOGADRO / 0.5 / NM3_IN_CM3)
    quantity = 0.5 * unit.gram / unit.milliliter
    assert np.allclose(build_box(force_field, 64, density=quantity)[2], box)


def test_mixtures_are_built_by_name():
    other = BENZENE_3.__class__(name="BIG", bead_names=("A", "B"), bead_type_names=("B", "B"), masses=(78.1134, 50.0))
    force_field = ForceField(
        priors=tiny_force_field(1).priors,
        network=None,
        templates=(BENZENE_1, other),
        type_names=("B",),
        manifest=Manifest(name="mixture", training=TrainingSummary(temperature=300.0, density=0.5)),
    )
    topology, _, _ = build_box(force_field, {"BIG": 20, "BNZ": 30})
    assert topology.residue_names == ("BIG",) * 20 + ("BNZ",) * 30
    with pytest.raises(InputError, match="say how many of each"):
        build_box(force_field, 50)


@pytest.mark.parametrize(
    ("molecules", "options", "reason"),
    [
        (0, {}, "at least one molecule"),
        (-5, {}, "number of BNZ is -5"),
        (True, {}, "number of BNZ is True"),
        (10**9, {}, "at most"),
        ({"TOL": 5}, {}, "unknown residue 'TOL'.*BNZ"),
        (5, {}, "5 molecules are too few.*at least 1.4 nm"),
        (64, {"density": -1.0}, "between"),
        (64, {"density": "1.4"}, "no unit"),
        (64, {"density": "1.4 nm"}, "another dimension"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(molecules, options, reason):
    with pytest.raises(InputError, match=reason):
        build_box(tiny_force_field(1), molecules, **options)


def test_a_density_is_needed_where_the_model_records_none():
    fields = {name: getattr(tiny_force_field(1), name) for name in ("priors", "network", "templates", "type_names")}
    force_field = ForceField(**fields, manifest=Manifest(name="bare"))
    with pytest.raises(InputError, match=r"does not record the density.*0\.84 g/cm\^3"):
        build_box(force_field, 64)
    assert build_box(force_field, 64, density=0.84)[0].n_beads == 64


def test_molecules_that_cannot_fit_are_refused():
    shapes = [np.zeros((1, 3))] * 64
    with pytest.raises(InputError, match="lower density"):
        place_molecules(shapes, 1.0, distance=0.5, rng=np.random.default_rng(0))
