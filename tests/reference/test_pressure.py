"""The pressure of atoms, against OpenMM's own, the ideal gas and a derivative by hand."""

import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import (
    AtomisticBarometer,
    ForceRecorder,
    RecordedPressure,
    measure_pressure,
    recording_metadata,
    report_reference,
)
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.simulation.virial import move_molecules
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR
from tests.reference import boxes, chains, liquids

LENGTH = 1.1 * liquids.LENGTH
BOX = LENGTH * np.eye(3)
CPU = openmm.Platform.getPlatform("CPU"), {"Threads": "1"}
MOLECULES = np.repeat(np.arange(liquids.N_MOLECULES), liquids.MODEL.n_atoms)
MASSES = np.tile(liquids.MODEL.masses, liquids.N_MOLECULES)


def ideal(n_molecules, volume):
    return n_molecules * BOLTZMANN * 300.0 / volume * KJ_PER_MOL_NM3_IN_BAR


def scaled(scale=1.1):
    return move_molecules(liquids.positions(), MOLECULES, MASSES, scale)


@pytest.fixture(scope="module")
def barometer():
    return AtomisticBarometer(liquids.split_system()[1], 300.0, *CPU)


@pytest.mark.physics
def test_the_pressure_is_that_of_openmm(barometer):
    system, idle = liquids.plain_system(), openmm.MonteCarloBarostat(1.0, 300.0, 0)
    system.addForce(idle)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), *CPU)
    context.setPeriodicBoxVectors(*BOX)
    context.setPositions(scaled())  # at rest: OpenMM's pressure is the virial alone
    virial = idle.computeCurrentPressure(context)._value
    measured = barometer.measure(scaled(), BOX)
    assert measured - ideal(liquids.N_MOLECULES, LENGTH**3) == pytest.approx(virial, abs=8.0)
    assert measured != pytest.approx(virial, abs=80.0)  # control: the ideal part shows


@pytest.mark.physics
def test_a_smaller_box_has_a_higher_pressure(barometer):
    low, middle, high = (barometer.measure(scaled(scale), scale * liquids.LENGTH * np.eye(3)) for scale in
                         (0.99, 1.0, 1.01))  # fmt: skip
    assert low > middle + 100.0
    assert middle > high + 100.0
    assert barometer.measure(scaled(1.0), liquids.LENGTH * np.eye(3)) == middle  # control: no memory


@pytest.mark.physics
def test_molecules_that_do_not_interact_are_an_ideal_gas():
    system, positions = boxes.chains("CutoffPeriodic")
    force = next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))
    with_forces = AtomisticBarometer(system, 300.0, boxes.PLATFORM).measure(positions, boxes.EDGE * np.eye(3))
    for i in range(force.getNumParticles()):
        force.setParticleParameters(i, 0.0, 0.35, 0.0)
    measured = AtomisticBarometer(system, 300.0, boxes.PLATFORM).measure(positions, boxes.EDGE * np.eye(3))
    assert measured == pytest.approx(ideal(boxes.N_CHAINS, boxes.EDGE**3))
    assert with_forces != pytest.approx(measured, rel=0.01)  # control


@pytest.mark.physics
def test_restraints_are_no_part_of_the_pressure_when_excluded():
    system, positions = boxes.chains("CutoffPeriodic")
    without = AtomisticBarometer(system, 300.0, boxes.PLATFORM).measure(positions, boxes.EDGE * np.eye(3))
    pull = openmm.CustomExternalForce("500*x^2")
    pull.setForceGroup(7)
    for particle in range(system.getNumParticles()):
        pull.addParticle(particle)
    system.addForce(pull)
    excluded, counted = (
        AtomisticBarometer(system, 300.0, boxes.PLATFORM, exclude_groups=groups).measure(
            positions, boxes.EDGE * np.eye(3)
        )
        for groups in ((7,), ())
    )
    assert excluded == pytest.approx(without)
    assert counted != pytest.approx(without, abs=100.0)  # control


@pytest.mark.physics
def test_virtual_sites_follow_their_molecules():
    modeller = app.Modeller(app.Topology(), [])
    force_field = app.ForceField("tip4pew.xml")
    modeller.addSolvent(force_field, model="tip4pew", boxSize=openmm.Vec3(1.5, 1.5, 1.5))
    system = force_field.createSystem(modeller.topology, nonbondedMethod=app.PME, nonbondedCutoff=0.7)
    where = np.array(modeller.positions.value_in_unit(openmm.unit.nanometer))
    n, edge = len(where) // 4, 1.5
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), *CPU)
    oxygens = np.repeat(where[::4], 4, axis=0)  # another center than that of mass

    def energy(scale):
        context.setPeriodicBoxVectors(*(scale * edge * np.eye(3)))
        context.setPositions(where + (scale - 1) * oxygens)
        context.computeVirtualSites()
        return context.getState(energy=True).getPotentialEnergy()._value

    slope = (energy(1 + 2e-4) - energy(1 - 2e-4)) / (6 * 2e-4 * edge**3)
    is_atom = np.arange(len(where)) % 4 != 3
    centers = np.array([1.0, 0.0, 0.0, 0.0] * n)
    barometer = AtomisticBarometer(system, 300.0, *CPU)
    by_mass = barometer.measure(where[is_atom], edge * np.eye(3))
    barometer._masses = centers
    by_oxygen = barometer.measure(where[is_atom], edge * np.eye(3))
    assert by_oxygen == pytest.approx(ideal(n, edge**3) - slope * KJ_PER_MOL_NM3_IN_BAR, abs=3.0)
    assert by_mass != pytest.approx(by_oxygen, abs=3.0)  # control: momentary pressures depend on the center


def test_chains_are_whole_molecules():
    box = chains.box()
    barometer = AtomisticBarometer(box.create_system(chains.SETTINGS, 3.0), 300.0, *CPU)
    assert np.bincount(barometer._molecules).tolist() == [6 * chains.MONOMERS + 2] * chains.N_CHAINS


def test_what_has_no_pressure_is_refused(barometer):
    system, _ = boxes.chains("NoCutoff")
    with pytest.raises(InputError, match="needs a periodic box"):
        AtomisticBarometer(system, 300.0, boxes.PLATFORM)
    system, _ = boxes.chains()
    system.setParticleMass(0, 0.0)
    with pytest.raises(InputError, match="atoms of mass 0"):
        AtomisticBarometer(system, 300.0, boxes.PLATFORM)
    with pytest.raises(InputError, match=r"positions have shape \(3, 3\), the System has 324 atoms"):
        barometer.measure(np.zeros((3, 3)), BOX)


def record(path, *, n_frames=5, interval=80, with_pressure=True, resume=False):
    topology, system = liquids.split_system()
    barometer = AtomisticBarometer(system, 300.0, *CPU) if with_pressure else None
    metadata = recording_metadata(topology, system, temperature=300.0, density=liquids.DENSITY, source={})
    with FrameWriter(path, metadata=metadata, frames_per_shard=3, resume=resume) as writer:
        simulation = liquids.simulation(system, topology)
        simulation.context.setTime(10.0 if resume else 0.0)
        simulation.reporters.append(ForceRecorder(writer, interval, barometer=barometer))
        simulation.step(n_frames * interval)
    return path


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return record(tmp_path_factory.mktemp("pressure") / "recording", n_frames=10)


def test_recorded_pressures_are_those_of_the_frames(recording):
    recorded = FrameStore.open(recording).read_pressures()
    found = measure_pressure(recording, liquids.specification(), every=2, platform="CPU", threads=1)
    assert found.frames.tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(found.pressures, recorded[::2], atol=0.5)
    assert np.ptp(recorded) > 20.0  # control
    assert found.average.mean == pytest.approx(found.pressures.mean())
    assert RecordedPressure.from_json(found.to_json()).average.standard_error == found.average.standard_error


def test_pressures_are_measured_whatever_the_time_step(recording):
    specification = liquids.specification()
    assert specification.reference is not None
    other = specification.model_copy(
        update={"reference": specification.reference.model_copy(update={"time_step": 0.003})}
    )
    assert len(measure_pressure(recording, other, every=2, platform="CPU", threads=1).pressures) == 5


def test_report_has_the_pressure_with_its_error(recording):
    report = report_reference(recording, liquids.specification())
    pressures = FrameStore.open(recording).read_pressures()
    found = report.observables["pressure"]
    assert (found.value, found.unit) == (pytest.approx(pressures.mean()), "bar")
    assert found.standard_error >= pressures.std(ddof=1) / 10**0.5 * (1 - 1e-9)
    assert report.notes == ()


def test_frames_that_are_close_are_not_all_measured(tmp_path):
    pressures = FrameStore.open(record(tmp_path / "recording", interval=30)).read_pressures()
    assert np.isfinite(pressures).tolist() == [False, False, True, False, False]
    report = report_reference(record(tmp_path / "more", interval=30, n_frames=10), liquids.specification())
    assert "pressure" not in report.observables
    assert report.notes == ("no pressure: it was measured in 3 frames, and 4 are needed",)


def test_recordings_without_pressures_go_on_without(tmp_path):
    path = record(tmp_path / "recording", interval=4, with_pressure=False)
    with pytest.raises(InputError, match=r"carry no pressures, so those to come cannot either.*measure_pressure"):
        record(path, interval=4, resume=True)
    record(path, interval=4, with_pressure=False, resume=True)
    assert len(FrameStore.open(path).read()) == 10
    path = record(tmp_path / "with", interval=4)
    with pytest.raises(InputError, match=r"carry pressures: give the recorder an AtomisticBarometer"):
        record(path, interval=4, with_pressure=False, resume=True)


def test_another_system_than_the_recorded_one_is_noticed(recording):
    specification = liquids.specification()
    other = liquids.SETTINGS.model_copy(update={"cutoff": 0.9, "switch_distance": 0.5})
    with pytest.raises(InputError, match=r"frame 0 of .* was recorded with a potential energy of .*give the system"):
        measure_pressure(recording, specification.model_copy(update={"reference": other}), platform="CPU", threads=1)
    with pytest.raises(InputError, match="2 of 10 frames; a mean pressure needs at least 4"):
        measure_pressure(recording, specification, every=8)
    with pytest.raises(InputError, match="every is 0"):
        measure_pressure(recording, specification, every=0)
