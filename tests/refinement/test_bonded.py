import json
import math

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import COORDINATES, FadingTorsion
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.priors.correction import correct_term
from openmm_cgml.refinement import BondedRefinementConfig, refine
from openmm_cgml.refinement.bonded import BondedTarget
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import coefficients_of, cosine_term

KT = BOLTZMANN * 300
COORDINATE = {coordinate.kind: coordinate for coordinate in COORDINATES}
CHAIN = ResidueTemplate(
    name="MOL",
    bead_names=("A0", "A1", "A2", "A3"),
    bead_type_names=("A",) * 4,
    masses=(28.0,) * 4,
    bonds=((0, 1), (1, 2), (2, 3)),
)
N_CHAINS, N_FRAMES, SPACING = 64, 60, 1.2
TRUE = {"length": 0.26, "stiffness": 9000.0}, [10.0, 4.0], [1.5, -1.0]
WRONG = {"length": 0.25, "stiffness": 14_000.0}, [20.0, 4.0], [0.5, 0.5]
SHORT = {"rounds": 1, "duration": 0.4, "equilibration": 0.1, "first_equilibration": 0.0, "frame_interval": 0.1}


def chain_force_field(bond, angle, torsion, name="toy", torsion_form="cosine_torsion"):
    terms = (
        PriorTerm(form="harmonic_bond", types=("A",) * 2, parameters=bond),
        cosine_term("cosine_angle", ("A",) * 3, angle),
        cosine_term(torsion_form, ("A",) * 4, torsion),
    )
    manifest = Manifest(name=name, description="Springs.")
    return ForceField(
        priors=PriorSet(terms=terms), network=None, templates=(CHAIN,), type_names=("A",), manifest=manifest
    )


def drawn(rng, kind, grid, energy, shape):
    """Independent samples of a coordinate with an energy of its own [kJ/mol]."""
    total = np.cumsum(COORDINATE[kind].jacobian(grid) * np.exp(-(energy - energy.min()) / KT))
    return np.interp(rng.uniform(size=shape), total / total[-1], grid)


def exact_frames(bond, angle, torsion):
    """Chains that do not feel each other, sampled exactly: without neighbors all coordinates are independent."""
    rng = np.random.default_rng(0)
    x, shape = np.linspace(0.1, 0.5, 4001), (N_FRAMES, N_CHAINS)
    r = drawn(rng, "bond", x, bond["stiffness"] * (x - bond["length"]) ** 2 / 2, (*shape, 3))
    x = np.linspace(1e-3, math.pi - 1e-3, 4001)
    theta = drawn(rng, "angle", x, sum(k * np.cos((n + 1) * x) for n, k in enumerate(angle)), (*shape, 2))
    x = np.linspace(-math.pi, math.pi, 4001)
    phi = drawn(rng, "torsion", x, sum(k * np.cos((n + 1) * x) for n, k in enumerate(torsion)), shape)
    beads = np.zeros((*shape, 4, 3))
    # Beads 1 and 2 on the z axis; bead 0 in the xz plane; bead 3 turned by the torsion.
    beads[..., 2, 2] = r[..., 1]
    beads[..., 0, 0] = r[..., 0] * np.sin(theta[..., 0])
    beads[..., 0, 2] = r[..., 0] * np.cos(theta[..., 0])
    beads[..., 3, 0] = r[..., 2] * np.sin(theta[..., 1]) * np.cos(phi)
    beads[..., 3, 1] = r[..., 2] * np.sin(theta[..., 1]) * np.sin(phi)
    beads[..., 3, 2] = r[..., 1] - r[..., 2] * np.cos(theta[..., 1])
    grid = SPACING * np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 1, 3)
    positions = (beads + grid).reshape(N_FRAMES, -1, 3)
    return Frames(
        positions=positions, forces=np.ones_like(positions), box=np.tile(4 * SPACING * np.eye(3), (N_FRAMES, 1, 1))
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return ForceMatchingDataset.create(
        tmp_path_factory.mktemp("toy") / "data",
        [exact_frames(*TRUE)],
        topology=CGTopology.from_residues([(CHAIN, N_CHAINS)]),
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[CHAIN],
    )


@pytest.mark.slow
@pytest.mark.physics
@pytest.mark.parametrize("form", ["cosine_torsion", "fading_torsion"])
def test_wrong_bonded_priors_become_those_of_the_exact_samples(form, dataset, tmp_path):
    config = BondedRefinementConfig(rounds=5, duration=15.0, first_equilibration=3.0, threads=1)
    wrong = chain_force_field(*WRONG, torsion_form=form)
    result = refine(wrong, dataset, tmp_path / "out", config)
    first = {row["term"]: row for row in result.history if row["round"] == 0}
    last = {row["term"]: row for row in result.history if row["round"] == result.history[-1]["round"]}
    for name, row in last.items():
        # The control is the first round, before any correction.
        assert first[name]["deviation"] > 0.3
        assert not first[name]["converged"]
        assert row["deviation"] < 0.12, name
        assert row["js_divergence"] < 0.4 * first[name]["js_divergence"]
    bond, angle, torsion = result.force_field.priors.terms
    assert bond.parameters["length"] == pytest.approx(TRUE[0]["length"], abs=0.001)
    assert bond.parameters["stiffness"] == pytest.approx(TRUE[0]["stiffness"], rel=0.1)
    x = np.linspace(1.8, 2.8, 50)
    for term, true, tolerance in ((angle, TRUE[1], 0.6), (torsion, TRUE[2], 0.4)):
        difference = np.array(coefficients_of(term)[:2]) - true
        energy = np.cos(x[:, None] * [1, 2]) @ difference
        assert np.ptp(energy) < tolerance * KT


@pytest.mark.backend
def test_without_rounds_the_priors_are_only_measured(dataset, tmp_path):
    wrong = chain_force_field(*WRONG)
    result = refine(wrong, dataset, tmp_path / "out", BondedRefinementConfig(**{**SHORT, "rounds": 0}))
    assert result.force_field.priors.terms == wrong.priors.terms
    assert {row["round"] for row in result.history} == {0}
    assert not result.converged
    assert (tmp_path / "out" / "refinement.png").stat().st_size > 10_000
    lines = (tmp_path / "out" / "refinement.csv").read_text().splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("0,harmonic_bond A-A,")


@pytest.mark.backend
def test_an_interrupted_refinement_of_priors_ends_like_an_uninterrupted_one(dataset, tmp_path):
    wrong, config = chain_force_field(*WRONG), BondedRefinementConfig(**SHORT)
    whole = refine(wrong, dataset, tmp_path / "whole", config)
    seen = []

    def stop(done, rounds, deviation):
        seen.append((done, rounds))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine(wrong, dataset, tmp_path / "parts", config, progress=stop)
    assert seen == [(0, 1)]
    assert not (tmp_path / "parts" / "force_field").exists()
    parts = refine(wrong, dataset, tmp_path / "parts", config, resume=True)
    assert [row["round"] for row in parts.history] == [0, 0, 0, 1, 1, 1]
    for one, other in zip(parts.force_field.priors.terms, whole.force_field.priors.terms, strict=True):
        assert one.parameters == pytest.approx(dict(other.parameters), rel=1e-3)
    # A setting that an older version did not know was as it is by default.
    record = tmp_path / "parts" / "refine.json"
    known = json.loads(record.read_text())
    assert known.pop("friction") == 1.0
    record.write_text(json.dumps({k: v for k, v in known.items() if k not in ("sealed", "content_sha256")}))
    assert len(refine(wrong, dataset, tmp_path / "parts", config, resume=True).history) == 6
    with pytest.raises(InputError, match="differs in step_size"):
        refine(wrong, dataset, tmp_path / "parts", BondedRefinementConfig(**SHORT, step_size=0.5), resume=True)


@pytest.mark.backend
def test_what_was_refined_is_recorded_and_the_given_force_field_unchanged(dataset, tmp_path):
    wrong = chain_force_field(*WRONG)
    before = wrong.fingerprint
    result = refine(wrong, dataset, tmp_path / "out", BondedRefinementConfig(**SHORT))
    loaded = ForceField.load(result.path)
    assert wrong.fingerprint == before
    assert loaded.priors.terms == result.force_field.priors.terms != wrong.priors.terms
    assert loaded.priors.provenance["refinement"]["corrections"] == 1
    assert loaded.manifest.provenance["prior_refinement"]["force_field"] == before
    assert loaded.manifest.description.startswith("Springs. Bonded priors refined")


def test_a_force_field_without_bonded_priors_is_refused(dataset, tmp_path):
    bare = chain_force_field(*WRONG)
    bare = ForceField(
        priors=PriorSet(terms=()), network=None, templates=(CHAIN,), type_names=("A",), manifest=bare.manifest
    )
    with pytest.raises(InputError, match="no bonded priors"):
        refine(bare, dataset, tmp_path / "out", BondedRefinementConfig())
    assert not (tmp_path / "out").exists()


def test_terms_of_zeros_stay_zero(dataset, tmp_path):
    wrong = chain_force_field(WRONG[0], WRONG[1], [0.0])
    result = refine(wrong, dataset, tmp_path / "out", BondedRefinementConfig(**SHORT))
    assert {row["term"] for row in result.history} == {"harmonic_bond A-A", "cosine_angle A-A-A"}
    before, after = (
        {term.form: term.parameters for term in force_field.priors.terms} for force_field in (wrong, result.force_field)
    )
    assert before["cosine_torsion"] == after["cosine_torsion"]
    assert before["cosine_angle"] != after["cosine_angle"]


def test_a_difference_within_its_error_is_followed_by_who_does_not_doubt_it(dataset):
    moved = []
    for doubt in (None, 0.0):
        config = BondedRefinementConfig(**SHORT, doubt=doubt)
        force_field = chain_force_field(*TRUE)
        ensemble = Ensemble(force_field, [dataset], config)
        target = BondedTarget(force_field, ensemble, config)
        target.change(ensemble.judge, 0)  # the other half of the same samples: it differs by chance
        before, after = (coefficients_of(each.priors.terms[2]) for each in (force_field, target.force_field))
        moved.append(np.abs(np.subtract(after, before)).max())
    assert moved[0] < 0.5 * moved[1]


def test_torsions_that_fade_are_corrected_with_their_weights(dataset, monkeypatch):
    given = []

    def watched(features, reference, simulated, *arguments, weights, **settings):
        given.append((features.term.form, reference, simulated, weights))
        return correct_term(features, reference, simulated, *arguments, weights=weights, **settings)

    monkeypatch.setattr("openmm_cgml.refinement.bonded.correct_term", watched)
    config, force_field = BondedRefinementConfig(**SHORT), chain_force_field(*WRONG, torsion_form="fading_torsion")
    ensemble = Ensemble(force_field, [dataset], config)
    BondedTarget(force_field, ensemble, config).change(ensemble.judge, 0)
    assert [form for form, *_ in given] == ["harmonic_bond", "cosine_angle", "fading_torsion"]
    assert [weights for *_, weights in given[:2]] == [(None, None)] * 2
    _, *samples, weights = given[2]
    members = ensemble.topology.dihedrals
    for frames, values, own in zip((ensemble.reference, ensemble.judge), samples, weights, strict=True):
        np.testing.assert_array_equal(own, FadingTorsion.weights(frames.positions, frames.box, members))
        assert own.shape == values.shape and own.min() < 0.9 < own.max()
