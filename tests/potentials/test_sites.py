"""Sites in the local frames of beads: where they are, what forces on them do to the beads, what is refused."""

import math

import numpy as np
import pytest
import torch

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import Sites, SiteTemplate, evaluate
from openmm_cgml.potentials.sites import SHORTEST_BISECTOR, SMALLEST_NORMAL
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.wholeness import BondForest
from tests.site_models import SITES, site_fluid, site_priors, site_topology

STEP = 1e-6


def sites_of(kind, n=1, exclude_bonds=2):
    return Sites.of(site_topology(kind, n), SITES[kind], exclude_bonds)


def chain_of(types, bonds, sites):
    """The sites of one molecule of any bonds."""
    residue = ResidueTemplate(
        name="X", bead_names=tuple(f"B{k}" for k in range(len(types))), bead_type_names=tuple(types),
        masses=(14.0,) * len(types), bonds=bonds,
    )  # fmt: skip
    return Sites.of(CGTopology.from_residues([(residue, 1)]), sites, 2)


def of(bead_type, *positions, site_type="S"):
    return SiteTemplate(site_type=site_type, bead_type=bead_type, positions=positions)


def test_a_bead_between_two_has_x_along_their_bisector_and_z_across():
    sites = chain_of("AMA", ((0, 1), (1, 2)), [of("M", (0.03, 0, 0.09), (0.03, 0, -0.09))])
    half = math.radians(52)
    arm = 0.17 * np.array([[math.cos(half), math.sin(half), 0], [math.cos(half), -math.sin(half), 0]])
    placed = sites.place(sites.axes(np.array([arm[0], [0, 0, 0], arm[1]])))
    # u x v points to -z here; what is normalized is a thousandth shorter than one.
    bisector, normal = 2 * 0.17 * math.cos(half), 0.17**2 * math.sin(2 * half)
    x = 0.03 * bisector / math.hypot(bisector, SHORTEST_BISECTOR)
    z = 0.09 * normal / math.hypot(normal, SMALLEST_NORMAL)
    np.testing.assert_allclose(placed, [[x, 0, -z], [x, 0, z]], atol=1e-12)
    assert x == pytest.approx(0.03, rel=1e-3) and z == pytest.approx(0.09, rel=1e-3)


def test_the_end_of_a_chain_has_x_along_its_bond_and_y_on_the_side_of_the_next():
    sites = chain_of("EMA", ((0, 1), (1, 2)), [of("E", (-0.03, 0.05, 0.0), (0.0, 0.0, 0.07))])
    placed = sites.place(sites.axes(np.array([[1.0, 0, 0], [1.17, 0, 0], [1.2, 0.16, 0]])))
    np.testing.assert_allclose(placed, [[0.97, 0.05, 0], [1.0, 0, 0.07]], atol=2e-4)


def test_half_a_turn_moves_no_site_of_a_ring():
    """Which neighbor comes first is a matter of numbering."""
    beads = site_fluid("R", 1).positions[0]
    sites = sites_of("R")
    turned = sites.frames[:, [0, 2, 1]]
    swapped = Sites(**{name: getattr(sites, name) for name in sites.__dataclass_fields__} | {"frames": turned})
    one, other = (each.place(each.axes(beads)) for each in (sites, swapped))
    for kind in np.unique(sites.types):
        distances = np.linalg.norm(one[sites.types == kind][:, None] - other[sites.types == kind], axis=-1)
        assert distances.min(axis=1).max() < 1e-12
    assert np.abs(one - other).max() > 0.05, "the control: single sites do change places"


@pytest.mark.parametrize("kind", ["R", "C"])
@pytest.mark.parametrize("tilted", [False, True])
def test_torch_and_numpy_place_them_alike_and_across_boundaries(kind, tilted):
    frames = site_fluid(kind, 2, tilted=tilted)
    sites, box = sites_of(kind, 8), frames.box[0]
    expected = np.stack([sites.place(sites.axes(beads)) for beads in frames.positions])
    images = np.random.default_rng(1).integers(-2, 3, frames.positions.shape)
    found = sites.place_torch(torch.tensor(frames.positions + images @ box), torch.tensor(frames.box)).numpy()
    np.testing.assert_allclose(found - (images @ box)[:, sites.owners], expected, atol=1e-10)


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
def test_forces_are_minus_the_gradient_and_turn_nothing_by_themselves(kind):
    frames, topology = site_fluid(kind, 2, seed=3), site_topology(kind, 8)
    potentials = site_priors(kind).bind(topology)
    x = frames.positions[0]
    _, forces = evaluate(potentials[-1:], torch.tensor(x))
    forces = forces.numpy()
    assert np.abs(forces).max() > 10
    rng = np.random.default_rng(0)
    for _ in range(5):
        way = rng.normal(size=x.shape)
        ahead, behind = (float(potentials[-1].energy(torch.tensor(x + sign * STEP * way))) for sign in (1, -1))
        assert (behind - ahead) / (2 * STEP) == pytest.approx(float((forces * way).sum()), rel=1e-5)
    assert np.abs(forces.sum(axis=0)).max() < 1e-8
    assert np.abs(np.cross(x, forces).sum(axis=0)).max() < 1e-8
    # The control: forces of sites left on their owners turn the whole.
    sites = potentials[-1].sites
    _, on_sites = evaluate([potentials[-1].pairs], sites.place_torch(torch.tensor(x)))
    naive = np.zeros_like(x)
    np.add.at(naive, sites.owners, on_sites.numpy())
    assert np.abs(np.cross(x, naive).sum(axis=0)).max() > 1e-2
    np.testing.assert_allclose(sites.carry(sites.axes(x), on_sites.numpy()[:, :, None])[:, :, 0], forces, atol=1e-8)


def test_beads_in_line_feel_finite_forces():
    sites = chain_of("AMA", ((0, 1), (1, 2)), [of("M", (0.03, 0, 0.09), (0.03, 0, -0.09))])
    for bend in (0.0, 1e-9, 1e-4, 1e-2):
        beads = np.array([[-0.17, 0, 0], [0, bend, 0], [0.17, 0, 0]])
        pull = sites.carry(sites.axes(beads), np.ones((2, 3, 1)))
        assert np.isfinite(pull).all() and np.abs(pull).max() < 50
        assert sites.straight_share(sites.axes(beads), math.radians(10)) == 1.0
    bent = np.array([[-0.17, 0, 0], [0, 0.1, 0], [0.17, 0, 0]])
    assert sites.straight_share(sites.axes(bent), math.radians(10)) == 0.0


@pytest.mark.parametrize("exclude_bonds", [0, 1, 2, 3])
def test_sites_of_one_bead_or_of_excluded_beads_do_not_interact(exclude_bonds):
    sites, topology = sites_of("C", 2, exclude_bonds), site_topology("C", 2)
    excluded = {tuple(pair) for pair in sites.exclusions.tolist()}
    assert len(excluded) == len(sites.exclusions)
    near = {tuple(pair) for pair in topology.exclusions(exclude_bonds).tolist()}
    for i in range(sites.n_sites):
        for j in range(i + 1, sites.n_sites):
            owners = (int(sites.owners[i]), int(sites.owners[j]))
            assert ((i, j) in excluded) == (owners[0] == owners[1] or owners in near)


@pytest.mark.physics
def test_energy_between_molecules_is_what_is_left_without_that_within():
    topology, alone = site_topology("C", 8), site_topology("C", 1)
    priors = site_priors("C", exclude_bonds=1)
    (potential,), (single,) = (priors.bind(each)[1:] for each in (topology, alone))
    frames = site_fluid("C", 2, seed=5)
    # 0.65 nm are more than half this box, so it is made wider: molecules then meet on one side only.
    box = torch.tensor(3 * frames.box[0])
    images = np.random.default_rng(2).integers(-1, 2, frames.positions[0].shape) @ box.numpy()
    x = torch.tensor(frames.positions[0])
    within = sum(float(single.energy(molecule)) for molecule in x.reshape(8, 4, 3))
    inter = float(potential.inter_energy(BondForest.from_topology(topology), x + torch.tensor(images), box))
    assert inter == pytest.approx(float(potential.energy(x, box)) - within, abs=1e-6)
    assert abs(within) > 0.1, "the control: there is something within"


def test_a_site_is_as_light_as_its_beads_make_it():
    sites, topology = sites_of("C"), site_topology("C", 1)
    lengths = {frozenset(bond): 0.15 for bond in topology.bonds.tolist()}
    found = sites.mobilities(topology.masses, lengths)
    at_bead = np.flatnonzero((sites.local == 0).all(axis=1))
    np.testing.assert_allclose(found[at_bead], 1 / 15)
    assert (found >= 1 / 15 - 1e-12).all() and found.max() > 2 / 15
    # By differences, at the geometry that is assumed: bonds of 0.15 nm at 120 degrees.
    angle = math.radians(120)
    end = 0.15 * np.array([math.cos(math.pi - angle), math.sin(math.pi - angle), 0])
    beads = np.array([[0, 0, 0], [0.15, 0, 0], np.array([0.15, 0, 0]) + end, np.array([0.3, 0, 0]) + end])
    site = int(np.flatnonzero(sites.owners == 1)[-1])
    matrix = np.zeros((3, 3))
    for bead, mass in enumerate(topology.masses):
        for axis in range(3):
            step = np.zeros_like(beads)
            step[bead, axis] = STEP
            moved = sites.place(sites.axes(beads + step))[site] - sites.place(sites.axes(beads - step))[site]
            matrix += np.outer(moved, moved) / (2 * STEP) ** 2 / mass
    assert found[site] == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-5)
    held = np.where(np.arange(4) == 1, 0.0, topology.masses)
    assert found[site] > sites.mobilities(held, lengths)[site] > 0


@pytest.mark.parametrize(
    ("types", "bonds", "sites", "message"),
    [
        ("AMA", ((0, 1), (1, 2)), [of("M", (0, 0.1, 0))], r"declare with each \(x, y, z\) also \(x, -y, -z\)"),
        ("AB", ((0, 1),), [of("A", (0.1, 0, 0.1))], r"only its bond tells a direction; declare positions \(x, 0, 0\)"),
        ("A", (), [of("A", (0.1, 0, 0))], r"it has 0 bonds, and a local frame takes one or two"),
        ("MAAA", ((0, 1), (0, 2), (0, 3)), [of("M", (0.1, 0, 0))], "it has 3 bonds"),
        ("AB", ((0, 1),), [of("Z", (0.1, 0, 0))], "no bead has sites: they are declared for Z, and the beads are A, B"),
    ],
)
def test_beads_that_cannot_place_their_sites_are_named(types, bonds, sites, message):
    with pytest.raises(InputError, match=message):
        chain_of(types, bonds, sites)


def test_what_needs_no_frame_is_taken_anywhere():
    chain_of("AMB", ((0, 1), (1, 2)), [of("M", (0, 0.1, 0))])  # neighbors that differ tell y
    chain_of("AB", ((0, 1),), [of("A", (0.1, 0, 0))])
    sites = chain_of("MAAA", ((0, 1), (0, 2), (0, 3)), [of("M", (0, 0, 0))])
    beads = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_array_equal(sites.place(sites.axes(beads)), beads[:1])


@pytest.mark.parametrize("positions", [(), ((0.0, 0.1),), ((0.0, 0.1, math.nan),)])
def test_positions_that_are_none_are_refused(positions):
    with pytest.raises(InputError, match="three finite coordinates"):
        SiteTemplate(site_type="S", bead_type="A", positions=positions)
    with pytest.raises(InputError, match="needs a type"):
        SiteTemplate(site_type="", bead_type="A", positions=((0, 0, 0),))
