"""Force fields with three-body priors: files, Systems, runs."""

from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.periodic import find_pairs, minimum_image
from openmm_cgml.potentials import evaluate
from openmm_cgml.potentials.three_body_features import ThreeBodyFeatures
from openmm_cgml.selection.intermolecular import compute_intermolecular_forces
from openmm_cgml.simulation import SimulationConfig, simulate
from openmm_cgml.units import KJ_PER_MOL_NM3_IN_BAR
from tests.fixtures import tiny_force_field
from tests.site_models import RING, site_fluid, site_topology
from tests.three_body_models import SETTINGS, three_body_priors

SIDE = 4
NATIVE = ["prior: harmonic bond", "prior: pair spline"]


@pytest.fixture(scope="module")
def force_field():
    manifest = tiny_force_field(1).manifest.model_copy(update={"training": None})
    priors = three_body_priors("R")
    return ForceField(priors=priors, network=None, templates=(RING,), type_names=("A",), manifest=manifest)


@pytest.fixture(scope="module")
def liquid():
    frames = site_fluid("R", SIDE, 1)
    return site_topology("R", SIDE**3), frames.positions[0], frames.box[0]


def without(force_field):
    terms = tuple(term for term in force_field.priors.terms if term.form != "three_body")
    return replace(force_field, priors=replace(force_field.priors, terms=terms))


def state_of(system, positions, platform="Reference"):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform(platform))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def test_it_is_saved_and_loaded_with_its_self_test(force_field, tmp_path):
    path = force_field.save(tmp_path / "three")
    again = ForceField.load(path)
    assert again.priors.to_dict() == force_field.priors.to_dict() and again.fingerprint == force_field.fingerprint
    assert (
        "three body A-A-A: cutoff 0.75 nm, n_max 2, l_max 3, coefficients 12 values" in (path / "README.md").read_text()
    )
    assert without(force_field).fingerprint != force_field.fingerprint, "the control"
    text = (path / "priors.json").read_text()
    (path / "priors.json").write_text(text.replace('"cutoff": 0.75', '"cutoff": 0.74'))
    with pytest.raises(ArtifactError):
        ForceField.load(path)


@pytest.mark.backend
@pytest.mark.physics
@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("pair_backend", [None, "engine"])
def test_its_system_has_the_forces_of_its_potentials(force_field, liquid, replicas, pair_backend):
    topology, positions, box = liquid
    x = np.concatenate([positions + 0.001 * k for k in range(replicas)])
    options = {"box": box, "replicas": replicas, "pair_backend": pair_backend}
    system = force_field.create_system(topology, **options)
    names = [force.getName() for force in system.getForces()]
    assert names == [*(NATIVE if pair_backend is None else NATIVE[:1]), "pair priors"]
    wanted = [
        evaluate(force_field.bind(topology), torch.tensor(p), torch.tensor(box)) for p in x.reshape(replicas, -1, 3)
    ]
    energy, forces = state_of(system, x)
    expected = np.concatenate([f.numpy() for _, f in wanted])
    assert energy == pytest.approx(sum(float(e) for e, _ in wanted), rel=1e-5)
    np.testing.assert_allclose(forces, expected, atol=1e-4 * np.sqrt((expected**2).mean()))
    other = state_of(without(force_field).create_system(topology, **options), x)[1]
    assert np.abs(other - expected).max() > 10, "the control must differ"


@pytest.mark.backend
@pytest.mark.physics
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_network_is_added(force_field, liquid, replicas):
    topology, positions, box = liquid
    torch.manual_seed(0)
    config = SchNetConfig(n_features=16, n_inter_blocks=1, n_intra_blocks=0, cutoff=0.6, energy_scale=100)
    both = replace(force_field, network=SchNet(config, 1))
    x = np.concatenate([positions + 0.001 * k for k in range(replicas)])
    options = {"box": box, "replicas": replicas, "ml_backend": "PythonForce"}
    fields = (both, force_field, without(both), without(force_field))
    whole, three, network, shared = (state_of(each.create_system(topology, **options), x)[1] for each in fields)
    assert np.abs(network - shared).max() > 1, "the control: the network does something"
    np.testing.assert_allclose(whole, three + network - shared, atol=1e-4 * np.abs(whole).max())


@pytest.mark.physics
@pytest.mark.backend
def test_the_pressure_is_the_slope_of_the_energy_by_the_volume(force_field, liquid):
    topology, positions, box = liquid
    pressures = []
    for each in (force_field, without(force_field)):
        system = each.create_system(topology, box=box, pair_backend="engine")
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
        centers = np.repeat(positions.reshape(-1, 3, 3).mean(axis=1), 3, axis=0)
        energies = []
        for step in (-1e-4, 1e-4):
            context.setPeriodicBoxVectors(*map(openmm.Vec3._make, (box * (1 + step)).tolist()))
            context.setPositions(positions + step * centers)
            energies.append(context.getState(energy=True).getPotentialEnergy()._value)
        change = np.linalg.det(box) * ((1 + 1e-4) ** 3 - (1 - 1e-4) ** 3)
        pressures.append(-(energies[1] - energies[0]) / change * KJ_PER_MOL_NM3_IN_BAR)
    (bound,) = force_field.priors._bind_three_body(topology)
    terms = {term.types: term.parameters for term in force_field.priors.terms if term.form == "three_body"}
    features = ThreeBodyFeatures(SETTINGS, topology.bead_types, topology.type_names)
    pairs = find_pairs(positions, box, SETTINGS.cutoff)
    pairs = pairs[:, ~bound.forest.is_intra(positions, box, pairs)]
    middle, other = np.concatenate([pairs, pairs[::-1]], axis=1)
    gradients = features.gradients(middle, other, minimum_image(positions[other] - positions[middle], box))
    arms = minimum_image(centers[other] - centers[middle], box)
    virial = -np.einsum("pnx,px->n", gradients, arms) @ terms["A", "A", "A"]["coefficients"]
    own = virial / 3 / np.linalg.det(box) * KJ_PER_MOL_NM3_IN_BAR
    assert pressures[0] - pressures[1] == pytest.approx(own, rel=1e-3, abs=0.5)
    assert abs(own) > 10, "the control: it presses"


@pytest.mark.backend
def test_what_asks_for_something_else_is_told(force_field, liquid):
    topology, _, box = liquid
    with pytest.raises(InputError, match="three-body priors are evaluated by the engine"):
        force_field.create_system(topology, box=box, ml_backend="TorchForce")
    assert force_field.cutoffs == {"pair spline": 0.7, "three body": 0.75}
    with pytest.raises(InputError, match=r"the cutoff of the three body is 0\.75 nm"):
        force_field.create_system(topology, box=np.eye(3) * 1.45)
    assert force_field.pair_energy("A", "A", np.array([0.3]))[0] > 0


@pytest.mark.physics
def test_forces_between_molecules_are_told_apart(force_field):
    topology, frames = site_topology("R", 27), site_fluid("R", 3, 2)
    found = compute_intermolecular_forces(force_field, topology, frames)
    assert np.abs(found - compute_intermolecular_forces(without(force_field), topology, frames)).max() > 1
    assert np.abs(found - force_field.priors.forces(topology, frames)).max() > 1


@pytest.mark.backend
@pytest.mark.parametrize("pair_backend", ["native", "engine"])
def test_a_run_compares_the_engine_with_the_potentials_first(force_field, liquid, tmp_path, pair_backend):
    topology, positions, box = liquid
    options = {"temperature": 300, "duration": 0.02, "time_step": 0.001, "platform": "CPU"}
    config = SimulationConfig.for_force_field(force_field, topology, **options, pair_backend=pair_backend)
    result = simulate(force_field, topology, positions, box, output=tmp_path / "run", config=config, progress=False)
    assert result.status == "complete"
    record = "".join(path.read_text() for path in (tmp_path / "run").rglob("*.json"))
    assert ("pair_table_force_error_over_rms" in record) == (pair_backend == "engine")


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.physics
def test_energy_is_conserved(force_field, liquid):
    topology, positions, box = liquid
    drifts = {}
    for step in (0.0005, 0.008):
        system = force_field.create_system(topology, box=box, pair_backend="engine")
        context = openmm.Context(
            system, openmm.VerletIntegrator(step), openmm.Platform.getPlatform("CPU"), {"Threads": "1"}
        )
        context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(context, 10.0, 200)
        context.setVelocitiesToTemperature(300, 1)
        context.getIntegrator().step(round(0.5 / step))
        energies = []
        for _ in range(20):
            context.getIntegrator().step(round(0.25 / step))
            state = context.getState(energy=True)
            energies.append((state.getPotentialEnergy() + state.getKineticEnergy())._value)
        drifts[step] = np.ptp(energies) / (3 * topology.n_beads * 2.494 / 2)
    assert drifts[0.0005] < 2e-3
    assert not drifts[0.008] < 10 * drifts[0.0005], "the control: a step that is too long is seen"
