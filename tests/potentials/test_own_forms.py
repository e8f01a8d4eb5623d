"""Forms from a test module, taken through everything without a change of the package."""

import math
from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch
from openmm import unit

from openmm_cgml.builder import build_box
from openmm_cgml.config import read_config
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.potentials import POTENTIALS, evaluate
from openmm_cgml.priors import PriorConfig, PriorSet, PriorTerm, fit_priors, report_priors
from openmm_cgml.refinement import BondedRefinementConfig, refine
from openmm_cgml.simulation import SimulationConfig, simulate
from openmm_cgml.topology import CGTopology
from openmm_cgml.training import fit
from openmm_cgml.units import BOLTZMANN
from tests.fixtures import tiny_chain_force_field, tiny_force_field
from tests.potentials.own_forms import ExponentialRepulsion, QuarticBond
from tests.training.conftest import make_config, make_dataset  # noqa: F401
from tests.training.dimers import TEMPLATE

KT = BOLTZMANN * 300
TRUTH = {"length": 0.26, "k2": 9000.0, "k3": -120_000.0, "k4": 2_400_000.0}


@pytest.fixture(autouse=True)
def own_forms():
    POTENTIALS.extend([QuarticBond, ExponentialRepulsion])
    yield
    POTENTIALS.remove(QuarticBond)
    POTENTIALS.remove(ExponentialRepulsion)


def quartic_energy(r, values=TRUTH):
    x = r - values["length"]
    return values["k2"] * x**2 / 2 + values["k3"] * x**3 / 3 + values["k4"] * x**4 / 4


def dimers(n_frames=400, n_molecules=20, values=TRUTH):
    """Dimers whose bonds are drawn from the exact distribution of a quartic bond, far from each other."""
    rng = np.random.default_rng(0)
    grid = np.linspace(0.12, 0.42, 20_001)
    energies = quartic_energy(grid, values)
    total = np.cumsum(grid**2 * np.exp(-(energies - energies.min()) / KT))
    r = np.interp(rng.uniform(size=(n_frames, n_molecules)), total / total[-1], grid)
    sites = 1.2 * np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:n_molecules]
    positions = np.zeros((n_frames, n_molecules, 2, 3)) + sites[:, None]
    turns = rng.normal(size=(n_frames, n_molecules, 3))
    positions[:, :, 1] += r[..., None] * turns / np.linalg.norm(turns, axis=-1, keepdims=True)
    positions = positions.reshape(n_frames, -1, 3)
    topology = CGTopology.from_residues([(TEMPLATE, n_molecules)])
    box = np.tile(3.6 * np.eye(3), (n_frames, 1, 1))
    return topology, Frames(positions=positions, forces=np.ones_like(positions), box=box)


def chain_force_field(**values):
    """Polyethylene with quartic bonds."""
    plain = tiny_chain_force_field(network=False)
    bond = {"length": 0.166, "k2": 182_000.0, "k3": -1e6, "k4": 2e7, **values}
    others = [term for term in plain.priors.terms if not term.form.endswith("_bond")]
    bonds = [PriorTerm(form="quartic_bond", types=types, parameters=bond) for types in (("CH2",) * 2, ("CH2", "CH3"))]
    return replace(plain, priors=PriorSet(terms=(*others, *bonds), exclude_bonds=3))


@pytest.mark.physics
def test_one_line_of_yaml_fits_it(tmp_path):
    (tmp_path / "priors.yaml").write_text("bonds: {form: quartic}\nrepulsion: null\n")
    topology, frames = dimers()
    (term,) = fit_priors(read_config(tmp_path / "priors.yaml", PriorConfig), topology, frames, 300.0).terms
    assert term.form == "quartic_bond"
    r = np.linspace(0.225, 0.295, 101)
    found, truth = quartic_energy(r, term.parameters), quartic_energy(r)
    assert np.ptp(found - truth) < 0.2 * KT
    # The control: a harmonic bond cannot follow the anharmonic one.
    (spring,) = fit_priors(PriorConfig(repulsion=None), topology, frames, 300.0).terms
    harmonic = spring.parameters["stiffness"] * (r - spring.parameters["length"]) ** 2 / 2
    assert np.ptp(harmonic - truth) > 0.5 * KT
    report = report_priors(PriorSet(terms=(term,)), topology, frames, 300.0)
    plain = report_priors(PriorSet(terms=(spring,)), topology, frames, 300.0)
    assert report.bonded[0].divergence < plain.bonded[0].divergence


def test_a_key_that_it_does_not_know_is_refused(tmp_path):
    (tmp_path / "priors.yaml").write_text("bonds: {form: quartic, stiffness: 3 kJ/mol/nm^2}\n")
    with pytest.raises(InputError, match="form is 'quartic', which has no stiffness"):
        read_config(tmp_path / "priors.yaml", PriorConfig)


def test_both_energies_agree():
    topology, frames = dimers(3)
    priors = PriorSet(terms=(PriorTerm(form="quartic_bond", types=("A", "B"), parameters=TRUTH),))
    (bond,) = priors.bind(topology)
    system = openmm.System()
    for _ in range(topology.n_beads):
        system.addParticle(1.0)
    system.setDefaultPeriodicBoxVectors(*frames.box[0])
    system.addForce(bond.to_openmm(periodic=True))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(frames.positions[0])
    energy = context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)
    box = torch.tensor(frames.box[0])
    assert energy == pytest.approx(float(evaluate([bond], torch.tensor(frames.positions[0]), box)[0]), rel=1e-9)


def test_it_sets_the_time_step():
    soft, stiff = chain_force_field(), chain_force_field(k2=4 * 182_000.0)
    topology = soft._one_of_each
    steps = [force_field.suggest_time_step(topology) for force_field in (soft, stiff)]
    assert steps[0].term.startswith("bond ")
    period = 2 * math.pi * math.sqrt(14.027 / 2 / 182_000.0)
    assert steps[0].period == pytest.approx(period, rel=1e-3)
    assert steps[1].period == pytest.approx(period / 2, rel=1e-3)


def test_boxes_are_built_with_it():
    force_field = chain_force_field()
    topology, positions, box = build_box(force_field, chains=[(10, 10)], density="0.6 g/cm^3")
    i, j = topology.bonds.T
    vectors = positions[j] - positions[i]
    lengths = np.linalg.norm(vectors - box[0, 0] * np.round(vectors / box[0, 0]), axis=1)
    assert lengths.mean() == pytest.approx(0.166, abs=0.004)


def test_it_is_saved_and_loaded_where_it_is_known(tmp_path):
    force_field = chain_force_field()
    path = force_field.save(tmp_path / "model")
    assert ForceField.load(path).priors.terms == force_field.priors.terms
    POTENTIALS.remove(QuarticBond)
    try:
        with pytest.raises(ArtifactError, match=r"unknown prior form 'quartic_bond'.*Append a form of your own"):
            ForceField.load(path)
    finally:
        POTENTIALS.append(QuarticBond)


def test_it_is_simulated(tmp_path):
    force_field = chain_force_field()
    topology, positions, box = build_box(force_field, chains=[(10, 10)], density="0.6 g/cm^3")
    config = SimulationConfig(temperature=300.0, duration=1.0, time_step=0.001, frame_interval=0.1)
    result = simulate(force_field, topology, positions, box, output=tmp_path / "run", config=config, progress=False)
    assert result.status == "complete"
    assert 0 < result.largest_bond_deviation < 0.3  # its bonds are watched, though OpenMM has no harmonic ones


@pytest.mark.slow
@pytest.mark.physics
def test_it_is_refined(tmp_path):
    topology, frames = dimers(120)
    dataset = ForceMatchingDataset.create(
        tmp_path / "data",
        [frames],
        topology=topology,
        temperature=300.0,
        mapping_fingerprint="test",
        source={"made": "for a test"},
        templates=[TEMPLATE],
    )
    wrong = {**TRUTH, "length": 0.25, "k2": 14_000.0}
    plain = tiny_force_field(3, network=False)
    force_field = replace(
        plain,
        priors=PriorSet(terms=(PriorTerm(form="quartic_bond", types=("A", "B"), parameters=wrong),)),
        templates=(TEMPLATE,),
        type_names=("A", "B"),
    )
    config = BondedRefinementConfig(rounds=5, duration=15.0, first_equilibration=3.0, threads=1)
    result = refine(force_field, dataset, tmp_path / "out", config)
    assert result.history[0]["deviation"] > 0.3
    assert result.history[-1]["deviation"] < 0.5 * result.history[0]["deviation"]
    assert result.history[-1]["js_divergence"] < 0.5 * result.history[0]["js_divergence"]


def test_a_whole_fit_takes_it(make_config, tmp_path):  # noqa: F811
    config = make_config()
    priors = PriorConfig(
        bonds={"form": "quartic", "values": [0.25, 9000.0, 0.0, 1e6]}, repulsion=config.priors.repulsion
    )
    result = fit(config.model_copy(update={"priors": priors}), tmp_path / "out", progress=False)
    loaded = ForceField.load(result.path)
    assert [term.form for term in loaded.priors.terms if term.form.endswith("bond")] == ["quartic_bond"]
    assert "quartic bond A-B" in (result.path / "README.md").read_text()


def pair_force_field(*forms):
    """Three-bead benzene with a random network and the pair forms wanted."""
    plain = tiny_force_field(3)
    kind = plain.type_names[0]
    values = {
        "power_repulsion": {"sigma": 0.36, "epsilon": 4.184, "exponent": 12, "cutoff": 0.7, "switch_distance": 0.6},
        "exponential_repulsion": {"height": 5e4, "decay": 0.03, "cutoff": 0.6},
    }
    bonds = [term for term in plain.priors.terms if term.form == "harmonic_bond"]
    pairs = [PriorTerm(form=form, types=(kind, kind), parameters=values[form]) for form in forms]
    return replace(plain, priors=PriorSet(terms=(*bonds, *pairs), exclude_bonds=2))


def energy_of(system, positions, box):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


@pytest.mark.parametrize(
    "forms", [("exponential_repulsion",), ("power_repulsion", "exponential_repulsion")], ids=["alone", "with another"]
)
def test_a_pair_form_is_native_in_one_system_and_in_the_engine_with_replicas(forms):
    force_field = pair_force_field(*forms)
    topology, positions, box = build_box(force_field, 30, density="0.5 g/cm^3")
    assert force_field.cutoffs["exponential repulsion"] == 0.6
    alone = energy_of(force_field.create_system(topology, box=box), positions, box)
    system = force_field.create_system(topology, box=box, replicas=2)
    assert not any(isinstance(force, openmm.CustomNonbondedForce) for force in system.getForces())
    assert energy_of(system, np.tile(positions, (2, 1)), box) == pytest.approx(2 * alone, rel=1e-5)
    without = energy_of(pair_force_field("power_repulsion").create_system(topology, box=box), positions, box)
    assert abs(alone - without) > 1.0  # the form counts


def test_the_collision_of_a_pair_form_limits_the_time_step():
    force_field = pair_force_field("exponential_repulsion")
    topology, _, _ = build_box(force_field, 30, density="0.5 g/cm^3")
    (pair,) = [p for p in force_field.bind(topology) if isinstance(p, ExponentialRepulsion)]
    curvature = 5 * KT / 0.03**2
    expected = 2 * math.pi * math.sqrt(26.0378 / 2 / curvature)
    assert pair.period(topology.masses, {}, KT).period == pytest.approx(expected)


def test_a_configuration_takes_it_in_place_of_the_excluded_volume():
    topology, frames = dimers(3)
    config = PriorConfig(bonds={"length": 0.26, "stiffness": 9000.0}, repulsion={"form": "exponential", "decay": 0.04})
    terms = fit_priors(config, topology, frames, 300.0).terms
    assert {term.parameters["decay"] for term in terms if term.form == "exponential_repulsion"} == {0.04}
