import math

import numpy as np
import pytest

from openmm_cgml.potentials import COORDINATES
from openmm_cgml.priors import PriorTerm
from openmm_cgml.priors.correction import TermFeatures, correct_term
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import coefficients_of, cosine_term

KT = BOLTZMANN * 300
COORDINATE = {coordinate.kind: coordinate for coordinate in COORDINATES}
N = 40_000
GRIDS = {
    "bond": np.linspace(0.1, 0.5, 200_001),
    "angle": np.linspace(1e-4, math.pi - 1e-4, 100_001),
    "torsion": np.linspace(-math.pi, math.pi, 100_001),
}


def drawn(kind, energy):
    """Evenly spread quantiles of the exact distribution of an energy [kJ/mol]: samples without noise."""
    grid = GRIDS[kind]
    values = energy(grid)
    total = np.cumsum(COORDINATE[kind].jacobian(grid) * np.exp(-(values - values.min()) / KT))
    return np.interp((np.arange(N) + 0.5) / N, total / total[-1], grid)


def spring(center, stiffness, kind="bond"):
    name = {"bond": "length", "angle": "angle"}[kind]
    return PriorTerm(
        form=f"harmonic_{kind}",
        types=("A",) * {"bond": 2, "angle": 3}[kind],
        parameters={name: center, "stiffness": stiffness},
    )


def energy_of(term):
    if term.form.startswith("cosine"):
        order = np.arange(1, 7)
        return lambda x: (1 + np.cos(x[:, None] * order)) @ np.array(coefficients_of(term))
    center, stiffness = term.parameters.values()
    return lambda x: stiffness * (x - center) ** 2 / 2


def sum_of(*energies):
    return lambda x: sum(energy(x) for energy in energies)


TERMS = {
    "bond": (spring(0.262, 9000.0), spring(0.25, 12_000.0), lambda x: 60 * x + 1000 * (x - 0.2) ** 2),
    "angle": (spring(1.9, 90.0, "angle"), spring(1.8, 70.0, "angle"), lambda x: 6 * x + 8 * (x - 1.0) ** 2),
    "cosine angle": (
        cosine_term("cosine_angle", ("A",) * 3, [8.0, 1.0, -2.0]),
        cosine_term("cosine_angle", ("A",) * 3, [6.0, -1.0, -1.0]),
        lambda x: 3 * np.cos(x) - np.cos(2 * x),
    ),
    "torsion": (
        cosine_term("cosine_torsion", ("A",) * 4, [2.0, 0.5, 3.0]),
        cosine_term("cosine_torsion", ("A",) * 4, [1.0, -0.5, 2.0]),
        lambda x: np.cos(x) - 0.7 * np.cos(2 * x),
    ),
}


@pytest.mark.physics
@pytest.mark.parametrize("name", TERMS)
def test_one_correction_finds_the_term_behind_surroundings_of_its_own_form(name):
    """The data come from the true term and the surroundings, the simulation from a wrong term and the same."""
    true, wrong, surroundings = TERMS[name]
    kind = name.split()[-1]
    reference = drawn(kind, sum_of(energy_of(true), surroundings))
    simulated = drawn(kind, sum_of(energy_of(wrong), surroundings))
    features = TermFeatures(wrong, reference)
    corrected = correct_term(features, reference, simulated, KT)
    for key, value in true.parameters.items():
        assert corrected.parameters[key] == pytest.approx(value, rel=0.01, abs=0.01), key
    # The control: what inversion of the data alone would give holds the surroundings twice.
    (inverted,) = [
        features.changed(features.invert(reference, KT) - features.invert(drawn(kind, energy_of(wrong)), KT))
    ]
    assert any(abs(inverted.parameters[key] / value - 1) > 0.03 for key, value in true.parameters.items() if value)


@pytest.mark.physics
def test_a_bond_takes_the_differences_of_inverse_variances_and_of_means():
    """Without a Jacobian worth speaking of, k changes by kT (1/var_ref - 1/var_sim), and l0 follows the mean."""
    wrong = spring(0.25, 30_000.0)
    reference = drawn("bond", energy_of(spring(0.255, 25_000.0)))
    simulated = drawn("bond", energy_of(wrong))
    corrected = correct_term(TermFeatures(wrong, reference), reference, simulated, KT)
    expected = 30_000.0 + KT * (1 / reference.var() - 1 / simulated.var())
    assert corrected.parameters["stiffness"] == pytest.approx(expected, rel=0.002)
    assert corrected.parameters["length"] == pytest.approx(0.25 + reference.mean() - simulated.mean(), abs=2e-4)


@pytest.mark.parametrize("name", TERMS)
def test_features_have_mean_0_and_variance_1_in_the_reference_and_do_not_correlate(name):
    true, _, _ = TERMS[name]
    reference = drawn(name.split()[-1], energy_of(true)).reshape(20, -1)
    white = TermFeatures(true, reference)(reference)
    assert white.shape == (*reference.shape, 2 if true.form.startswith("harmonic") else 3)
    np.testing.assert_allclose(white.mean(axis=(0, 1)), 0, atol=1e-8)
    np.testing.assert_allclose(np.cov(white.reshape(-1, white.shape[-1]).T), np.eye(white.shape[-1]), atol=1e-3)


def test_a_difference_within_its_error_is_not_followed():
    true, wrong, _ = TERMS["torsion"]
    reference, simulated = drawn("torsion", energy_of(true)), drawn("torsion", energy_of(wrong))
    features = TermFeatures(wrong, reference)
    assert correct_term(features, reference, simulated, KT, error=np.full(3, 10.0)) == wrong
    half = correct_term(features, reference, simulated, KT, step_size=0.5)
    full = correct_term(features, reference, simulated, KT, error=np.zeros(3))
    np.testing.assert_allclose(coefficients_of(half), np.mean([coefficients_of(wrong), coefficients_of(full)], axis=0))


def test_a_correction_far_off_is_bounded_and_leaves_a_spring():
    reference = drawn("bond", energy_of(spring(0.25, 1000.0)))
    simulated = drawn("bond", energy_of(spring(0.35, 100_000.0)))
    wrong = spring(0.35, 1200.0)
    corrected = correct_term(TermFeatures(wrong, reference), reference, simulated, KT)
    assert corrected.parameters["stiffness"] >= 600.0
    features = TermFeatures(wrong, reference)
    grid = reference.std() * np.array([-1.0, 1.0]) + reference.mean()
    change = energy_of(corrected)(grid) - energy_of(wrong)(grid)
    assert np.ptp(change) < 2 * np.abs(features(grid)).max() * 2.0 * KT * math.sqrt(2)


@pytest.mark.parametrize(("coefficients", "n"), [([1.0, 0.0, 2.0, 0.0], 3), ([0.0], 1)])
def test_a_series_has_features_up_to_its_last_harmonic(coefficients, n):
    samples = drawn("torsion", np.cos)
    assert TermFeatures(cosine_term("cosine_torsion", ("A",) * 4, coefficients), samples).n == n
