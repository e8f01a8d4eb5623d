import importlib.util
import json

import numpy as np
import openmm
import pytest
from openmm import unit

from openmm_cgml.engine import BACKENDS
from openmm_cgml.errors import InputError
from openmm_cgml.simulation import (
    SimulationConfig,
    SimulationResult,
    create_multiple_time_step_integrator,
    simulate,
    simulate_system,
)
from openmm_cgml.simulation.integrator import find_force_groups, share_group_of_priors
from tests.fixtures import benzene_box, tiny_force_field
from tests.simulation.conftest import make_liquid
from tests.simulation.test_run import assert_identical, changed, interrupt_at, read_all


class Trap:
    """A soft force of the network's name that counts its calls."""

    def __init__(self, stiffness=20.0):
        self.calls, self.stiffness = 0, stiffness

    def __call__(self, state):
        self.calls += 1
        x = state.getPositions(asNumpy=True)._value
        return 0.5 * self.stiffness * float((x**2).sum()), -self.stiffness * x


def trapped(function=None, group=2):
    """Bonded dimers in a trap that stands for the network."""
    dimers = make_liquid(bonded=True)
    for number, force in enumerate(dimers.system.getForces()):
        force.setForceGroup(number + 3)
    force = openmm.PythonForce(function or Trap())
    force.setName("network")
    force.setForceGroup(group)
    force.setUsesPeriodicBoundaryConditions(True)
    dimers.system.addForce(force)
    return dimers


def context_of(dimers, integrator):
    context = openmm.Context(dimers.system, integrator, openmm.Platform.getPlatform("Reference"))
    context.setPositions(dimers.positions)
    context.setVelocitiesToTemperature(300.0, 1)
    return context


def energy_of(context):
    state = context.getState(energy=True)
    return (state.getPotentialEnergy() + state.getKineticEnergy())._value


def test_the_network_is_told_from_the_native_forces_by_its_name():
    dimers = trapped()
    dimers.system.addForce(openmm.CMMotionRemover())
    assert find_force_groups(dimers.system) == ((3, 4), 2)
    share_group_of_priors(dimers.system)
    assert find_force_groups(dimers.system) == ((3,), 2)


@pytest.mark.backend
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_force_field_runs_with_its_network_evaluated_less_often(tmp_path, backend):
    if backend == "TorchForce" and importlib.util.find_spec("openmmtorch") is None:
        pytest.skip("openmmtorch is not installed")
    topology, positions, box = benzene_box(3, 60)
    config = SimulationConfig(
        temperature=300.0,
        duration=0.04,
        time_step=0.002,
        frame_interval=0.008,
        network_interval=4,
        ml_backend=backend,
        platform="CPU",
        threads=1,
    )
    force_field = tiny_force_field(3)
    options = {"output": tmp_path / "run", "config": config, "progress": False}
    assert simulate(force_field, topology, positions, box, **options).steps == 20
    many = {**options, "output": tmp_path / "many", "config": changed(config, replicas=2)}
    assert simulate(force_field, topology, positions, box, **many).n_replicas == 2
    far = {
        **options,
        "output": tmp_path / "far",
        "config": changed(config, replicas=2, network_interval=20, frame_interval=0.04),
    }
    with pytest.raises(
        InputError, match=r"too long for the stiffest term .*which the engine evaluates with the network"
    ):
        simulate(force_field, topology, positions, box, **far)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda system: system.getForce(2).setName("other"),
            "no force called 'network', only HarmonicBondForce, repul",
        ),
        (lambda system: [system.removeForce(0) for _ in range(2)], "no native forces"),
        (lambda system: system.getForce(1).setForceGroup(2), r"force groups \[2\] and repulsion with it"),
    ],
)
def test_a_system_without_two_time_scales_is_refused(change, message):
    dimers = trapped()
    change(dimers.system)
    with pytest.raises(InputError, match=message):
        create_multiple_time_step_integrator(dimers.system, time_step=0.004, network_interval=4)


@pytest.mark.parametrize("interval", [0, 1.5, True])
def test_an_interval_is_a_positive_integer(interval):
    with pytest.raises(InputError, match="positive integer"):
        create_multiple_time_step_integrator(trapped().system, time_step=0.004, network_interval=interval)


def test_the_network_is_called_once_per_interval_and_time_goes_on_by_all_of_it():
    trap = Trap()
    dimers = trapped(trap)
    integrator = create_multiple_time_step_integrator(
        dimers.system,
        time_step=4 * unit.femtosecond,
        network_interval=5,
        temperature=300 * unit.kelvin,
        friction=1 / unit.picosecond,
    )
    context = context_of(dimers, integrator)
    integrator.step(1)
    before = trap.calls
    integrator.step(20)
    assert trap.calls - before == 20
    assert context.getTime()._value == pytest.approx(21 * 0.020)


@pytest.mark.physics
def test_energy_is_conserved_at_an_interval_at_which_one_step_for_all_does_not():
    steps, interval = 400, 6

    def spread(integrator, n):
        context = context_of(trapped(), integrator)
        energies = []
        for _ in range(n):
            integrator.step(5)
            energies.append(energy_of(context))
        return np.std(energies)

    system = trapped().system
    short = spread(openmm.VerletIntegrator(0.004), steps // 5)
    several = spread(
        create_multiple_time_step_integrator(system, time_step=0.004, network_interval=interval, temperature=None),
        steps // 5 // interval,
    )
    long = spread(openmm.VerletIntegrator(0.004 * interval), steps // 5 // interval)
    assert several < 3 * short
    assert long > 5 * several


def run(dimers, output, config, **options):
    return simulate_system(
        dimers.system,
        dimers.topology,
        dimers.positions,
        dimers.box,
        output=output,
        config=config,
        progress=False,
        **options,
    )


@pytest.mark.parametrize("ensemble", ["NVT", "NVE"])
def test_a_run_counts_steps_of_the_priors_and_resumes_bit_identically(config, tmp_path, monkeypatch, ensemble):
    slow = changed(config, network_interval=4, frame_interval=0.04, time_step=0.005, ensemble=ensemble)
    result = run(trapped(), tmp_path / "whole", slow)
    assert (result.steps, result.n_frames, result.time) == (80, 10, pytest.approx(0.4))
    frames, log, *_ = read_all(tmp_path / "whole")
    np.testing.assert_allclose(frames.times, 0.04 * np.arange(1, 11))
    assert [int(line.split(",")[0]) for line in log[1:]] == list(range(8, 81, 8))
    with monkeypatch.context() as patch:
        interrupt_at(patch, 20)
        with pytest.raises(KeyboardInterrupt):
            run(trapped(), tmp_path / "parts", slow)
    assert SimulationResult.read(tmp_path / "parts").steps < 80
    run(trapped(), tmp_path / "parts", slow, resume=True)
    assert_identical(tmp_path / "whole", tmp_path / "parts")
    record = json.loads((tmp_path / "parts" / "simulation.json").read_text())
    assert [segment["mode"] for segment in record["segments"]] == ["start", "bit-identical"]
    other = tmp_path / "other"
    run(trapped(), other, changed(slow, network_interval=1))
    with pytest.raises(AssertionError):
        assert_identical(tmp_path / "whole", other)


def test_frames_come_at_whole_intervals(config):
    odd = changed(config, network_interval=3, frame_interval=0.025, time_step=0.005)
    assert (odd.steps_per_frame, odd.n_steps % 3, odd.steps_per_checkpoint % 3) == (6, 0, 0)
    with pytest.raises(InputError, match=r"less than 8 time steps of 0\.005 ps"):
        changed(config, network_interval=8, frame_interval=0.025, time_step=0.005)
