import math
import warnings
from pathlib import Path

import numpy as np
import pytest

from openmm_cgml.config import read_config
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.priors import (
    AnglePriorConfig,
    BondPriorConfig,
    PriorConfig,
    PriorWarning,
    RepulsionPriorConfig,
    closest_approach,
    fit_angle_priors,
    fit_bond_priors,
    fit_priors,
    fit_repulsion_priors,
)
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN

KT = BOLTZMANN * 300


def molecules(types: str, count: int, *, bonded: bool = True) -> CGTopology:
    bonds = tuple((i, i + 1) for i in range(len(types) - 1)) if bonded else ()
    names = tuple(f"{t}{i}" for i, t in enumerate(types))
    template = ResidueTemplate(
        name="MOL", bead_names=names, bead_type_names=tuple(types), masses=(20.0,) * len(types), bonds=bonds
    )
    return CGTopology.from_residues([(template, count)])


def dimers(lengths: np.ndarray) -> Frames:
    """Frames of molecules A-B across the faces of a 5 nm box, lengths of shape (n_frames, n_molecules)."""
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 5, (*lengths.shape, 3))
    direction = rng.normal(size=start.shape)
    end = start + lengths[..., None] * direction / np.linalg.norm(direction, axis=-1, keepdims=True)
    positions = np.stack([start, end - 5 * np.floor(end / 5)], axis=2).reshape(len(lengths), -1, 3)
    return Frames(positions=positions, box=np.tile(5 * np.eye(3), (len(lengths), 1, 1)))


@pytest.mark.physics
def test_bond_fit_recovers_the_spring_it_was_sampled_from() -> None:
    stiffness, length = 20_000.0, 0.26
    samples = np.random.default_rng(0).normal(length, math.sqrt(KT / stiffness), (200, 50))
    (term,) = fit_bond_priors(molecules("AB", 50), dimers(samples), 300.0)
    assert term.types == ("A", "B")
    assert term.parameters["length"] == pytest.approx(length, abs=4 * math.sqrt(KT / stiffness / samples.size))
    assert term.parameters["stiffness"] == pytest.approx(stiffness, rel=4 * math.sqrt(2 / samples.size))
    (hot,) = fit_bond_priors(molecules("AB", 50), dimers(samples), 330.0)
    assert hot.parameters["stiffness"] > 1.09 * term.parameters["stiffness"], "the control must differ"


@pytest.mark.physics
def test_angle_fit_recovers_the_spring_it_was_sampled_from() -> None:
    stiffness, angle = 150.0, 1.9
    theta = np.random.default_rng(0).normal(angle, math.sqrt(KT / stiffness), (100, 30))
    arm = np.stack([np.cos(theta), np.sin(theta), np.zeros_like(theta)], axis=-1) * 0.3
    middle = np.arange(30)[:, None] * [1.0, 0, 0] + np.zeros_like(arm)
    positions = np.stack([middle + np.array([0.25, 0, 0]), middle, middle + arm], axis=2).reshape(100, 90, 3)
    (term,) = fit_angle_priors(molecules("ABA", 30), Frames(positions=positions), 300.0)
    assert term.types == ("A", "B", "A")
    assert term.parameters["angle"] == pytest.approx(angle, abs=4 * math.sqrt(KT / stiffness / theta.size))
    assert term.parameters["stiffness"] == pytest.approx(stiffness, rel=4 * math.sqrt(2 / theta.size))


def test_angle_that_reaches_a_straight_line_is_warned_about() -> None:
    theta = 3.12 - np.abs(np.random.default_rng(0).normal(0, 0.1, (50, 4)))
    arm = np.stack([np.cos(theta), np.sin(theta), np.zeros_like(theta)], axis=-1) * 0.3
    positions = np.stack([np.zeros_like(arm) + np.array([0.25, 0, 0]), np.zeros_like(arm), arm], axis=2).reshape(
        50, 12, 3
    )
    with pytest.warns(PriorWarning, match="reaches 180 degrees"):
        fit_angle_priors(molecules("ABA", 4), Frames(positions=positions), 300.0)


def test_bimodal_bond_is_warned_about_and_a_normal_one_is_not() -> None:
    rng = np.random.default_rng(0)
    topology = molecules("AB", 20)
    one = rng.normal(0.25, 0.01, (100, 20))
    two = one + np.where(rng.uniform(size=one.shape) < 0.3, 0.05, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_bond_priors(topology, dimers(one), 300.0)
        fit_bond_priors(topology, dimers(one[:5]), 300.0)  # a hundred samples are rough, but have one maximum
    with pytest.warns(PriorWarning, match=r"harmonic_bond A-B has 2 maxima, at 0\.2[45]\d* and 0\.(3|29|30)"):
        (term,) = fit_bond_priors(topology, dimers(two), 300.0)
    assert np.isfinite(term.parameters["stiffness"])


def test_constant_bond_is_refused() -> None:
    with pytest.raises(InputError, match=r"A-B is constant at 0\.25, probably a constraint"):
        fit_bond_priors(molecules("AB", 20), dimers(np.full((20, 20), 0.25)), 300.0)


def test_too_few_samples_are_refused() -> None:
    samples = np.random.default_rng(0).normal(0.25, 0.01, (3, 20))
    with pytest.raises(InputError, match="A-B has 60 samples; a fit needs at least 100"):
        fit_bond_priors(molecules("AB", 20), dimers(samples), 300.0)


def test_values_by_hand_need_no_samples_and_full_convention_doubles_the_stiffness() -> None:
    config = BondPriorConfig(length="0.3 nm", stiffness="1000 kcal/mol/angstrom^2", convention="full")
    (term,) = fit_bond_priors(molecules("AB", 20), dimers(np.full((1, 20), 0.25)), 300.0, config)
    assert term.parameters == pytest.approx({"length": 0.3, "stiffness": 2 * 1000 * 4.184 * 100})
    half = config.model_copy(update={"convention": "half"})
    (term,) = fit_bond_priors(molecules("AB", 20), dimers(np.full((1, 20), 0.25)), 300.0, half)
    assert term.parameters["stiffness"] == pytest.approx(1000 * 4.184 * 100)


def test_fitted_stiffness_is_not_doubled() -> None:
    samples = np.random.default_rng(0).normal(0.25, 0.01, (50, 20))
    topology = molecules("AB", 20)
    (term,) = fit_bond_priors(topology, dimers(samples), 300.0, BondPriorConfig(convention="full"))
    assert term == fit_bond_priors(topology, dimers(samples), 300.0)[0]


def test_values_by_type_are_used_in_either_direction() -> None:
    config = AnglePriorConfig(angle={"C-B-A": "120 deg"}, stiffness="10 kJ/mol/rad^2")
    frames = Frames(positions=np.zeros((1, 30, 3)))
    (term,) = fit_angle_priors(molecules("ABC", 10), frames, 300.0, config)
    assert term.types == ("A", "B", "C")
    assert term.parameters == pytest.approx({"angle": 2 * math.pi / 3, "stiffness": 10})


def test_types_that_do_not_occur_are_named() -> None:
    frames = dimers(np.full((1, 20), 0.25))
    with pytest.raises(InputError, match=r"bonds\.length names 'A-C', which does not occur here; there are A-B"):
        fit_bond_priors(molecules("AB", 20), frames, 300.0, BondPriorConfig(length={"A-C": 0.2}))
    config = RepulsionPriorConfig(sigma={"A-A": 0.3, "B-B": 0.3})
    with pytest.raises(InputError, match=r"repulsion\.sigma has no value for A-B"):
        fit_repulsion_priors(molecules("AB", 20), {}, 300.0, config)


def gas(topology: CGTopology, n_frames: int, closest: float, *, seed: int = 0) -> Frames:
    """Beads on a jittered lattice of 0.6 nm that come as close as `closest` once."""
    rng = np.random.default_rng(seed)
    side = math.ceil(topology.n_beads ** (1 / 3))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3)[: topology.n_beads] * 0.6
    positions = grid + rng.uniform(-0.02, 0.02, (n_frames, topology.n_beads, 3))
    positions[-1, 1] = positions[-1, 0] + [0, 0, closest]
    return Frames(positions=positions, box=np.tile(0.6 * side * np.eye(3), (n_frames, 1, 1)))


def test_closest_approach_equals_brute_force() -> None:
    topology = molecules("AB", 32, bonded=False)
    frames = gas(topology, 30, 0.31)
    found = closest_approach(topology, frames, cutoff=0.8)
    assert found["A", "B"] == pytest.approx(0.31)
    same = frames.positions[:, ::2]
    delta = same[:, :, None] - same[:, None]
    delta -= 2.4 * np.round(delta / 2.4)
    distance = np.linalg.norm(delta, axis=-1) + 9 * np.eye(32)
    assert found["A", "A"] == pytest.approx(distance.min())


def test_closest_approach_at_a_level_of_contacts_does_not_hang_on_one_outlier() -> None:
    topology = molecules("A", 64, bonded=False)
    wide = closest_approach(topology, gas(topology, 40, 0.2), cutoff=0.8, contacts_per_bead=0.01)
    assert closest_approach(topology, gas(topology, 40, 0.2), cutoff=0.8)["A", "A"] == pytest.approx(0.2)
    assert wide["A", "A"] > 0.5
    more = closest_approach(topology, gas(topology, 80, 0.2), cutoff=0.8, contacts_per_bead=0.01)
    assert more["A", "A"] == pytest.approx(wide["A", "A"], rel=0.01)


def test_bonded_beads_do_not_count_as_approach() -> None:
    samples = np.random.default_rng(0).normal(0.25, 0.001, (10, 2))
    found = closest_approach(molecules("AB", 2), dimers(samples), cutoff=2.4)
    assert all(distance > 0.3 for distance in found.values())
    assert closest_approach(molecules("AB", 2), dimers(samples), cutoff=2.4, exclude_bonds=0)["A", "B"] < 0.26


@pytest.mark.physics
def test_fitted_repulsion_has_the_contact_energy_at_the_closest_approach() -> None:
    topology = molecules("A", 64, bonded=False)
    config = PriorConfig(repulsion=RepulsionPriorConfig(exponent=9, contact_energy=4.0, contacts_per_bead=0))
    priors = fit_priors(config, topology, gas(topology, 5, 0.37), 300.0)
    assert priors.pair_energy("A", "A", np.array([0.37]))[0] == pytest.approx(4.0 * KT)
    assert priors.provenance["closest_approach"]["A-A"] == pytest.approx(0.37)


def test_benzene_gets_the_sigma_known_to_be_stable() -> None:
    topology = molecules("A", 2, bonded=False)
    (term,) = fit_repulsion_priors(topology, {("A", "A"): 0.365}, 300.0)
    assert term.parameters["sigma"] == pytest.approx(0.400, abs=0.001)
    assert term.parameters["switch_distance"] == pytest.approx(0.72)


def test_pair_of_types_that_never_meet_is_refused_unless_given_by_hand() -> None:
    topology = CGTopology.from_residues(
        [
            (ResidueTemplate(name=name, bead_names=("A",), bead_type_names=(name,), masses=(1.0,)), 1)
            for name in ("A", "B")
        ]
    )
    frames = Frames(positions=np.array([[[0.0, 0, 0], [3.0, 0, 0]]]))
    with pytest.raises(InputError, match=r"A-A, A-B, B-B hardly ever come within 0\.8 nm"):
        fit_priors(PriorConfig(), topology, frames, 300.0)
    priors = fit_priors(PriorConfig(repulsion=RepulsionPriorConfig(sigma=0.4)), topology, frames, 300.0)
    assert len(priors.terms) == 3


def test_published_settings_can_be_written_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text(
        """
bonds: {stiffness: 1000 kcal/mol/angstrom^2, convention: full}
repulsion: {sigma: 5 angstrom, exponent: 7, epsilon: 1 kcal/mol, cutoff: 8 angstrom}
exclude_bonds: 1
"""
    )
    config = read_config(path, PriorConfig)
    assert config.repulsion is not None
    assert config.repulsion.sigma == pytest.approx(0.5)
    assert config.repulsion.cutoff == pytest.approx(0.8)
    assert config.bonds.stiffness == pytest.approx(418_400)
    samples = np.random.default_rng(0).normal(0.25, 0.01, (20, 20))
    bond, *rest = fit_priors(config, molecules("AB", 20), dimers(samples), 300.0).terms
    assert bond.parameters["stiffness"] == pytest.approx(836_800)
    assert bond.parameters["length"] == pytest.approx(0.25, abs=0.005)
    assert {term.parameters["sigma"] for term in rest} == {config.repulsion.sigma}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bonds: {stiffness: 1000}", r"bonds\.stiffness.*has no unit"),
        ("repulsion: {sigma: five angstrom}", r"repulsion\.sigma"),
        ("repulsion: {switch_distance: 8 angstrom, cutoff: 8 angstrom}", "must lie below the cutoff"),
        ("repulsion: {exponant: 7}", "did you mean 'exponent'"),
        ("bonds: {convention: papers}", "convention"),
    ],
)
def test_wrong_configuration_names_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_config(path, PriorConfig)
