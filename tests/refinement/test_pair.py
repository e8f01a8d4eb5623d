from dataclasses import replace

import numpy as np
import pytest
import torch

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.priors import PriorSet
from openmm_cgml.refinement import PairRefinementConfig, refine
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.pair import PairTarget, newton_step
from openmm_cgml.simulation import SimulationConfig
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import BENZENE_1, benzene_box, tiny_force_field

SIGMA, WRONG = 0.36, 0.42
KT = BOLTZMANN * 300
SHORT = {"rounds": 1, "duration": 1.0, "equilibration": 0.2, "first_equilibration": 0.0, "frame_interval": 0.1}


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
    config = PairRefinementConfig(rounds=6, duration=20.0, equilibration=2.0, first_equilibration=5.0, threads=1)
    result = refine(with_sigma(WRONG), dataset, tmp_path / "out", config)
    (term,) = result.force_field.priors.terms
    assert term.parameters["sigma"] == pytest.approx(SIGMA, rel=0.01)
    # The control: the first round, before any change, is far off.
    assert result.history[0]["deviation"] > 0.3 and result.history[0]["gr_com_rmse"] > 0.1
    assert result.history[-1]["deviation"] < 0.05
    assert result.history[-1]["gr_com_rmse"] < 0.5 * result.history[0]["gr_com_rmse"]
    assert "Pair priors refined" in ForceField.load(result.path).manifest.description
    assert result.force_field.priors.provenance["refinement"]["target"] == "pair"


def test_sums_of_features_times_coefficients_are_the_energy(dataset):
    force_field, config = with_sigma(SIGMA), PairRefinementConfig(**SHORT)
    ensemble = Ensemble(force_field, dataset, config)
    target = PairTarget(force_field, ensemble, config)
    frames = ensemble.reference[:3]
    (potential,) = force_field.bind(ensemble.topology)
    (term,) = force_field.priors.terms
    exact = [float(potential.energy(torch.tensor(x), torch.tensor(ensemble.box))) for x in frames.positions]
    found = target._sums(frames) @ term.potential.to_coefficients(term.parameters)
    np.testing.assert_allclose(found, exact, rtol=1e-6)


def test_a_newton_step_leads_to_the_mean_of_the_reference():
    """An oscillator with U = c x^2/2: from one force constant to another in one step where they are near."""
    rng = np.random.default_rng(0)
    right, wrong = 50.0, 53.0
    reference, simulated = (0.5 * rng.normal(scale=np.sqrt(KT / c), size=(400_000, 1)) ** 2 for c in (right, wrong))
    step = newton_step(reference, simulated, KT, 1e9)
    assert wrong + step[0] == pytest.approx(right, abs=0.5)
    assert abs(newton_step(reference, simulated, KT, 1e-3)[0] * simulated.mean()) == pytest.approx(1e-3)


def test_what_has_no_pair_priors_is_refused(dataset, tmp_path):
    bare = replace(with_sigma(SIGMA), priors=PriorSet(terms=()))
    with pytest.raises(InputError, match="no pair priors"):
        refine(bare, dataset, tmp_path / "out", PairRefinementConfig(time_step=0.005, **SHORT))
    assert not (tmp_path / "out").exists()
