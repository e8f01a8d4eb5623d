import numpy as np
import openmm
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.mapping import mapping_from_specification
from openmm_cgml.reference import (
    MeanForceConfig,
    ReferenceConfig,
    add_bead_restraints,
    compute_mean_forces,
    run_reference,
)
from openmm_cgml.reference.mean_force import RESTRAINT_GROUP, _average
from openmm_cgml.storage import read_json
from openmm_cgml.topology import AtomTopology
from tests.reference import liquids

QUICK = MeanForceConfig(
    configurations=2,
    last_fraction=0.5,
    equilibration=0.02,
    duration=0.08,
    sample_interval=0.02,
    platform="CPU",
    threads=1,
)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "run"
    config = ReferenceConfig(
        molecules=liquids.N_MOLECULES, density=liquids.DENSITY, relaxation_duration=0.4, duration=0.2,
        frame_interval=0.02, platform="CPU", threads=1,
    )  # fmt: skip
    run_reference(liquids.specification(), path, config)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("name", "n_beads"), [("benzene-1bead", 1), ("benzene-3bead", 3)])
def test_mean_forces_become_a_dataset_with_errors(tmp_path, recording, name, n_beads):
    specification = liquids.specification(name)
    dataset, floors = compute_mean_forces(recording, specification, tmp_path / "out", QUICK)
    frames = dataset.frames()
    assert (dataset.kind, len(frames), frames.n_particles) == ("mean-force", 2, n_beads * liquids.N_MOLECULES)
    assert dataset.source["frames"] == [6, 8]
    assert (frames.force_error > 0).all()
    assert floors["forces"].noise > 0
    if n_beads == 1:
        np.testing.assert_allclose(frames.forces, frames.forces_inter, atol=0.05)
    assert set(read_json(tmp_path / "out" / "noise_floor.json")) == {"forces", "forces_inter"}


@pytest.mark.slow
def test_interrupted_sampling_keeps_finished_configurations(tmp_path, recording):
    def interrupt(stage, done, total):
        if done > total / 2 + QUICK.equilibration:
            raise KeyboardInterrupt

    arguments = (recording, liquids.specification(), tmp_path / "out", QUICK)
    with pytest.raises(KeyboardInterrupt):
        compute_mean_forces(*arguments, progress=interrupt)
    first = ForceMatchingDataset.open(tmp_path / "out").frames()
    assert len(first) == 1
    resumed, floors = compute_mean_forces(*arguments, resume=True)
    assert resumed.n_frames == 2
    np.testing.assert_array_equal(resumed.frames([0]).forces, first.forces)
    assert floors["forces"].force_rms > 0


@pytest.mark.slow
@pytest.mark.physics
def test_restraints_hold_the_centers_while_atoms_move():
    topology, system = liquids.split_system()
    mapping = mapping_from_specification(liquids.specification("benzene-3bead"), AtomTopology.from_openmm(topology))
    before = _beads(mapping, liquids.positions())

    def largest_shift(stiffness):
        held = openmm.XmlSerializer.clone(system)
        restraint = add_bead_restraints(held, mapping, stiffness)
        for bead, point in enumerate(before):
            restraint.setBondParameters(bead, [bead], point)
        simulation = liquids.simulation(held, topology)
        simulation.step(50)
        positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)._value
        assert np.abs(positions - liquids.positions()).max() > 0.02
        return np.abs(_beads(mapping, positions) - before).max()

    assert largest_shift(3e5) < 0.02
    assert largest_shift(1.0) > 0.03  # control


def _beads(mapping, positions):
    return mapping.position_weights @ np.asarray(positions)


def test_restraint_is_the_harmonic_energy_of_the_nearest_image():
    topology, system = liquids.split_system()
    mapping = mapping_from_specification(liquids.specification(), AtomTopology.from_openmm(topology))
    restraint = add_bead_restraints(system, mapping, 1000.0)
    points = _beads(mapping, liquids.positions()) + np.array([0.01, 0.0, 0.0])
    points[::2] += [liquids.LENGTH, -liquids.LENGTH, 0.0]
    for bead, point in enumerate(points):
        restraint.setBondParameters(bead, [bead], point)
    context = liquids.simulation(system, topology).context
    energy = context.getState(energy=True, groups={RESTRAINT_GROUP}).getPotentialEnergy()._value
    assert energy == pytest.approx(0.5 * 1000.0 * 0.01**2 * liquids.N_MOLECULES, rel=1e-4)


@pytest.mark.physics
@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_average_finds_known_mean_noise_and_error(correlation):
    generator = np.random.default_rng(5)
    n, truth = 60, 80.0 * generator.normal(size=(500, 3))
    noise = generator.normal(size=(n, 500, 3))
    for i in range(1, n):
        noise[i] = correlation * noise[i - 1] + (1.0 - correlation**2) ** 0.5 * noise[i]
    average = _average(truth + 140.0 * noise)
    assert average.floor.noise == pytest.approx(140.0, rel=0.03)
    assert average.floor.mean_force_rms == pytest.approx(np.sqrt((truth**2).mean()), rel=0.05)
    assert average.floor.best_r2 == pytest.approx((truth**2).mean() / ((truth**2).mean() + 140.0**2), rel=0.08)
    scaled = (average.mean - truth) / average.error
    assert scaled.std() == pytest.approx(1.0, rel=0.15)
    if correlation:  # control: errors of uncorrelated samples would be far too small
        assert ((average.mean - truth) / (140.0 / n**0.5)).std() > 1.8


def test_recording_too_short_for_the_configurations_is_refused(tmp_path):
    recording = liquids.write_recording(tmp_path / "recording", 10)
    config = QUICK.model_copy(update={"configurations": 20})
    with pytest.raises(InputError, match=r"last 0.5 of 10 frames holds 5, fewer than the 20"):
        compute_mean_forces(recording, liquids.specification(), tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_system_without_interaction_split_is_refused(tmp_path):
    recording = liquids.write_recording(tmp_path / "recording", 10)
    with pytest.raises(InputError, match="interaction-split"):
        compute_mean_forces(recording, liquids.specification(), tmp_path / "out", QUICK, system=liquids.plain_system())


def test_too_few_samples_are_refused():
    with pytest.raises(InputError, match="give 2 samples; an error needs at least 4"):
        MeanForceConfig(duration=1.0, sample_interval=0.5)
