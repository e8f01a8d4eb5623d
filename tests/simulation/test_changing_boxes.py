"""Barostats in a user's System, beads that do not move, and resuming: the box belongs to the state."""

import mdtraj
import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.runs import RunFolder, SimulationResult
from openmm_cgml.runs.checkpoint import find_checkpoint
from openmm_cgml.runs.log import DENSITY, read_log
from openmm_cgml.simulation import UnstableSimulationError, simulate_system
from openmm_cgml.simulation.sampler import Sampler
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3
from tests.simulation.conftest import make_config, make_liquid
from tests.simulation.test_run import interrupt_at, run

MEMBRANE = openmm.MonteCarloMembraneBarostat


def barostat(kind="isotropic", pressure=1.0, temperature=300.0):
    made = {
        "isotropic": lambda: openmm.MonteCarloBarostat(pressure, temperature, 2),
        "anisotropic": lambda: openmm.MonteCarloAnisotropicBarostat([pressure] * 3, temperature, False, True, True, 2),
        "membrane": lambda: MEMBRANE(pressure, 0.0, temperature, MEMBRANE.XYIsotropic, MEMBRANE.ZFree, 2),
        "flexible": lambda: openmm.MonteCarloFlexibleBarostat(pressure, temperature, 2),
    }[kind]()
    made.setRandomNumberSeed(5)
    return made


@pytest.mark.parametrize("kind", ["isotropic", "anisotropic", "membrane", "flexible"])
def test_every_file_holds_the_box_of_its_moment(config, tmp_path, kind):
    liquid = make_liquid(5, 0.42, smooth=False)
    liquid.system.addForce(barostat(kind))
    run(liquid, tmp_path / "run", config)
    folder = RunFolder(tmp_path / "run")
    frames, log = folder.open_frames().read(), read_log(folder.log)
    volumes = np.linalg.det(frames.box)
    assert np.ptp(volumes) > 0.01 * volumes.mean()
    assert (np.ptp(frames.box[:, 0, 0]) == 0) == (kind == "anisotropic")
    masses = liquid.topology.masses.sum() * DALTON_PER_NM3_IN_G_PER_CM3
    np.testing.assert_allclose(log[DENSITY], masses / volumes, atol=1e-6)
    checkpoint, _ = find_checkpoint(folder.checkpoints)
    np.testing.assert_allclose(checkpoint.box, frames.box[-1], rtol=1e-6)
    trajectory = mdtraj.load_xtc(str(folder.xtc), top=mdtraj.Topology.from_openmm(liquid.topology.to_openmm()))
    np.testing.assert_allclose(trajectory.unitcell_vectors, frames.box, atol=1e-4)
    final = openmm.app.PDBxFile(str(folder.final)).topology.getPeriodicBoxVectors()
    np.testing.assert_allclose(np.array(final._value), frames.box[-1], atol=1e-3)


def test_the_box_recorded_is_that_of_the_system_stepped_by_openmm_alone(tmp_path):
    liquid = make_liquid(5, 0.42, smooth=False)
    liquid.system.addForce(barostat())
    config = make_config(duration="0.2 ps")
    run(liquid, tmp_path / "run", config)
    integrator = openmm.LangevinMiddleIntegrator(300, 1, 0.005)
    integrator.setRandomNumberSeed(config.seed + 1)
    context = openmm.Context(liquid.system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(liquid.positions)
    context.setVelocitiesToTemperature(300, config.seed + 1)
    integrator.step(40)
    alone = context.getState().getPeriodicBoxVectors(asNumpy=True)._value
    last = RunFolder(tmp_path / "run").open_frames().read().box[-1]
    np.testing.assert_allclose(last, alone, rtol=1e-6)
    assert abs(alone[0, 0] - liquid.box[0, 0]) > 0.01


def test_an_interrupted_run_with_a_barostat_goes_on_in_its_own_box(config, tmp_path, monkeypatch):
    """Continuous, not bit-identical: OpenMM's checkpoint leaves out how far a barostat has tuned its steps."""
    liquid = make_liquid(5, 0.42, smooth=False)
    liquid.system.addForce(barostat())
    run(liquid, tmp_path / "whole", config)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 37)
        with pytest.raises(KeyboardInterrupt):
            run(liquid, tmp_path / "parts", config)
    interrupted = RunFolder(tmp_path / "parts").open_frames().read().box
    run(liquid, tmp_path / "parts", config, resume=True)
    whole, parts = (RunFolder(tmp_path / name).open_frames().read().box for name in ("whole", "parts"))
    assert len(parts) == len(whole) > len(interrupted)
    np.testing.assert_array_equal(parts[: len(interrupted)], whole[: len(interrupted)])
    steps = np.abs(np.diff(np.linalg.det(parts)))
    assert steps[len(interrupted) - 1] < 3 * steps.max()
    assert abs(np.linalg.det(parts[len(interrupted)]) - np.linalg.det(liquid.box)) > steps[len(interrupted) - 1]


def test_resuming_with_another_box_is_refused(liquid, config, tmp_path):
    run(liquid, tmp_path / "run", make_config(duration="0.1 ps"))
    with pytest.raises(InputError, match=r"a run goes on in its own box"):
        simulate_system(
            liquid.system,
            liquid.topology,
            liquid.positions,
            1.3 * liquid.box,
            output=tmp_path / "run",
            config=config,
            resume=True,
            progress=False,
        )


@pytest.mark.parametrize(
    ("changes", "force", "message"),
    [
        ({"ensemble": "NVE"}, barostat(), "nothing conserves its energy"),
        ({}, barostat(temperature=310.0), "is for 310 K and the thermostat for 300 K"),
        ({"replicas": 2}, barostat("membrane"), "2 replicas share one box"),
    ],
)
def test_what_does_not_go_with_a_barostat_is_refused_by_name(tmp_path, changes, force, message):
    liquid = make_liquid()
    alone = liquid.system
    if changes.get("replicas"):
        double = openmm.System()
        double.setDefaultPeriodicBoxVectors(*liquid.box)
        for _ in range(2 * alone.getNumParticles()):
            double.addParticle(78.0)
        double.addForce(openmm.XmlSerializer.clone(alone.getForce(0)))
        for _ in range(alone.getNumParticles()):
            double.getForce(0).addParticle()
        liquid = type(liquid)(double, liquid.topology, liquid.positions, liquid.box)
    liquid.system.addForce(force)
    with pytest.raises(InputError, match=message):
        run(liquid, tmp_path / "run", make_config(**changes), system_of_one=alone)
    assert not (tmp_path / "run").exists()


def test_two_barostats_are_refused_and_one_that_never_acts_is_none(liquid, config, tmp_path):
    idle = openmm.MonteCarloBarostat(1.0, 250.0, 0)
    liquid.system.addForce(idle)
    assert run(liquid, tmp_path / "run", config).status == "complete"
    for _ in range(2):
        liquid.system.addForce(barostat())
    with pytest.raises(InputError, match=r"has 2 barostats"):
        run(liquid, tmp_path / "more", config)


def test_a_box_that_shrinks_below_two_cutoffs_ends_the_run_by_name(tmp_path):
    liquid = make_liquid(4, 0.6, smooth=False)
    liquid.system.getForce(0).setCutoffDistance(1.15)
    liquid.system.addForce(barostat(pressure=50000.0))
    with pytest.raises(UnstableSimulationError, match=r"box has become too narrow: .*less than twice"):
        run(liquid, tmp_path / "run", make_config(duration="5 ps"))
    assert SimulationResult.read(tmp_path / "run").status == "unstable"


def test_a_frame_narrower_than_a_cutoff_that_openmm_does_not_know_is_unstable(liquid, config):
    sampler = Sampler.create(
        liquid.system, liquid.topology, liquid.positions, liquid.box, config, cutoffs={"network": 0.99}
    )
    sampler.check(sampler.take_snapshot())
    sampler.set_state(liquid.positions, box=0.98 * liquid.box)
    with pytest.raises(UnstableSimulationError, match=r"cutoff of the network of 0.99 nm"):
        sampler.check(sampler.take_snapshot())


# --- beads of mass 0 -------------------------------------------------------------------------------------------------


def freeze(liquid, beads):
    for bead in beads:
        liquid.system.setParticleMass(bead, 0.0)
    return liquid


@pytest.mark.parametrize("ensemble", ["NVT", "NVE"])
def test_beads_of_mass_zero_stay_and_the_others_have_the_temperature(dimers, tmp_path, ensemble):
    frozen = np.arange(0, 20)
    result = run(freeze(dimers, frozen), tmp_path / "run", make_config(ensemble=ensemble, duration="1 ps"))
    folder = RunFolder(tmp_path / "run")
    moved = np.abs(folder.open_frames().read().positions[-1] - dimers.positions).max(axis=1)
    assert moved[frozen].max() < 1e-6 < moved[20:].min()
    assert folder.read_record().degrees_of_freedom == 3 * 44
    assert result.mean_pressure is None
    assert 150 < result.mean_temperature < 450


def test_replicas_with_frozen_beads_are_split(liquid, config):
    alone = freeze(liquid, range(10)).system
    double = openmm.System()
    double.setDefaultPeriodicBoxVectors(*liquid.box)
    for _ in range(2):
        for bead in range(alone.getNumParticles()):
            double.addParticle(alone.getParticleMass(bead))
    for name in ("NVE", "NVT"):
        empty = openmm.System()
        empty.setDefaultPeriodicBoxVectors(*liquid.box)
        for bead in range(alone.getNumParticles()):
            empty.addParticle(alone.getParticleMass(bead))
        settings = make_config(replicas=2, ensemble=name)
        sampler = Sampler.create(double, liquid.topology, liquid.positions, None, settings, system_of_one=empty)
        (snapshot,) = sampler.frames(1)
        assert all(np.isfinite(each.temperature) for each in snapshot.each)


def test_a_barostat_does_not_move_frozen_beads_without_a_word(liquid, config, tmp_path):
    freeze(liquid, [3]).system.addForce(barostat())
    with pytest.raises(InputError, match=r"would move the 1 beads of mass 0"):
        run(liquid, tmp_path / "run", config)
