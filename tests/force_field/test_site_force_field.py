"""Force fields whose pair priors act between sites: files, Systems, runs."""

from dataclasses import replace

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.potentials import evaluate
from openmm_cgml.selection.intermolecular import compute_intermolecular_forces
from openmm_cgml.simulation import SimulationConfig, simulate
from tests.fixtures import tiny_force_field
from tests.site_models import RING, site_fluid, site_priors, site_topology

SIDE = 4


@pytest.fixture(scope="module")
def force_field():
    manifest = replace_manifest(tiny_force_field(1).manifest)
    return ForceField(priors=site_priors("R"), network=None, templates=(RING,), type_names=("A",), manifest=manifest)


def replace_manifest(manifest):
    return manifest.model_copy(update={"training": None})


@pytest.fixture(scope="module")
def liquid():
    frames = site_fluid("R", SIDE, 1)
    return site_topology("R", SIDE**3), frames.positions[0], frames.box[0]


def state_of(system, positions, platform="Reference"):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform(platform))
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


def test_it_is_saved_and_loaded_with_its_self_test(force_field, tmp_path):
    path = force_field.save(tmp_path / "sites")
    again = ForceField.load(path)
    assert again.priors.sites == force_field.priors.sites and again.fingerprint == force_field.fingerprint
    assert "sites H of bead type A: (-0.085, 0.12, 0)" in (path / "README.md").read_text()
    # The control: sites elsewhere are another force field, and a file that says so does not pass.
    moved = tuple(replace(each, positions=each.positions[::-1][:1] + each.positions[1:]) for each in again.priors.sites)
    assert replace(force_field, priors=replace(force_field.priors, sites=moved)).fingerprint != force_field.fingerprint
    text = (path / "priors.json").read_text()
    (path / "priors.json").write_text(text.replace("-0.085", "-0.084"))
    with pytest.raises(ArtifactError):
        ForceField.load(path)


@pytest.mark.backend
@pytest.mark.physics
@pytest.mark.parametrize("replicas", [1, 2])
def test_its_system_has_the_forces_of_its_potentials(force_field, liquid, replicas):
    topology, positions, box = liquid
    x = np.concatenate([positions + 0.001 * k for k in range(replicas)])
    wanted = [
        evaluate(force_field.bind(topology), torch.tensor(p), torch.tensor(box)) for p in x.reshape(replicas, -1, 3)
    ]
    system = force_field.create_system(topology, box=box, replicas=replicas)
    assert [force.getName() for force in system.getForces()] == ["prior: harmonic bond", "pair priors"]
    energy, forces = state_of(system, x)
    expected = np.concatenate([f.numpy() for _, f in wanted])
    assert energy == pytest.approx(sum(float(e) for e, _ in wanted), rel=1e-5)
    np.testing.assert_allclose(forces, expected, atol=1e-4 * np.sqrt((expected**2).mean()))
    bonds_only = replace(force_field, priors=replace(force_field.priors, terms=force_field.priors.terms[:1], sites=()))
    other = state_of(bonds_only.create_system(topology, box=box, replicas=replicas), x)[1]
    assert np.abs(other - expected).max() > 10, "the control must differ"


@pytest.mark.backend
@pytest.mark.physics
@pytest.mark.parametrize("replicas", [1, 2])
def test_a_network_is_added_to_the_sites(force_field, liquid, replicas):
    topology, positions, box = liquid
    torch.manual_seed(0)
    config = SchNetConfig(n_features=16, n_inter_blocks=1, n_intra_blocks=0, cutoff=0.6, energy_scale=100)
    both = replace(force_field, network=SchNet(config, 1))
    alone = replace(both, priors=replace(force_field.priors, terms=force_field.priors.terms[:1], sites=()))
    bonds = replace(alone, network=None)
    x = np.concatenate([positions + 0.001 * k for k in range(replicas)])
    options = {"box": box, "replicas": replicas}
    whole, sites, network, shared = (
        state_of(each.create_system(topology, **options), x)[1] for each in (both, force_field, alone, bonds)
    )
    assert np.abs(network - shared).max() > 1, "the control: the network does something"
    np.testing.assert_allclose(whole, sites + network - shared, atol=1e-4 * np.abs(whole).max())


@pytest.mark.backend
def test_what_asks_for_a_native_force_is_told_that_there_is_none(force_field, liquid, tmp_path):
    topology, positions, box = liquid
    with pytest.raises(InputError, match="between sites have no native OpenMM force"):
        force_field.create_system(topology, box=box, pair_backend="native")
    with pytest.raises(InputError, match="which only a PythonForce calls"):
        force_field.create_system(topology, box=box, ml_backend="TorchForce")
    config = SimulationConfig.for_force_field(
        force_field, topology, temperature=300, duration=0.01, pair_backend="native"
    )
    with pytest.raises(InputError, match="between sites have no native OpenMM force"):
        simulate(force_field, topology, positions, box, output=tmp_path / "run", config=config, progress=False)
    with pytest.raises(InputError, match="two beads have no energy that depends on their distance alone"):
        force_field.pair_energy("A", "A", np.array([0.5]))
    assert force_field.scan_short_range() == ()
    assert force_field.priors.pair_energy("C", "H", np.array([0.25]))[0] > 0
    assert list(force_field.cutoffs.values()) == [0.65]


@pytest.mark.physics
def test_forces_between_molecules_are_told_apart(force_field):
    topology, frames = site_topology("R", 27), site_fluid("R", 3, 2)
    found = compute_intermolecular_forces(force_field, topology, frames)
    np.testing.assert_array_equal(found, force_field.priors.forces(topology, frames, part="inter"))
    assert np.abs(found - force_field.priors.forces(topology, frames)).max() > 1


@pytest.mark.backend
def test_a_run_compares_the_engine_with_the_potentials_first(force_field, liquid, tmp_path):
    topology, positions, box = liquid
    options = {"temperature": 300, "duration": 0.02, "time_step": 0.001, "platform": "CPU"}
    config = SimulationConfig.for_force_field(force_field, topology, **options)
    result = simulate(force_field, topology, positions, box, output=tmp_path / "run", config=config, progress=False)
    assert result.status == "complete"
    record = "".join(path.read_text() for path in (tmp_path / "run").rglob("*.json"))
    assert "priors between sites have no native force" in record and "pair_table_force_error_over_rms" in record
    refused = config.model_copy(update={"network_interval": 2, "time_step": 0.02})
    with pytest.raises(InputError):
        simulate(force_field, topology, positions, box, output=tmp_path / "no", config=refused, progress=False)


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.physics
def test_energy_is_conserved(force_field, liquid):
    topology, positions, box = liquid
    drifts = {}
    for step in (0.0005, 0.008):
        system = force_field.create_system(topology, box=box)
        context = openmm.Context(
            system, openmm.VerletIntegrator(step), openmm.Platform.getPlatform("CPU"), {"Threads": "1"}
        )
        context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(context, 10.0, 200)
        context.setVelocitiesToTemperature(300, 1)
        context.getIntegrator().step(round(1.0 / step))
        energies = []
        for _ in range(40):
            context.getIntegrator().step(round(0.25 / step))
            state = context.getState(energy=True)
            energies.append((state.getPotentialEnergy() + state.getKineticEnergy())._value)
        drifts[step] = np.ptp(energies) / (3 * topology.n_beads * 2.494 / 2)
    assert drifts[0.0005] < 2e-3
    assert not drifts[0.008] < 10 * drifts[0.0005], "the control: a step that is too long is seen"
