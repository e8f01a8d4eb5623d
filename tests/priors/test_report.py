import json
import math
from dataclasses import replace

import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PowerRepulsionConfig
from openmm_cgml.priors import (
    PriorConfig,
    PriorReport,
    PriorSet,
    PriorTerm,
    fit_priors,
    report_priors,
)
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import cosine_term

KT = BOLTZMANN * 300


def chains(n_beads: int, count: int) -> CGTopology:
    names = tuple(f"A{i}" for i in range(n_beads))
    template = ResidueTemplate(
        name="MOL",
        bead_names=names,
        bead_type_names=("A",) * n_beads,
        masses=(20.0,) * n_beads,
        bonds=tuple((i, i + 1) for i in range(n_beads - 1)),
    )
    return CGTopology.from_residues([(template, count)])


def springs(stiffness: float, length: float, shape: tuple[int, int]) -> Frames:
    """Frames of dimers in a lattice, their bonds distributed as r^2 exp(-U/kT)."""
    rng = np.random.default_rng(0)
    grid = np.linspace(0.5 * length, 1.5 * length, 20_001)
    total = np.cumsum(grid**2 * np.exp(-stiffness * (grid - length) ** 2 / 2 / KT))
    r = np.interp(rng.uniform(size=shape), total / total[-1], grid)
    side = math.ceil(shape[1] ** (1 / 3))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3), axis=-1).reshape(-1, 3)[: shape[1]] * 0.8
    start = grid + rng.uniform(-0.1, 0.1, (*shape, 3))
    positions = np.stack([start, start + r[..., None] * [0.6, 0.0, 0.8]], axis=2).reshape(shape[0], -1, 3)
    return Frames(positions=positions, box=np.tile(0.8 * side * np.eye(3), (shape[0], 1, 1)))


def spring(stiffness: float, length: float) -> PriorTerm:
    return PriorTerm(form="harmonic_bond", types=("A", "A"), parameters={"length": length, "stiffness": stiffness})


@pytest.mark.physics
def test_the_spring_of_the_data_has_no_divergence_and_another_one_has() -> None:
    topology, frames = chains(2, 64), springs(20_000, 0.25, (400, 64))
    (fit,) = report_priors(PriorSet(terms=(spring(20_000, 0.25),)), topology, frames, 300.0).bonded
    assert fit.kind == "bond"
    assert fit.n_samples == frames.positions.shape[0] * 64
    width = fit.values[1] - fit.values[0]
    assert fit.density.sum() * width == pytest.approx(1)
    assert fit.fitted_density.sum() * width == pytest.approx(1)
    assert fit.divergence < 2e-3
    assert fit.largest_error < KT / 2
    (wrong,) = report_priors(PriorSet(terms=(spring(10_000, 0.25),)), topology, frames, 300.0).bonded
    assert wrong.divergence > 0.01, "the control must fail: the papers' k taken for twice ours"
    assert wrong.largest_error > 1.5 * KT
    # kT/2 per twofold stiffness and squared deviation: the difference of two parabolas
    np.testing.assert_allclose(
        np.diff(wrong.residual, 2).mean() / np.diff(wrong.values[wrong.sampled]).mean() ** 2, 10_000, rtol=0.3
    )


@pytest.mark.physics
def test_the_jacobian_of_an_angle_is_no_part_of_its_energy() -> None:
    rng = np.random.default_rng(0)
    arms = rng.normal(size=(400, 64, 2, 3))
    arms *= 0.3 / np.linalg.norm(arms, axis=-1, keepdims=True)  # random directions: the angle has no energy
    positions = np.concatenate([arms[:, :, :1], np.zeros((400, 64, 1, 3)), arms[:, :, 1:]], axis=2)
    flat = cosine_term("cosine_angle", ("A", "A", "A"), [0.0])
    (fit,) = report_priors(
        PriorSet(terms=(flat,)), chains(3, 64), Frames(positions=positions.reshape(400, -1, 3)), 300.0
    ).bonded
    assert fit.divergence < 2e-3
    assert fit.largest_error < KT
    assert np.corrcoef(fit.density, np.sin(fit.values))[0, 1] > 0.98


@pytest.mark.physics
def test_a_torsion_is_seen_from_minus_180_to_180_degrees() -> None:
    rng = np.random.default_rng(0)
    phi = rng.normal(1.0, 0.3, (100, 30))
    last = np.stack([np.ones_like(phi), np.cos(phi), np.sin(phi)], axis=-1)[:, :, None]
    rest = np.array([[0.0, 1, 0], [0, 0, 0], [1, 0, 0]]) + np.zeros((100, 30, 3, 3))
    frames = Frames(positions=np.concatenate([rest, last], axis=2).reshape(100, -1, 3))
    term = cosine_term("cosine_torsion", ("A",) * 4, [1.0])
    (fit,) = report_priors(PriorSet(terms=(term,)), chains(4, 30), frames, 300.0).bonded
    assert fit.kind == "torsion"
    assert fit.values[np.argmax(fit.density)] == pytest.approx(1.0, abs=0.3)
    assert fit.values[np.argmax(fit.fitted_density)] == pytest.approx(math.pi, abs=0.3) or fit.values[
        np.argmax(fit.fitted_density)
    ] == pytest.approx(-math.pi, abs=0.3)
    assert 0.3 < fit.divergence < 1


@pytest.mark.physics
def test_repulsion_is_shown_beside_g_of_r_that_is_one_for_beads_at_random() -> None:
    config = PriorConfig(repulsion=PowerRepulsionConfig(sigma=0.3, exponent=6, cutoff=1.0))
    positions = np.random.default_rng(0).uniform(0, 3, (20, 200, 3))
    topology, frames = chains(1, 200), Frames(positions=positions, box=np.tile(3 * np.eye(3), (20, 1, 1)))
    priors = fit_priors(config, topology, frames, 300.0)
    (fit,) = report_priors(priors, topology, frames, 300.0).repulsions
    far = fit.values > 0.4
    assert fit.g[far].mean() == pytest.approx(1.0, abs=0.02)
    assert fit.closest is not None
    assert fit.contact_energy == pytest.approx(4.184 * (0.3 / fit.closest) ** 6 / KT)
    np.testing.assert_allclose(fit.data_energy, -KT * np.log(fit.g[fit.sampled]))
    np.testing.assert_allclose(fit.residual, fit.data_energy - fit.energy[fit.sampled])
    # Beads at random have no energy, so that all of the repulsion is too much.
    assert fit.excess == pytest.approx(fit.energy[fit.sampled].max(), rel=0.3)
    soft = replace(priors, terms=tuple(replace(t, parameters={**t.parameters, "sigma": 0.03}) for t in priors.terms))
    (fit,) = report_priors(soft, topology, frames, 300.0).repulsions
    assert fit.excess < KT, "the control must differ"


def test_excluded_pairs_are_no_part_of_g_of_r() -> None:
    topology, frames = chains(2, 64), springs(20_000, 0.25, (20, 64))
    repulsion = PowerRepulsionConfig(sigma=0.2, cutoff=0.8)
    for excluded, closest in ((1, 0.4), (0, 0.25)):
        priors = fit_priors(PriorConfig(repulsion=repulsion, exclude_bonds=excluded), topology, frames, 300.0)
        (fit,) = report_priors(priors, topology, frames, 300.0).repulsions
        assert fit.closest == pytest.approx(closest, abs=0.12)


def test_report_is_json_without_gaps_and_names_every_term() -> None:
    topology, frames = chains(2, 64), springs(20_000, 0.25, (20, 64))
    priors = fit_priors(PriorConfig(), topology, frames, 300.0)
    report = report_priors(priors, topology, frames, 300.0)
    assert isinstance(report, PriorReport)
    content = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert [term["form"] for term in content["terms"]] == ["harmonic_bond", "power_repulsion"]
    bond, repulsion = content["terms"]
    assert len(bond["values"]) == len(bond["density"]) == len(bond["energy"])
    assert len(bond["residual"]) == len(bond["sampled"]) == len(bond["data_energy"])
    assert bond["parameters"] == dict(priors.terms[0].parameters)
    assert repulsion["contact_energy_kt"] > 0


def test_terms_of_types_that_do_not_occur_and_repulsions_without_a_box_are_left_out() -> None:
    frames = Frames(positions=springs(20_000, 0.25, (20, 64)).positions)
    other = PriorTerm(form="harmonic_bond", types=("A", "Z"), parameters={"length": 0.3, "stiffness": 1.0})
    shared = {"sigma": 0.2, "epsilon": 1.0, "exponent": 12, "cutoff": 0.8, "switch_distance": 0.7}
    priors = PriorSet(
        terms=(spring(20_000, 0.25), other, PriorTerm(form="power_repulsion", types=("A", "A"), parameters=shared))
    )
    report = report_priors(priors, chains(2, 64), frames, 300.0)
    assert len(report.bonded) == 1
    assert report.repulsions == ()
    with pytest.raises(InputError, match="frames have 128 beads, the topology 126"):
        report_priors(priors, chains(2, 63), frames, 300.0)
