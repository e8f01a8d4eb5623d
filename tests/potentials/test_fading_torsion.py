"""Torsions that fade out where beads come into line."""

import math
import warnings

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

from openmm_cgml.frames import Frames
from openmm_cgml.potentials import FadingTorsion, HarmonicBond, Samples
from openmm_cgml.potentials.coordinate import ANGLE, TORSION
from openmm_cgml.potentials.fading_torsion import FULL_ANGLE, FULL_SQUARE, STEEPEST
from openmm_cgml.priors import PriorConfig, fit_priors, report_priors
from openmm_cgml.priors.correction import TermFeatures, correct_term
from openmm_cgml.priors.fitting import PriorWarning
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import coefficients_of

KT = BOLTZMANN * 300
TRUE = np.array([2.0, -1.5, 0.8])
QUARTET = np.array([[0, 1, 2, 3]])


def factor(angle):
    x = np.minimum(np.sin(angle) ** 2 / FULL_SQUARE, 1)
    return x**2 * (3 - 2 * x)


def chains(n, *, coefficients, angles, seed=0):
    """Rows of four beads whose torsions are drawn at given angles, shape (n, 4, 3), and what they are."""
    rng = np.random.default_rng(seed)
    bends = rng.uniform(*angles, (2, n))
    grid = np.linspace(-np.pi, np.pi, 2001)
    series = np.cos(np.outer(grid, np.arange(1, len(coefficients) + 1))) @ coefficients
    weights = factor(bends[0]) * factor(bends[1])
    total = np.cumsum(np.exp(-weights[:, None] * series / KT), axis=1)
    place = (total < rng.uniform(size=(n, 1)) * total[:, -1:]).sum(axis=1)
    phi = grid[place]
    first = np.stack([np.cos(bends[0]), np.sin(bends[0]), np.zeros(n)], axis=1) * 0.3
    zero = np.zeros((n, 3))
    along = np.array([0.3, 0, 0]) + zero
    last = along + 0.3 * np.stack(
        [-np.cos(bends[1]), np.sin(bends[1]) * np.cos(phi), np.sin(bends[1]) * np.sin(phi)], axis=1
    )
    return np.stack([first, zero, along, last], axis=1), weights, phi


def test_the_energy_is_the_weight_times_the_series():
    positions, weights, phi = chains(200, coefficients=TRUE, angles=(1.5, np.pi))
    members = np.arange(800).reshape(-1, 4)
    flat = positions.reshape(-1, 3)
    np.testing.assert_allclose(FadingTorsion.weights(flat, None, members), weights, atol=1e-9)
    assert (weights < 0.5).any() and (weights > 0.999).any()
    least = (np.cos(np.outer(np.linspace(0, np.pi, 20_001), [1, 2, 3])) @ TRUE).min()
    exact = weights * (np.cos(np.outer(phi, [1, 2, 3])) @ TRUE - least)
    for index in range(0, 200, 20):
        one = FadingTorsion(indices=QUARTET, coefficients=TRUE[None])
        assert float(one.energy(torch.tensor(positions[index]))) == pytest.approx(exact[index], abs=1e-5)


def topology_of(n):
    residue = ResidueTemplate(
        name="MOL", bead_names=("A", "B", "C", "D"), bead_type_names=("P",) * 4, masses=(20.0,) * 4,
        bonds=((0, 1), (1, 2), (2, 3)),
    )  # fmt: skip
    return CGTopology.from_residues([(residue, n)])


def test_fits_and_corrections_know_the_weights():
    positions, weights, phi = chains(40_000, coefficients=TRUE, angles=(2.6, np.pi))
    assert 0.2 < weights.mean() < 0.7
    frames = Frames(positions=(positions + 0).reshape(400, -1, 3))
    config = PriorConfig(
        bonds={"form": "harmonic", "length": "0.3 nm", "stiffness": "1000 kJ/mol/nm^2"},
        torsions={"form": "fading", "harmonics": 3},
        repulsion=None,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", PriorWarning)  # of straight angles
        priors = fit_priors(config, topology_of(100), frames, 300.0)
    (term,) = [term for term in priors.terms if term.form == "fading_torsion"]
    fitted = np.array(coefficients_of(term))[:3]
    unweighted = FadingTorsion.invert(Samples.of(TORSION, phi), KT, FadingTorsion.basis_of(term.parameters, 0.0))
    assert np.linalg.norm(fitted - TRUE) < 0.6 * np.linalg.norm(TRUE)
    assert np.linalg.norm(unweighted[:3] - TRUE) > 1.1 * np.linalg.norm(fitted - TRUE), "the control"
    (shown,) = [each for each in report_priors(priors, topology_of(100), frames, 300.0).bonded if each.term == term]
    for mean, is_it in ((np.average(np.cos(phi), weights=weights), True), (np.cos(phi).mean(), False)):
        found = np.average(np.cos(shown.values), weights=shown.density)
        assert (found == pytest.approx(mean, abs=0.01)) == is_it
    # Features are white in the reference with its weights, and another mean where these are others.
    features = TermFeatures(term, phi, weights)
    white = features(phi, weights)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(np.cov(white.T), np.eye(features.n), atol=1e-3)
    assert np.abs(features(phi, np.ones_like(phi)).mean(axis=0)).max() > 0.05
    # Corrections find the rest, since each is made in the ensemble of the term as it is.
    for seed in range(1, 9):
        _, own, values = chains(
            40_000, coefficients=np.array(coefficients_of(term))[:3], angles=(2.6, np.pi), seed=seed
        )
        features = TermFeatures(term, phi, weights)
        term = correct_term(features, phi, values, KT, weights=(weights, own))
    assert np.array(coefficients_of(term))[:3] == pytest.approx(TRUE, abs=0.2)


def test_the_curvature_that_sets_the_time_step_bounds_that_of_the_factor():
    angles = np.linspace(np.pi / 2, np.pi, 400_001)
    bends = np.gradient(np.gradient(factor(angles), angles), angles)[5:-5]
    assert 0.9 * STEEPEST < np.abs(bends).max() < STEEPEST
    lengths = {frozenset(pair): 0.3 for pair in ((0, 1), (1, 2), (2, 3))}
    inverse = ANGLE.inverse_mass((0, 1, 2), FULL_ANGLE, np.full(4, 20.0), lengths)
    for scale, energy in ((1.0, 4.5), (100.0, 3 * KT)):  # all of the series, and 3 kT of a deep one
        torsion = FadingTorsion(indices=QUARTET, coefficients=scale * np.array([[2.0, -1.0]]))
        period = torsion.period(np.full(4, 20.0), lengths, KT)
        assert period.period == pytest.approx(2 * math.pi / math.sqrt(STEEPEST * energy * inverse), rel=0.02)
    assert FadingTorsion(indices=QUARTET, coefficients=np.zeros((1, 2))).period(np.full(4, 20.0), lengths, KT) is None


@pytest.mark.physics
@pytest.mark.slow
def test_simulated_torsions_pass_through_straight_angles():
    """Free angles are straight often, and the torsions' distribution at every pair of angles is the exact one."""
    n = 200
    system = openmm.System()
    for _ in range(4 * n):
        system.addParticle(20.0)
    quartets = np.arange(4 * n).reshape(n, 4)
    pairs = np.concatenate([quartets[:, k : k + 2] for k in range(3)])
    torsions = FadingTorsion(indices=quartets, coefficients=np.tile(TRUE, (n, 1)))
    bonds = HarmonicBond(indices=pairs, length=np.full(3 * n, 0.3), stiffness=np.full(3 * n, 20_000.0))
    for potential in (torsions, bonds):
        system.addForce(potential.to_openmm(periodic=False))
    integrator = openmm.LangevinMiddleIntegrator(300, 5, 0.004)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatform("CPU"), {"Threads": "1"})
    context.setPositions(chains(n, coefficients=TRUE, angles=(2.0, 2.1))[0].reshape(-1, 3))
    context.setVelocitiesToTemperature(300, 1)
    integrator.step(2500)
    found = []
    for _ in range(150):
        integrator.step(100)
        found.append(context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.nanometer))
    frames = np.array(found)
    values, weights = TORSION.measure(frames, None, quartets).ravel(), FadingTorsion.weights(frames, None, quartets)
    weights = weights.ravel()
    angles = ANGLE.measure(frames, None, np.concatenate([quartets[:, :3], quartets[:, 1:]]))
    assert (angles > FULL_ANGLE).mean() > 0.01
    grid = np.linspace(-np.pi, np.pi, 721)
    series = np.cos(np.outer(grid, [1, 2, 3])) @ TRUE
    density = np.exp(-weights[:, None] * series / KT)
    density /= density.sum(axis=1, keepdims=True)
    for n in (1, 2, 3):
        exact = float((weights[:, None] * density * np.cos(n * grid)).sum(axis=1).mean())
        assert float((weights * np.cos(n * values)).mean()) == pytest.approx(exact, abs=0.02)
    assert abs(float((weights * np.cos(values)).mean())) > 0.1, "the control"
