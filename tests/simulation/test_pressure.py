"""Constant pressure and measured pressures, against the ideal gas, OpenMM's own virial and a plain OpenMM script."""

import numpy as np
import openmm
import pytest

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.errors import InputError
from openmm_cgml.simulation import Sampler, add_barostat
from openmm_cgml.simulation.sampler import density_of
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR
from tests.simulation.conftest import make_config, make_liquid


def ideal_gas(n=50, edge=5.0):
    template = ResidueTemplate(name="BNZ", bead_names=("A",), bead_type_names=("A",), masses=(78.0,))
    topology = CGTopology.from_residues([(template, n)])
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * edge))
    bonds = openmm.HarmonicBondForce()  # none, but it makes the System periodic
    bonds.setUsesPeriodicBoundaryConditions(True)
    system.addForce(bonds)
    for mass in topology.masses:
        system.addParticle(mass)
    return system, topology, np.random.default_rng(0).uniform(0, edge, (n, 3)), np.eye(3) * edge


def settings(**changes):
    return make_config(**{"time_step": "10 fs", "frame_interval": "0.1 ps", "duration": "400 ps", **changes})


@pytest.mark.physics
@pytest.mark.parametrize("pressure", [20.0, 40.0])
def test_an_ideal_gas_has_the_volume_of_its_pressure(pressure):
    system, topology, positions, box = ideal_gas()
    config = settings(pressure=pressure, barostat_interval=1, seed=7)
    add_barostat(system, config)
    sampler = Sampler.create(system, topology, positions, box, config)
    volumes = np.array([np.linalg.det(snapshot.box) for snapshot in sampler.frames()])[400:]
    # <V> = (N + 1) kT / P of volume moves in V; the other pressure is off by a factor of two.
    expected = 51 * BOLTZMANN * 300 * KJ_PER_MOL_NM3_IN_BAR / pressure
    assert volumes.mean() == pytest.approx(expected, rel=0.1)
    assert volumes.mean() != pytest.approx(expected * 2, rel=0.4)


@pytest.mark.physics
def test_the_measured_pressure_of_an_ideal_gas_is_that_of_its_temperature_and_volume():
    sampler = Sampler.create(*ideal_gas(), settings())
    (snapshot,) = sampler.frames(1, measure_pressure=False)
    measured = sampler.measure_pressure(snapshot)
    expected = 50 * BOLTZMANN * snapshot.temperature / 125 * KJ_PER_MOL_NM3_IN_BAR
    assert (snapshot.pressure, measured.pressure) == (None, pytest.approx(expected))


@pytest.mark.physics
@pytest.mark.parametrize("bonded", [False, True])
def test_the_measured_pressure_is_that_of_openmm(bonded):
    liquid = make_liquid(5, 0.42, bonded=False, smooth=True) if not bonded else make_liquid(4, 0.42, bonded=True)
    idle = openmm.MonteCarloBarostat(1.0, 300.0, 0)
    liquid.system.addForce(idle)
    sampler = Sampler.create(liquid.system, liquid.topology, liquid.positions, liquid.box, make_config())
    sampler.step(50)
    if bonded:  # molecules turn and vibrate: compare the virial alone
        sampler.context.setVelocities(np.zeros((64, 3)))
    measured = sampler.measure_pressure(sampler.take_snapshot()).pressure
    assert measured == pytest.approx(idle.computeCurrentPressure(sampler.context)._value, rel=1e-4)
    assert measured != pytest.approx(1.01 * idle.computeCurrentPressure(sampler.context)._value, rel=1e-3)


def test_measuring_leaves_the_simulation_as_it_was(liquid, config):
    ends = []
    for measure in (False, True):
        sampler = Sampler.create(liquid.system, liquid.topology, liquid.positions, liquid.box, config)
        pressures = [snapshot.pressure for snapshot in sampler.frames(16, measure_pressure=measure)]
        assert [pressure is not None for pressure in pressures] == [measure and n % 8 == 7 for n in range(16)]
        ends.append(sampler.take_snapshot().positions)
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("coupling", ["isotropic", "semi-isotropic", "anisotropic", "z"])
def test_a_coupling_changes_the_edges_it_names(coupling):
    system, topology, positions, box = ideal_gas()
    config = settings(pressure=40.0, pressure_coupling=coupling, barostat_interval=1)
    add_barostat(system, config)
    sampler = Sampler.create(system, topology, positions, box, config)
    sampler.step(300)
    x, y, z = np.diag(sampler.take_snapshot().box)
    assert (np.isclose(x, y), np.isclose(y, z)) == {
        "isotropic": (True, True),
        "semi-isotropic": (True, False),
        "anisotropic": (False, False),
        "z": (True, False),
    }[coupling]
    assert (x == 5.0) == (coupling == "z")


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"ensemble": "NVE"}, "nothing conserves its energy"), ({"replicas": 2}, "replicas share one box")],
)
def test_what_does_not_go_with_a_pressure_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        settings(pressure="1 bar", **changes)


def test_a_pressure_without_a_barostat_or_with_two_or_without_a_box_is_refused(liquid):
    config = make_config(pressure="1 bar")
    with pytest.raises(InputError, match=r"no barostat: add it with simulation.add_barostat"):
        Sampler.create(liquid.system, liquid.topology, liquid.positions, liquid.box, config)
    add_barostat(liquid.system, config)
    with pytest.raises(InputError, match=r"keep one of them"):
        add_barostat(liquid.system, config)
    with pytest.raises(InputError, match=r"needs a periodic box"):
        add_barostat(openmm.System(), config)


def test_beads_are_scaled_one_by_one_from_openmm_8_6_on_and_else_refused(liquid):
    config = make_config(pressure="1 bar", scaling="beads")
    if hasattr(openmm.MonteCarloBarostat, "setScaleMoleculesAsRigid"):
        add_barostat(liquid.system, config)
        assert not liquid.system.getForce(liquid.system.getNumForces() - 1).getScaleMoleculesAsRigid()
    else:
        with pytest.raises(InputError, match=r"needs OpenMM 8.6"):
            add_barostat(liquid.system, config)


def argon(pressure, n_per_edge=5):
    """A Lennard-Jones fluid of argon above its critical temperature, with the correction for what the cutoff leaves."""
    n, edge = n_per_edge**3, 2.3
    template = ResidueTemplate(name="AR", bead_names=("A",), bead_type_names=("A",), masses=(39.948,))
    topology = CGTopology.from_residues([(template, n)])
    system, force = openmm.System(), openmm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * edge))
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(0.9)
    for mass in topology.masses:
        system.addParticle(mass)
        force.addParticle(0, 0.3405, 0.996)
    system.addForce(force)
    grid = np.stack(np.meshgrid(*[np.arange(n_per_edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    config = settings(
        temperature=300.0,
        pressure=pressure,
        duration="150 ps",
        barostat_interval=10,
        platform="CPU",
        threads=1,
        seed=11,
    )
    return system, topology, grid * edge / n_per_edge, np.eye(3) * edge, config


def mean_and_error(values):
    average = compute_average(np.asarray(values)[len(values) // 4 :])
    return average.mean, average.standard_error


@pytest.mark.slow
@pytest.mark.physics
def test_a_lennard_jones_fluid_has_the_density_of_a_plain_openmm_script():
    found = {}
    for pressure in (400.0, 800.0):
        *start, config = argon(pressure)
        add_barostat(start[0], config)
        snapshots = list(Sampler.create(*start, config).frames(measure_pressure=True))
        found[pressure] = mean_and_error([snapshot.density for snapshot in snapshots])
        measured = mean_and_error([snapshot.pressure for snapshot in snapshots if snapshot.pressure is not None])
        assert abs(measured[0] - pressure) < 4 * measured[1] < 100
    system, topology, positions, *_ = argon(400.0)
    barostat, integrator = openmm.MonteCarloBarostat(400.0, 300.0, 10), openmm.LangevinMiddleIntegrator(300, 1, 0.01)
    for part in (barostat, integrator):
        part.setRandomNumberSeed(4)
    system.addForce(barostat)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    context.setPositions(positions)
    context.setVelocitiesToTemperature(300, 2)
    densities = []
    for _ in range(1500):
        integrator.step(10)
        densities.append(density_of(topology, context.getState().getPeriodicBoxVectors(asNumpy=True)._value))
    plain = mean_and_error(densities)
    difference, error = found[400.0][0] - plain[0], np.hypot(found[400.0][1], plain[1])
    assert abs(difference) < 4 * error < 0.08 * plain[0]
    assert found[800.0][0] - plain[0] > 4 * error  # another pressure is told apart
