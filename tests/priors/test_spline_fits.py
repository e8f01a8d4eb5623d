"""Priors with splines: fitted, warned about, written, bound and reported."""

import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.config import read_config
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.potentials import (
    CosineAngleConfig,
    HarmonicBondConfig,
    SplineAngleConfig,
    SplineBondConfig,
    SplineTorsionConfig,
)
from openmm_cgml.priors import (
    PriorConfig,
    PriorSet,
    PriorTerm,
    PriorWarning,
    fit_bonded_priors,
    report_priors,
)
from openmm_cgml.priors.correction import TermFeatures, correct_term
from openmm_cgml.units import BOLTZMANN
from tests.priors.test_fitting import bent, dimers, draw, molecules, twisted

KT = BOLTZMANN * 300
PLACES = {"spline_bond": (0.2, 0.3), "spline_angle": (1.0, math.pi), "spline_torsion": None}


def two_wells(r):
    return -KT * np.log(np.exp(-(((r - 0.234) / 0.006) ** 2) / 2 - 1.5) + np.exp(-(((r - 0.258) / 0.005) ** 2) / 2))


def lengths(shape=(400, 100)):
    return draw(lambda r: r**2 * np.exp(-two_wells(r) / KT), 0.2, 0.3, shape)


def divergence(terms, topology, frames):
    (fit,) = report_priors(PriorSet(terms=terms), topology, frames, 300.0).bonded
    return fit.divergence


@pytest.mark.physics
def test_a_spline_follows_two_maxima_and_a_spring_is_warned_about():
    topology, frames = molecules("AB", 100), dimers(lengths())
    spline = fit_bonded_priors(SplineBondConfig(), topology, frames, 300.0)
    assert divergence(spline, topology, frames) < 0.001
    r = np.linspace(0.222, 0.272, 101)
    found = spline[0].bonded.energy_of(spline[0].parameters, r) - two_wells(r)
    assert np.ptp(found) < 0.35 * KT
    with pytest.warns(PriorWarning, match=r'divergence of 0\.\d+ bit; take bonds\.form "spline"'):
        spring = fit_bonded_priors(HarmonicBondConfig(), topology, frames, 300.0)
    assert divergence(spring, topology, frames) > 0.05, "the control must fail"


@pytest.mark.physics
def test_a_skewed_bond_with_one_maximum_is_warned_about_too():
    skewed = draw(lambda r: np.where(r > 0.24, np.exp(-(r - 0.24) / 0.02), 0.0), 0.2, 0.4, (100, 50))
    with pytest.warns(PriorWarning, match=r'Jensen-Shannon divergence of 0\.\d+ bit; take bonds\.form "spline"'):
        fit_bonded_priors(HarmonicBondConfig(), molecules("AB", 50), dimers(skewed), 300.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        soft = HarmonicBondConfig(stiffness="500 kJ/mol/nm^2")  # by hand, and the rest is the network's
        fit_bonded_priors(soft, molecules("AB", 50), dimers(skewed), 300.0)


@pytest.mark.physics
def test_angles_that_reach_a_straight_line_are_followed_to_it():
    wells = lambda t: np.exp(-(((t - 1.9) / 0.15) ** 2) / 2) + np.exp(-(((t - np.pi) / 0.3) ** 2) / 2)  # noqa: E731
    theta = draw(lambda t: np.sin(t) * wells(t), 0.0, np.pi, (400, 100))
    (term,) = fit_bonded_priors(SplineAngleConfig(), molecules("ABA", 100), bent(theta), 300.0)
    assert term.parameters["high"] == math.pi
    assert term.parameters["low"] == pytest.approx(1.35, abs=0.1)
    assert divergence((term,), molecules("ABA", 100), bent(theta)) < 0.001
    cosine = CosineAngleConfig(form="cosine")
    short = fit_bonded_priors(cosine, molecules("ABA", 100), bent(theta), 300.0)
    assert divergence(short, molecules("ABA", 100), bent(theta)) > 0.005, "the control must fail"


@pytest.mark.physics
def test_torsions_are_even_and_followed():
    phi = draw(lambda p: np.exp(-(2 * np.cos(p) + np.cos(3 * p) - np.cos(5 * p))), -np.pi, np.pi, (400, 100))
    (term,) = fit_bonded_priors(SplineTorsionConfig(), molecules("ABBA", 100), twisted(phi), 300.0)
    assert len(term.parameters["coefficients"]) == 13
    assert divergence((term,), molecules("ABBA", 100), twisted(phi)) < 0.002
    values = np.linspace(0.1, 3.0, 20)
    np.testing.assert_array_equal(*(term.bonded.energy_of(term.parameters, sign * values) for sign in (1, -1)))


def test_few_samples_make_a_smooth_spline():
    few = np.random.default_rng(0).normal(0.25, 0.01, (5, 20))
    (term,) = fit_bonded_priors(SplineBondConfig(), molecules("AB", 20), dimers(few), 300.0)
    r = np.linspace(0.235, 0.265, 31)
    spring = KT * (r - few.mean()) ** 2 / 2 / few.var()
    assert np.ptp(term.bonded.energy_of(term.parameters, r) - spring) < 0.8 * KT


def test_a_gap_in_the_data_is_crossed_by_a_barrier():
    rng = np.random.default_rng(0)
    halves = rng.normal(0.25, 0.004, (100, 20)) + np.where(rng.uniform(size=(100, 20)) < 0.5, 0.06, 0.0)
    with pytest.warns(PriorWarning, match="fewer than 5 samples in"):
        (term,) = fit_bonded_priors(SplineBondConfig(), molecules("AB", 20), dimers(halves), 300.0)
    well, barrier = term.bonded.energy_of(term.parameters, np.array([0.25, 0.28]))
    assert barrier - well > 3 * KT


def test_far_too_small_a_spacing_is_refused_with_the_range():
    config = SplineBondConfig(spacing="0.001 angstrom")
    with pytest.raises(
        InputError, match=r"spline_bond A-B would have \d+ knots 0\.0001 nm apart.*bonds\.spacing larger"
    ):
        fit_bonded_priors(config, molecules("AB", 100), dimers(lengths((10, 100))), 300.0)


def test_yaml_asks_for_splines_and_a_spring_stays_the_default(tmp_path):
    path = tmp_path / "priors.yaml"
    path.write_text("bonds: {form: spline}\nangles: {form: spline, spacing: 4 deg}\ntorsions: {form: spline}\n")
    config = read_config(path, PriorConfig)
    assert isinstance(config.bonds, SplineBondConfig)
    assert config.bonds.spacing == 0.005
    assert config.angles.spacing == pytest.approx(math.radians(4))
    assert config.torsions.spacing == pytest.approx(math.radians(15))
    assert isinstance(PriorConfig().bonds, HarmonicBondConfig)
    path.write_text("bonds: {form: spline, stiffness: 3 kJ/mol/nm^2}\n")
    with pytest.raises(InputError, match="form is 'spline', which has no stiffness"):
        read_config(path, PriorConfig)


@given(
    form=st.sampled_from(sorted(PLACES)),
    heights=st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=30),
    wall=st.floats(1e-3, 1e6),
)
@settings(max_examples=50)
def test_terms_survive_json(form, heights, wall):
    values = {"coefficients": tuple(heights)}
    if PLACES[form]:
        values.update(zip(("low", "high"), PLACES[form], strict=True), wall=wall)
    n_types = {"spline_bond": 2, "spline_angle": 3, "spline_torsion": 4}[form]
    priors = PriorSet(terms=(PriorTerm(form=form, types=("A",) * n_types, parameters=values),))
    assert priors.to_dict()["version"] == "1.2"
    assert PriorSet.from_json(priors.to_json()).terms == priors.terms


@pytest.mark.parametrize("wrong", [[], 3.0, [1.0, "a"], [[1.0]], None])
def test_damaged_coefficients_are_refused(wrong):
    term = PriorTerm(form="spline_torsion", types=("A",) * 4, parameters={"coefficients": (1.0,) * 13})
    content = json.loads(json.dumps(PriorSet(terms=(term,)).to_dict()))
    content["terms"][0]["parameters"]["coefficients"] = wrong
    with pytest.raises(ArtifactError, match=r"priors, term 0.*coefficients"):
        PriorSet.from_dict(content)


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["bond", "angle", "torsion"])
def test_one_correction_makes_the_simulated_distribution_that_of_the_data(kind):
    """The surroundings are any energy: a spline holds what they do, which a spring could not take back."""
    forms = {"bond": (SplineBondConfig(), "AB", dimers), "angle": (SplineAngleConfig(), "ABA", bent)}
    config, types, frames_of = forms.get(kind, (SplineTorsionConfig(), "ABBA", twisted))
    low, high = {"bond": (0.2, 0.3), "angle": (0.0, math.pi), "torsion": (-math.pi, math.pi)}[kind]
    jacobian = {"bond": np.square, "angle": np.sin, "torsion": np.ones_like}[kind]
    shape = {
        "bond": two_wells,
        "angle": lambda t: 1.5 * KT * np.cos(2 * t) * (1 + np.cos(t) / 3),
        "torsion": lambda p: KT * (np.cos(p) + np.cos(3 * p)),
    }[kind]
    x = np.linspace(low, high, 2001)[1:-1]
    surroundings = lambda v: KT * np.cos(3 * math.pi * (v - low) / (high - low)) ** 2  # noqa: E731
    target = draw(lambda v: jacobian(v) * np.exp(-shape(v) / KT), low, high, (400, 100))
    topology = molecules(types, 100)
    (term,) = fit_bonded_priors(config, topology, frames_of(target), 300.0)

    def simulated(present):
        energy = lambda v: present.bonded.energy_of(present.parameters, v) + surroundings(v)  # noqa: E731
        return draw(lambda v: jacobian(v) * np.exp(-energy(v) / KT), low, high, (400, 100))

    def js(present):
        energies = present.bonded.energy_of(present.parameters, x) + surroundings(x)
        densities = [jacobian(x) * np.exp(-e / KT) for e in (energies, shape(x))]
        p, q = (density / density.sum() for density in densities)
        return float((p * np.log2(2 * p / (p + q)) + q * np.log2(2 * q / (p + q))).sum() / 2)

    assert js(term) > 0.01, "the control must fail: what is inverted holds the surroundings twice"
    for _ in range(3):
        features = TermFeatures(term, target)
        term = correct_term(features, target, simulated(term), KT)
    assert js(term) < 0.002


def test_nothing_is_changed_where_the_reference_has_no_samples():
    target = lengths()
    (term,) = fit_bonded_priors(SplineBondConfig(), molecules("AB", 100), dimers(target), 300.0)
    features = TermFeatures(term, target[target < 0.245])
    assert 0 < features.n < TermFeatures(term, target).n
    r = np.linspace(0.222, 0.24, 50)
    white = features(target[target < 0.245])
    np.testing.assert_allclose(np.cov(white.T), np.eye(features.n), atol=1e-3)
    changed = features.changed(np.full(features.n, 0.3 * KT))
    before, after = (t.bonded.energy_of(t.parameters, r) for t in (term, changed))
    assert np.ptp(after - before) > 0.1 * KT
    far = np.array([0.262, 0.272])
    jump = np.ptp([t.bonded.energy_of(t.parameters, far) for t in (changed, term)], axis=0)
    assert np.ptp(jump) < 60 * KT


def test_noise_is_not_followed():
    target = lengths()
    (term,) = fit_bonded_priors(SplineBondConfig(), molecules("AB", 100), dimers(target), 300.0)
    features = TermFeatures(term, target)
    error = np.full(features.n, 1.0)
    same = correct_term(features, target, target[:50], KT, error=error)
    np.testing.assert_allclose(same.parameters["coefficients"], term.parameters["coefficients"], atol=1e-9)
    # Who doubts less, because many rounds will average, follows some of it.
    difference = features(target[:50]).reshape(-1, features.n).mean(axis=0)
    error = np.abs(difference) / 1.5
    cautious, bold = (correct_term(features, target, target[:50], KT, error=error, doubt=d) for d in (None, 1.0))
    moved = [
        np.abs(np.subtract(each.parameters["coefficients"], term.parameters["coefficients"])).max()
        for each in (cautious, bold)
    ]
    assert moved[0] < 1e-9 < 0.01 < moved[1]
