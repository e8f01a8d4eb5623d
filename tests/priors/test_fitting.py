import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmm_cgml.config import read_config
from openmm_cgml.errors import DatasetWarning, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import (
    CosineAngleConfig,
    CosineTorsionConfig,
    HarmonicAngleConfig,
    HarmonicBondConfig,
    PowerRepulsionConfig,
    closest_approach,
)
from openmm_cgml.priors import PriorConfig, PriorWarning, fit_bonded_priors, fit_pair_priors, fit_priors
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import coefficients_of

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


def draw(density: Callable[[np.ndarray], np.ndarray], low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
    """Samples of a density on an interval."""
    grid = np.linspace(low, high, 20_001)
    total = np.cumsum(density(grid))
    return np.interp(np.random.default_rng(0).uniform(size=shape), total / total[-1], grid)


def bent(theta: np.ndarray) -> Frames:
    """Frames of molecules with the given angles at their middle bead, shape (n_frames, n_molecules)."""
    arm = np.stack([np.cos(theta), np.sin(theta), np.zeros_like(theta)], axis=-1) * 0.3
    middle = np.arange(theta.shape[1])[:, None] * [1.0, 0, 0] + np.zeros_like(arm)
    positions = np.stack([middle + np.array([0.25, 0, 0]), middle, middle + arm], axis=2)
    return Frames(positions=positions.reshape(len(theta), -1, 3))


def twisted(phi: np.ndarray) -> Frames:
    """Frames of molecules of four beads at right angles with the given torsions, shape (n_frames, n_molecules)."""
    last = np.stack([np.ones_like(phi), np.cos(phi), np.sin(phi)], axis=-1)
    rest = np.array([[0.0, 1, 0], [0, 0, 0], [1, 0, 0]]) + np.zeros((*phi.shape, 3, 3))
    return Frames(positions=0.3 * np.concatenate([rest, last[:, :, None]], axis=2).reshape(len(phi), -1, 3))


@pytest.mark.physics
def test_bond_fit_recovers_the_spring_it_was_sampled_from() -> None:
    stiffness, length = 20_000.0, 0.26
    samples = draw(lambda r: r**2 * np.exp(-stiffness * (r - length) ** 2 / 2 / KT), 0.15, 0.37, (200, 50))
    (term,) = fit_bonded_priors(HarmonicBondConfig(), molecules("AB", 50), dimers(samples), 300.0)
    assert term.types == ("A", "B")
    error = math.sqrt(KT / stiffness / samples.size)
    assert term.parameters["length"] == pytest.approx(length, abs=4 * error)
    assert term.parameters["stiffness"] == pytest.approx(stiffness, rel=4 * math.sqrt(2 / samples.size))
    assert abs(samples.mean() - length) > 4 * error, "the control must fail: the mean is not the length of the spring"
    (hot,) = fit_bonded_priors(HarmonicBondConfig(), molecules("AB", 50), dimers(samples), 330.0)
    assert hot.parameters["stiffness"] > 1.09 * term.parameters["stiffness"], "the control must differ"


@pytest.mark.physics
@pytest.mark.parametrize("given", [{"length": 0.25}, {"stiffness": 15_000.0}])
def test_a_value_by_hand_leaves_the_other_to_the_likelihood(given: dict[str, float]) -> None:
    truth = {"length": 0.26, "stiffness": 20_000.0}
    samples = draw(
        lambda r: r**2 * np.exp(-truth["stiffness"] * (r - truth["length"]) ** 2 / 2 / KT), 0.15, 0.37, (200, 50)
    )
    (term,) = fit_bonded_priors(HarmonicBondConfig(**given), molecules("AB", 50), dimers(samples), 300.0)
    r = np.linspace(0.05, 0.5, 40_001)

    def likelihood(length: float, stiffness: float) -> float:
        energy = stiffness * (r - length) ** 2 / 2 / KT
        data = stiffness * (samples - length) ** 2 / 2 / KT
        return float(-data.mean() - np.log((r**2 * np.exp(-energy)).sum()))

    (name,) = truth.keys() - given.keys()
    best = term.parameters[name]
    assert {**term.parameters, **given} == dict(term.parameters)
    for factor in (0.999, 1.001):
        assert likelihood(**{**given, name: factor * best}) < likelihood(**{**given, name: best})


@pytest.mark.physics
def test_angle_fit_recovers_the_spring_it_was_sampled_from() -> None:
    stiffness, angle = 60.0, 2.3
    theta = draw(lambda t: np.sin(t) * np.exp(-stiffness * (t - angle) ** 2 / 2 / KT), 0, np.pi, (100, 30))
    (term,) = fit_bonded_priors(HarmonicAngleConfig(), molecules("ABA", 30), bent(theta), 300.0)
    assert term.types == ("A", "B", "A")
    error = math.sqrt(KT / stiffness / theta.size)
    assert term.parameters["angle"] == pytest.approx(angle, abs=4 * error)
    assert term.parameters["stiffness"] == pytest.approx(stiffness, rel=5 * math.sqrt(2 / theta.size))
    assert abs(theta.mean() - angle) > 4 * error, "the control must fail: the sine pushes the mean away"


@pytest.mark.physics
def test_cosine_angle_fit_recovers_a_double_valley_that_reaches_180_degrees() -> None:
    truth = [9.0, 3.0, -4.0]
    energy = lambda t: sum(k * (1 + np.cos((n + 1) * t)) for n, k in enumerate(truth))  # noqa: E731
    theta = draw(lambda t: np.sin(t) * np.exp(-energy(t) / KT), 0, np.pi, (1000, 60))
    config = CosineAngleConfig(form="cosine", harmonics=3)
    (term,) = fit_bonded_priors(config, molecules("ABA", 60), bent(theta), 300.0)
    assert term.form == "cosine_angle"
    np.testing.assert_allclose(coefficients_of(term), [*truth, 0, 0, 0], atol=0.25)
    (short,) = fit_bonded_priors(
        CosineAngleConfig(form="cosine", harmonics=2), molecules("ABA", 60), bent(theta), 300.0
    )
    assert np.abs(np.array(coefficients_of(short)[:2]) - truth[:2]).max() > 1, "the control must differ"


@pytest.mark.physics
def test_torsion_fit_recovers_the_series_it_was_sampled_from() -> None:
    truth = [5.0, 1.7, 5.8]
    energy = lambda p: sum(k * (1 + np.cos((n + 1) * p)) for n, k in enumerate(truth))  # noqa: E731
    phi = draw(lambda p: np.exp(-energy(p) / KT), -np.pi, np.pi, (1000, 60))
    (term,) = fit_bonded_priors(CosineTorsionConfig(), molecules("ABBA", 60), twisted(phi), 300.0)
    assert term.types == ("A", "B", "B", "A")
    np.testing.assert_allclose(coefficients_of(term), [*truth, 0, 0, 0], atol=0.15)
    shifted = twisted(phi + np.pi)
    (wrong,) = fit_bonded_priors(CosineTorsionConfig(), molecules("ABBA", 60), shifted, 300.0)
    np.testing.assert_allclose(coefficients_of(wrong)[:3], np.array(truth) * [-1, 1, -1], atol=0.15)


def test_angles_that_no_spring_describes_are_refused_with_a_way_out() -> None:
    theta = draw(lambda t: np.sin(t) * (1 + 0.3 * np.cos(t) ** 2), 0, np.pi, (1000, 30))
    with pytest.raises(InputError, match=r'harmonic_angle A-B-A is spread out more .* take angles\.form "cosine"'):
        fit_bonded_priors(HarmonicAngleConfig(), molecules("ABA", 30), bent(theta), 300.0)


def test_too_many_harmonics_for_the_data_are_refused_with_a_way_out() -> None:
    phi = np.tile([2.0, -2.0, 3.0], (100, 4))
    with pytest.raises(InputError, match=r"cosine_torsion A-A-A-A has .*; lower torsions\.harmonics"):
        fit_bonded_priors(CosineTorsionConfig(), molecules("AAAA", 12), twisted(phi), 300.0)


def test_torsions_along_straight_chains_are_warned_about() -> None:
    rng = np.random.default_rng(0)
    steps = np.array([1.0, 0, 0]) + rng.normal(0, 0.05, (60, 4, 3, 3))
    positions = np.concatenate([np.zeros((60, 4, 1, 3)), np.cumsum(steps, axis=2)], axis=2)
    frames = Frames(positions=positions.reshape(60, 16, 3))
    with pytest.warns(PriorWarning, match="of the angles along the torsions are within 10 degrees of a straight line"):
        fit_bonded_priors(CosineTorsionConfig(), molecules("AAAA", 4), frames, 300.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (free,) = fit_bonded_priors(CosineTorsionConfig(coefficients=["0 kJ/mol"]), molecules("AAAA", 4), frames, 300.0)
        fit_bonded_priors(
            CosineTorsionConfig(), molecules("AAAA", 30), twisted(rng.uniform(-np.pi, np.pi, (60, 30))), 300.0
        )
    assert free.does_nothing and free.describe() == "none", "and around such angles there may be none"


def test_coefficients_by_hand_need_no_samples() -> None:
    frames = Frames(positions=np.random.default_rng(0).normal(size=(1, 40, 3)))
    config = CosineTorsionConfig(coefficients={"A-B-B-A": ["1 kcal/mol", "0 kJ/mol", "-2 kJ/mol"]})
    (term,) = fit_bonded_priors(config, molecules("ABBA", 10), frames, 300.0)
    assert coefficients_of(term) == pytest.approx((4.184, 0, -2, 0, 0, 0))
    cosine = CosineAngleConfig(form="cosine", coefficients=["3 kJ/mol"])
    (term, _) = fit_bonded_priors(cosine, molecules("ABBA", 10), frames, 300.0), None
    assert {coefficients_of(t)[0] for t in term} == {3.0}


def test_angle_that_reaches_a_straight_line_is_warned_about() -> None:
    theta = 3.12 - np.abs(np.random.default_rng(0).normal(0, 0.1, (50, 4)))
    with pytest.warns(PriorWarning, match="reaches 180 degrees"):
        fit_bonded_priors(HarmonicAngleConfig(), molecules("ABA", 4), bent(theta), 300.0)


def test_bimodal_bond_is_warned_about_and_a_normal_one_is_not() -> None:
    rng = np.random.default_rng(0)
    topology = molecules("AB", 20)
    one = rng.normal(0.25, 0.01, (100, 20))
    two = one + np.where(rng.uniform(size=one.shape) < 0.3, 0.05, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_bonded_priors(HarmonicBondConfig(), topology, dimers(one), 300.0)
        fit_bonded_priors(
            HarmonicBondConfig(), topology, dimers(one[:5]), 300.0
        )  # a hundred samples are rough, but have one maximum
    with pytest.warns(PriorWarning, match=r"harmonic_bond A-B has 2 maxima, at 0\.2[45]\d* and 0\.(3|29|30)"):
        (term,) = fit_bonded_priors(HarmonicBondConfig(), topology, dimers(two), 300.0)
    assert np.isfinite(term.parameters["stiffness"])


def test_constant_bond_is_refused() -> None:
    with pytest.raises(InputError, match=r"A-B is constant at 0\.25, probably a constraint"):
        fit_bonded_priors(HarmonicBondConfig(), molecules("AB", 20), dimers(np.full((20, 20), 0.25)), 300.0)


def test_too_few_samples_are_refused() -> None:
    samples = np.random.default_rng(0).normal(0.25, 0.01, (3, 20))
    with pytest.raises(InputError, match="A-B has 60 samples; a fit needs at least 100"):
        fit_bonded_priors(HarmonicBondConfig(), molecules("AB", 20), dimers(samples), 300.0)


def test_values_by_hand_need_no_samples_and_full_convention_doubles_the_stiffness() -> None:
    config = HarmonicBondConfig(length="0.3 nm", stiffness="1000 kcal/mol/angstrom^2", convention="full")
    (term,) = fit_bonded_priors(config, molecules("AB", 20), dimers(np.full((1, 20), 0.25)), 300.0)
    assert term.parameters == pytest.approx({"length": 0.3, "stiffness": 2 * 1000 * 4.184 * 100})
    half = config.model_copy(update={"convention": "half"})
    (term,) = fit_bonded_priors(half, molecules("AB", 20), dimers(np.full((1, 20), 0.25)), 300.0)
    assert term.parameters["stiffness"] == pytest.approx(1000 * 4.184 * 100)


def test_fitted_stiffness_is_not_doubled() -> None:
    samples = np.random.default_rng(0).normal(0.25, 0.01, (50, 20))
    topology = molecules("AB", 20)
    (term,) = fit_bonded_priors(HarmonicBondConfig(convention="full"), topology, dimers(samples), 300.0)
    assert term == fit_bonded_priors(HarmonicBondConfig(), topology, dimers(samples), 300.0)[0]


def test_values_by_type_are_used_in_either_direction() -> None:
    config = HarmonicAngleConfig(angle={"C-B-A": "120 deg"}, stiffness="10 kJ/mol/rad^2")
    frames = Frames(positions=np.zeros((1, 30, 3)))
    (term,) = fit_bonded_priors(config, molecules("ABC", 10), frames, 300.0)
    assert term.types == ("A", "B", "C")
    assert term.parameters == pytest.approx({"angle": 2 * math.pi / 3, "stiffness": 10})


def test_types_that_do_not_occur_are_named() -> None:
    frames = dimers(np.full((1, 20), 0.25))
    with pytest.raises(InputError, match=r"bonds\.length names 'A-C', which does not occur here; there are A-B"):
        fit_bonded_priors(HarmonicBondConfig(length={"A-C": 0.2}), molecules("AB", 20), frames, 300.0)
    config = PowerRepulsionConfig(sigma={"A-A": 0.3, "B-B": 0.3})
    with pytest.raises(InputError, match=r"repulsion\.sigma has no value for A-B"):
        fit_pair_priors(config, molecules("AB", 20), frames, 300.0, 2)


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
    config = PriorConfig(repulsion=PowerRepulsionConfig(exponent=9, contact_energy=4.0, contacts_per_bead=0))
    with pytest.warns(DatasetWarning, match="A-A: only 1 pairs"):  # one planted pair is all that there is
        priors = fit_priors(config, topology, gas(topology, 5, 0.37), 300.0)
    assert priors.pair_energy("A", "A", np.array([0.37]))[0] == pytest.approx(4.0 * KT)
    assert priors.provenance["closest_approach"]["A-A"] == pytest.approx(0.37)


def test_benzene_gets_the_sigma_known_to_be_stable() -> None:
    topology = molecules("A", 2, bonded=False)
    frames = Frames(positions=np.array([[[0.0, 0, 0], [0.365, 0, 0]]]))
    with pytest.warns(DatasetWarning, match="A-A: only 1 pairs"):
        (term,), _ = fit_pair_priors(PowerRepulsionConfig(), topology, frames, 300.0, 2)
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
    priors = fit_priors(PriorConfig(repulsion=PowerRepulsionConfig(sigma=0.4)), topology, frames, 300.0)
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


PUBLISHED = {
    "polyethylene-2bead": """
bonds: {stiffness: 200 kcal/mol/angstrom^2, convention: full}
repulsion: {sigma: 1.5 angstrom, exponent: 5, epsilon: 1 kcal/mol, cutoff: 7 angstrom}
""",
    "polyethylene-1bead": """
bonds: {stiffness: 20 kcal/mol/angstrom^2, convention: full}
repulsion: {sigma: 4 angstrom, exponent: 5, epsilon: 1 kcal/mol, cutoff: 7 angstrom}
""",
    "pim-1": """
bonds: {stiffness: 20 kcal/mol/angstrom^2, convention: full}
repulsion: {sigma: 6 angstrom, exponent: 6, epsilon: 1 kcal/mol, cutoff: 9 angstrom}
""",
}


@pytest.mark.parametrize(
    ("name", "stiffness", "sigma", "exponent", "cutoff"),
    [
        ("polyethylene-2bead", 2 * 83_680, 0.15, 5, 0.7),
        ("polyethylene-1bead", 2 * 8_368, 0.4, 5, 0.7),
        ("pim-1", 2 * 8_368, 0.6, 6, 0.9),
    ],
)
def test_one_sigma_n_and_k_by_hand_serve_every_bead_type(
    tmp_path: Path, name: str, stiffness: float, sigma: float, exponent: int, cutoff: float
) -> None:
    path = tmp_path / "priors.yaml"
    path.write_text(PUBLISHED[name])
    samples = np.random.default_rng(0).normal(0.25, 0.01, (20, 20))
    terms = fit_priors(read_config(path, PriorConfig), molecules("AB", 20), dimers(samples), 300.0).terms
    assert [term.form for term in terms] == ["harmonic_bond", *["power_repulsion"] * 3]
    assert terms[0].parameters["stiffness"] == pytest.approx(stiffness)
    for term in terms[1:]:
        expected = {"sigma": sigma, "epsilon": 4.184, "exponent": exponent, "cutoff": cutoff}
        assert term.parameters == pytest.approx({**expected, "switch_distance": 0.9 * cutoff})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("angles: {form: cosine, stiffness: 5 kJ/mol/rad^2}", "form is 'cosine', which has no stiffness"),
        ("angles: {harmonics: 3}", "form is 'harmonic', which has no harmonics"),
        ("torsions: {harmonics: 7}", r"torsions\.harmonics"),
        ("torsions: {coefficients: [1, 2]}", r"torsions\.coefficients.*has no unit"),
        ("torsions: {coefficients: []}", r"torsions\.coefficients"),
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
