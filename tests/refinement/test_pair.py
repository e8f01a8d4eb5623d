from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PairSpline, ThreeBodyConfig
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.refinement import PairRefinementConfig, PressureRefinementConfig, refine
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.pair import PairTarget
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import BENZENE_1, benzene_box, tiny_force_field

SIGMA, WRONG = 0.36, 0.42
KT = BOLTZMANN * 300
SHORT = {
    "rounds": 1,
    "starts": 1,
    "duration": 1.0,
    "equilibration": 0.2,
    "first_equilibration": 0.0,
    "frame_interval": 0.1,
}


def with_sigma(sigma):
    plain = tiny_force_field(1, network=False)
    (term,) = plain.priors.terms
    term = replace(term, parameters={**term.parameters, "sigma": sigma})
    return replace(plain, priors=PriorSet(terms=(term,), exclude_bonds=2))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Frames of a simulation with the right repulsion."""
    force_field = with_sigma(SIGMA)
    topology, positions, box = benzene_box(1, 100, density=0.84)
    config = SimulationConfig(temperature=300.0, duration=60.0, time_step=0.005, frame_interval=0.5, threads=1)
    sampler = Sampler.create(force_field.create_system(topology, box=box), topology, positions, box, config)
    sampler.step(2000)
    frames = np.array([snapshot.positions for snapshot in sampler.frames(120)])
    return ForceMatchingDataset.create(
        tmp_path_factory.mktemp("pairs") / "data",
        [Frames(positions=frames, forces=np.ones_like(frames), box=np.tile(box, (len(frames), 1, 1)))],
        topology=CGTopology.from_residues([(BENZENE_1, 100)]),
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[BENZENE_1],
    )


@pytest.mark.slow
@pytest.mark.physics
def test_a_wrong_repulsion_becomes_the_one_that_made_the_reference(dataset, tmp_path):
    config = PairRefinementConfig(rounds=8, duration=12.0, equilibration=2.0, first_equilibration=5.0, threads=1)
    result = refine(with_sigma(WRONG), dataset, tmp_path / "out", config)
    (term,) = result.force_field.priors.terms
    assert term.parameters["sigma"] == pytest.approx(SIGMA, rel=0.01)
    # The control: the first round, before any change, is far off.
    assert result.history[0]["gr_judged"] > 0.1
    assert result.history[-1]["gr_judged"] < 0.5 * result.history[0]["gr_judged"]
    assert "Pair priors refined" in ForceField.load(result.path).manifest.description
    assert result.force_field.priors.provenance["refinement"]["target"] == "pair"


def spline_force_field(sigma):
    """A spline that is as good as the repulsion."""
    plain = with_sigma(sigma)
    kind = plain.type_names[0]
    blank = {"start": 0.3, "spacing": 0.02, "cutoff": 0.7, "coefficients": (0.0,) * 20}
    r = np.linspace(0.3, 0.7, 200)
    energies = plain.priors.pair_energy(kind, kind, r)
    weights = np.exp(-energies / (4 * KT))
    features = PairSpline.features(blank, r)
    coefficients = np.linalg.lstsq(features * weights[:, None], energies * weights, rcond=None)[0]
    term = PriorTerm(form="pair_spline", types=(kind, kind), parameters={**blank, "coefficients": tuple(coefficients)})
    return replace(plain, priors=PriorSet(terms=(term,), exclude_bonds=2))


@pytest.mark.slow
@pytest.mark.physics
def test_a_spline_finds_structure_and_pressure(dataset, tmp_path):
    settings = {"duration": 12.0, "equilibration": 2.0, "first_equilibration": 5.0, "time_step": 0.005, "threads": 1}
    config = PairRefinementConfig(rounds=0, **settings)
    right = refine(spline_force_field(SIGMA), dataset, tmp_path / "right", config).history[0]
    pressure = right["pressure"]
    config = PairRefinementConfig(rounds=12, pressure=pressure, **settings)
    result = refine(spline_force_field(WRONG), dataset, tmp_path / "out", config)
    first, last = result.history[0], result.history[-1]
    assert first["gr_judged"] > 0.1 and abs(first["pressure"] - pressure) > 250  # the control, before any change
    assert last["gr_judged"] < right["gr_judged"] + 0.015
    assert last["pressure"] == pytest.approx(pressure, abs=5 * last["pressure_error"] + 30)


@pytest.mark.slow
@pytest.mark.physics
def test_the_pressure_alone_leaves_the_structure(dataset, tmp_path):
    settings = {"duration": 12.0, "equilibration": 2.0, "first_equilibration": 5.0, "time_step": 0.005, "threads": 1}
    wrong = spline_force_field(1.08 * SIGMA)
    before = refine(wrong, dataset, tmp_path / "before", PairRefinementConfig(rounds=0, **settings)).history[0]
    wanted = before["pressure"] - 300
    result = refine(wrong, dataset, tmp_path / "out", PressureRefinementConfig(rounds=4, pressure=wanted, **settings))
    last = result.history[-1]
    assert last["pressure"] == pytest.approx(wanted, abs=3 * last["pressure_error"] + 15)
    assert before["gr_judged"] > 2 * before["gr_floor"], "the control: there is a structure to be mended"
    assert last["gr_judged"] == pytest.approx(before["gr_judged"], abs=before["gr_floor"]), "and it is not"
    assert "right pressure" in ForceField.load(result.path).manifest.description
    assert result.force_field.priors.provenance["refinement"]["target"] == "pressure"


def test_sums_of_features_times_coefficients_are_the_energy(dataset):
    force_field, config = with_sigma(SIGMA), PairRefinementConfig(**SHORT)
    ensemble = Ensemble(force_field, [dataset], config)
    target = PairTarget(force_field, ensemble, config)
    frames = ensemble.reference[:3]
    (potential,) = force_field.bind(ensemble.topology)
    (term,) = force_field.priors.terms
    exact = [float(potential.energy(torch.tensor(x), torch.tensor(ensemble.boxes[0]))) for x in frames.positions]
    statistics = target._statistics(frames)
    (part,) = target._parts(statistics.distances)
    found = statistics.counts[:, 0] @ part.features @ term.potential.to_coefficients(term.parameters)
    np.testing.assert_allclose(found, exact, rtol=5e-3)  # bins of 0.001 nm


def test_the_half_that_judges_shares_no_frame_with_the_target(dataset):
    ensemble = Ensemble(with_sigma(SIGMA), [dataset], PairRefinementConfig(**SHORT))
    times = [{frame.tobytes() for frame in half.positions} for half in (ensemble.reference, ensemble.judge)]
    assert len(times[0]) + len(times[1]) == dataset.n_frames and not times[0] & times[1]


def test_what_has_no_pair_priors_is_refused(dataset, tmp_path):
    bare = replace(with_sigma(SIGMA), priors=PriorSet(terms=()))
    with pytest.raises(InputError, match="no pair priors"):
        refine(bare, dataset, tmp_path / "out", PairRefinementConfig(time_step=0.005, **SHORT))
    assert not (tmp_path / "out").exists()


def test_three_body_terms_stay_as_they_are(dataset, tmp_path):
    plain, settings = spline_force_field(SIGMA), ThreeBodyConfig(cutoff=0.6, n_max=1, l_max=1)
    (spline,) = plain.priors.terms
    types, parameters = (spline.types[0],) * 3, settings.parameters((300.0, 500.0))
    three = PriorTerm(form="three_body", types=types, parameters=parameters)
    force_field = replace(plain, priors=PriorSet(terms=(spline, three), exclude_bonds=2))
    config = PairRefinementConfig(**SHORT, time_step=0.005, threads=1)
    result = refine(force_field, dataset, tmp_path / "out", config)
    again = {term.form: term for term in ForceField.load(result.path).priors.terms}
    assert again["three_body"] == three
    assert again["pair_spline"] != spline, "the control: the spline is refined"
    assert {row["term"] for row in result.history} == {str(spline)}
