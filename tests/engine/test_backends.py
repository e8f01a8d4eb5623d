import copy
import gc
import importlib.util
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.engine import (
    BACKENDS,
    DeployedNetwork,
    backends,
    choose_backend,
    create_ml_force,
    describe_evaluation,
    operators,
)
from openmm_cgml.engine.backends import torchforce_problem
from openmm_cgml.engine.pythonforce import NetworkFunction
from openmm_cgml.errors import InputError, MissingDependencyError
from tests.engine.test_invariances import BOX, _deployed, _positions
from tests.fixtures import package_environment

WITH_TORCHFORCE = importlib.util.find_spec("openmmtorch") is not None


def _system(force, masses, box):
    system = openmm.System()
    for mass in masses:
        system.addParticle(mass)
    if box is not None:
        system.setDefaultPeriodicBoxVectors(*[openmm.Vec3(*row) for row in box])
    system.addForce(force)
    return system


def _context_of(system, platform):
    return openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName(platform))


def _context(force, masses, platform, box):
    return _context_of(_system(force, masses, box), platform)


def _evaluate(force, masses, positions, platform, box=BOX):
    context = _context(force, masses, platform, box)
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True)
    return state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("periodic", [True, False])
def test_openmm_gives_exactly_what_the_network_gives(backend, platform, periodic):
    if backend == "TorchForce" and not WITH_TORCHFORCE:
        pytest.skip("openmmtorch is not installed")
    deployed, x = _deployed(dtype=torch.float32), _positions()
    energy, forces = deployed(x, torch.tensor(BOX) if periodic else None)
    force = create_ml_force(deployed, backend=backend, periodic=periodic, exact=True)
    found, found_forces = _evaluate(force, deployed.topology.masses, x.numpy(), platform, BOX if periodic else None)
    assert found == float(energy)
    np.testing.assert_array_equal(found_forces, forces.numpy())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("platform", ["Reference", "CPU"])
@pytest.mark.parametrize("periodic", [True, False])
def test_tables_are_the_default_and_agree(backend, platform, periodic):
    if backend == "TorchForce" and not WITH_TORCHFORCE:
        pytest.skip("openmmtorch is not installed")
    deployed, x = _deployed(dtype=torch.float32), _positions()
    energy, forces = deployed(x, torch.tensor(BOX) if periodic else None)
    force = create_ml_force(deployed, backend=backend, periodic=periodic)
    found, found_forces = _evaluate(force, deployed.topology.masses, x.numpy(), platform, BOX if periodic else None)
    assert found == pytest.approx(float(energy), rel=1e-5)
    assert 0 < np.abs(found_forces - forces.numpy()).max() < 1e-3 * float((forces**2).mean().sqrt())


@pytest.mark.skipif(not WITH_TORCHFORCE, reason="openmmtorch is not installed")
def test_both_backends_take_the_same_steps():
    deployed, x = _deployed(dtype=torch.float32), _positions()
    found = []
    for backend in BACKENDS:
        force = create_ml_force(deployed, backend=backend, periodic=True)
        context = _context(force, deployed.topology.masses, "Reference", BOX)
        context.setPositions(x.numpy())
        context.getIntegrator().step(20)
        found.append(context.getState(positions=True).getPositions(asNumpy=True)._value)
    np.testing.assert_array_equal(*found)
    assert np.abs(found[0] - x.numpy()).max() > 1e-4


@pytest.mark.parametrize("backend", BACKENDS)
def test_contexts_of_one_force_can_run_in_two_threads(backend):
    if backend == "TorchForce" and not WITH_TORCHFORCE:
        pytest.skip("openmmtorch is not installed")
    deployed = _deployed(dtype=torch.float32)
    starts = [_positions(seed=seed).numpy() for seed in range(2)]

    def force():
        return create_ml_force(deployed, backend=backend, periodic=True)

    def run(context, start, steps=15):
        context.setPositions(start)
        context.getIntegrator().step(steps)
        return context.getState(positions=True).getPositions(asNumpy=True)._value

    alone = [run(_context(force(), deployed.topology.masses, "Reference", BOX), start) for start in starts]
    shared = _system(force(), deployed.topology.masses, BOX)
    contexts = [_context_of(shared, "Reference") for _ in starts]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(run, contexts, starts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    assert np.abs(together[0] - starts[0]).max() > 1e-5


@pytest.mark.skipif(not WITH_TORCHFORCE, reason="openmmtorch is not installed")
def test_a_context_builds_one_engine_and_gives_it_back():
    deployed, x = _deployed(dtype=torch.float32), _positions()
    force = create_ml_force(deployed, backend="TorchForce", periodic=True)
    gc.collect()
    before = len(operators._engines)
    context = _context(force, deployed.topology.masses, "Reference", BOX)
    del force
    context.setPositions(x.numpy())
    context.getIntegrator().step(5)
    assert len(operators._engines) == before + 1
    del context
    another = create_ml_force(deployed, backend="TorchForce", periodic=True)
    _evaluate(another, deployed.topology.masses, x.numpy(), "Reference")
    gc.collect()
    assert len(operators._engines) <= before + 1  # TorchScript keeps the last graph that ran


@pytest.mark.slow
@pytest.mark.skipif(not WITH_TORCHFORCE, reason="openmmtorch is not installed")
def test_a_torchforce_from_xml_builds_an_engine_of_its_own_or_says_what_is_missing(tmp_path):
    if openmm.version.short_version >= "8.6":
        pytest.skip("reading a TorchForce ends the process on these versions")
    deployed, x = _deployed(dtype=torch.float32), _positions()
    force = create_ml_force(deployed, backend="TorchForce", periodic=True)
    (tmp_path / "force.xml").write_text(openmm.XmlSerializer.serialize(force))
    np.save(tmp_path / "x.npy", x.numpy())
    code = (
        "import sys, torch, numpy as np, openmm, openmmtorch\n"
        "if sys.argv[3] == 'with': import openmm_cgml.engine.operators\n"
        "from openmm import Vec3\n"
        "force = openmm.XmlSerializer.deserialize(open(sys.argv[1]).read())\n"
        "system = openmm.System()\n"
        "for _ in range(120): system.addParticle(1.0)\n"
        f"system.setDefaultPeriodicBoxVectors(*[Vec3(*row) for row in {BOX.tolist()}])\n"
        "system.addForce(force)\n"
        "platform = openmm.Platform.getPlatformByName('Reference')\n"
        "context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)\n"
        "context.setPositions(np.load(sys.argv[2]))\n"
        "print(repr(context.getState(energy=True).getPotentialEnergy()._value))"
    )

    def run(how):
        arguments = [str(tmp_path / name) for name in ("force.xml", "x.npy")] + [how]
        return subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=package_environment(),
        )

    done = run("with")
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) == pytest.approx(float(deployed(x, torch.tensor(BOX))[0]), rel=1e-5)
    refused = run("without")
    assert refused.returncode != 0
    assert "openmm_cgml::evaluate" in refused.stderr


@pytest.mark.skipif(not WITH_TORCHFORCE, reason="openmmtorch is not installed")
def test_cuda_graphs_are_asked_for_only_where_a_trial_showed_that_they_work(monkeypatch):
    from openmm_cgml.engine import torchforce

    deployed = _deployed(dtype=torch.float32)
    assert dict(create_ml_force(deployed, backend="TorchForce", periodic=True).getProperties())["useCUDAGraphs"] == (
        "true" if torch.cuda.is_available() else "false"
    )
    monkeypatch.setattr(torchforce, "cuda_graphs_problem", lambda: None)
    properties = dict(create_ml_force(deployed, backend="TorchForce", periodic=True).getProperties())
    assert properties == {"useCUDAGraphs": "true", "CUDAGraphWarmupSteps": "5"}
    exact = create_ml_force(deployed, backend="TorchForce", periodic=True, exact=True)
    assert dict(exact.getProperties())["useCUDAGraphs"] == "false"


def test_a_network_without_tables_is_evaluated_itself(monkeypatch):
    deployed, x = _deployed(dtype=torch.float32), _positions()
    assert "tables" in describe_evaluation(deployed.network)
    assert "as asked for" in describe_evaluation(deployed.network, exact=True)
    monkeypatch.setattr(backends, "is_tabulable", lambda network: False)
    assert "a SchNet has no tables" in describe_evaluation(deployed.network)
    for backend in BACKENDS if WITH_TORCHFORCE else ("PythonForce",):
        force = create_ml_force(deployed, backend=backend, periodic=True)
        found, _ = _evaluate(force, deployed.topology.masses, x.numpy(), "CPU")
        assert found == float(deployed(x, torch.tensor(BOX))[0])


def test_a_copied_system_still_works():
    if WITH_TORCHFORCE and openmm.version.short_version >= "8.6":
        pytest.skip("copying a TorchForce ends the process on these versions")
    deployed, x = _deployed(dtype=torch.float32), _positions()
    for backend in BACKENDS if WITH_TORCHFORCE else ("PythonForce",):
        force = copy.deepcopy(create_ml_force(deployed, backend=backend, periodic=True))
        gc.collect()
        expected = _evaluate(
            create_ml_force(deployed, backend=backend, periodic=True), deployed.topology.masses, x.numpy(), "CPU"
        )
        found = _evaluate(force, deployed.topology.masses, x.numpy(), "CPU")
        assert found[0] == expected[0]


def test_the_function_works_in_another_process(tmp_path):
    deployed, x = _deployed(dtype=torch.float32), _positions()
    (tmp_path / "function").write_bytes(pickle.dumps(NetworkFunction(deployed, periodic=True, exact=True)))
    code = (
        "import pickle, sys, torch, numpy as np\n"
        "function = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "x = torch.tensor(np.load(sys.argv[2])); box = torch.tensor(np.load(sys.argv[3]))\n"
        "print(repr(float(function.deployed(x, box)[0])))"
    )
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "box.npy", BOX)
    arguments = [str(tmp_path / name) for name in ("function", "x.npy", "box.npy")]
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert float(output.stdout) == pytest.approx(float(deployed(x, torch.tensor(BOX))[0]), rel=1e-6)


def test_auto_takes_what_works_and_says_why():
    choice = choose_backend("auto")
    if WITH_TORCHFORCE and torchforce_problem() is None:
        assert choice.name == "TorchForce" and "probe" in choice.reason
    else:
        assert choice.name == "PythonForce" and "TorchForce does not work here" in choice.reason
    assert choose_backend("PythonForce").reason == "asked for"


def test_unknown_or_missing_backends_are_refused():
    with pytest.raises(InputError, match="one of auto, TorchForce, PythonForce"):
        choose_backend("Torch")
    if not WITH_TORCHFORCE:
        with pytest.raises(MissingDependencyError, match=r"openmm-cgml\[torchforce\]"):
            choose_backend("TorchForce")


def test_nan_positions_stop_the_run_on_every_platform(caplog):
    deployed, x = _deployed(dtype=torch.float32), _positions().numpy().copy()
    x[3, 0] = np.nan
    for exact in (True, False):
        force = create_ml_force(deployed, backend="PythonForce", periodic=True, exact=exact)
        with pytest.raises(openmm.OpenMMException, match=r"finite|nan|NaN"):
            _evaluate(force, deployed.topology.masses, x, "Reference")


def test_a_topology_with_more_bead_types_than_the_network_is_refused():
    from openmm_cgml.topology import CGTopology, ResidueTemplate

    two = ResidueTemplate(name="R", bead_names=("A", "B"), bead_type_names=("A", "B"), masses=(1.0, 1.0))
    with pytest.raises(InputError, match="2 bead types, the network 1"):
        DeployedNetwork(_deployed().network, CGTopology.from_residues([(two, 1)]))
