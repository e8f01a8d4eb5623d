"""What can only be seen on a GPU: run them there with `pytest -m gpu`.

None of them has passed on a GPU yet. `test_warp_network.py` has the same kernels on the CPU.
"""

import importlib.util

import numpy as np
import openmm
import pytest
import torch

from openmm_cgml.engine import DeployedNetwork, create_ml_force
from openmm_cgml.engine.cuda_graphs import cuda_graphs_problem
from openmm_cgml.engine.pair_tables import tabulate_pairs
from openmm_cgml.engine.torchforce import tabulated_module
from openmm_cgml.engine.warp_network import WarpNetwork
from tests.engine.test_backends import _context
from tests.engine.test_invariances import BOX, _deployed, _positions, _rms
from tests.engine.test_warp_network import _apart, _repulsion

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
PLATFORMS = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
on_cuda_platform = pytest.mark.skipif(
    importlib.util.find_spec("openmmtorch") is None or "CUDA" not in PLATFORMS,
    reason="needs openmmtorch and OpenMM's CUDA platform",
)


def _on_gpu(*tensors):
    return [None if tensor is None else tensor.to(GPU) for tensor in tensors]


def _agree(found, exact, tolerance=1e-4):
    return float((found.cpu() - exact).abs().max()) < tolerance * _rms(exact)


class _Graph:
    """A captured call: copies positions and box in, gives copies of energy and forces."""

    def __init__(self, function, x, box):
        self.x, self.box = x.clone(), None if box is None else box.clone()
        self.stream, self.graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        with torch.cuda.stream(self.stream):
            for _ in range(5):
                function(self.x, self.box)
            self.stream.synchronize()
            with torch.cuda.graph(self.graph, stream=self.stream):
                self.energy, self.forces = function(self.x, self.box)

    def __call__(self, x, box):
        self.x.copy_(x)
        if box is not None:
            self.box.copy_(box)
        self.graph.replay()
        torch.cuda.synchronize()
        return self.energy.clone(), self.forces.clone()


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("settings", [{}, {"separate_readouts": True}, {"n_inter_blocks": 3, "activation": "silu"}])
def test_the_gpu_gives_what_the_network_gives(settings, dtype, periodic):
    deployed, x, box = _deployed(**settings), _positions().to(dtype), torch.tensor(BOX) if periodic else None
    energy, forces = WarpNetwork(deployed)(*_on_gpu(x, box))
    exact, exact_forces = deployed(x, box)
    assert energy.is_cuda and forces.is_cuda
    assert float(energy) == pytest.approx(float(exact), rel=1e-5)
    assert _agree(forces, exact_forces)


def test_replicas_and_the_pair_prior_on_the_gpu():
    one = _deployed(n_molecules=12)
    topology = one.topology.repeated(3)
    deployed = DeployedNetwork(one.network, topology, n_replicas=3, pair_table=tabulate_pairs([_repulsion(topology)]))
    x, box = torch.cat([_apart(seed) for seed in range(3)]), torch.tensor(BOX)
    energy, forces = WarpNetwork(deployed)(*_on_gpu(x, box))
    exact, exact_forces = deployed(x, box)
    assert float(energy) == pytest.approx(float(exact), rel=1e-5)
    assert _agree(forces, exact_forces)


def test_tf32_for_training_does_not_reach_the_engine():
    before = torch.get_float32_matmul_precision()
    deployed = _deployed(n_features=64, n_filters=64)
    try:
        torch.set_float32_matmul_precision("high")
        _, forces = WarpNetwork(deployed)(*_on_gpu(_positions(), torch.tensor(BOX)))
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
    assert _agree(forces, deployed(_positions(), torch.tensor(BOX))[1])


def test_repeated_calls_give_the_same_bits():
    x, box = _on_gpu(_positions(), torch.tensor(BOX))
    deployed = _deployed()
    assert torch.equal(WarpNetwork(deployed)(x, box)[1], WarpNetwork(deployed)(x, box)[1])


def test_many_beads_agree_with_the_cpu():
    from openmm_cgml.engine.cpu import TabulatedNetwork

    deployed, box = _deployed(1, 4096), 3.5 * np.eye(3) * 2
    x = torch.tensor(np.random.default_rng(0).random((4096, 3)) @ box)
    _, forces = WarpNetwork(deployed)(*_on_gpu(x, torch.tensor(box)))
    _, expected = TabulatedNetwork(deployed)(x.numpy(), box)
    assert _agree(forces, torch.tensor(expected))


def test_cuda_graphs_work_here():
    assert cuda_graphs_problem() is None


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("scripted", [False, True])
def test_a_graph_follows_beads_and_box(periodic, scripted):
    """Neighbors are searched for again inside the graph, where beads move and where the box changes."""
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX) if periodic else None
    function = tabulated_module(deployed) if scripted else WarpNetwork(deployed)
    graph, rng = _Graph(function, *_on_gpu(x, box)), np.random.default_rng(0)
    for step in range(20):
        x = x + torch.tensor(rng.normal(scale=0.02, size=x.shape))
        cell = None if box is None else box * (1.0 + 0.01 * (step // 5))
        energy, forces = graph(*_on_gpu(x, cell))
        exact, exact_forces = deployed(x, cell)
        assert float(energy) == pytest.approx(float(exact), rel=1e-5)
        assert _agree(forces, exact_forces)


def test_a_graph_without_room_gives_nan_and_never_a_number():
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    graph = _Graph(WarpNetwork(deployed), *_on_gpu(x, box))
    energy, forces = graph(*_on_gpu(0.3 * x, box))
    assert torch.isnan(energy) and torch.isnan(forces).all()
    energy, forces = graph(*_on_gpu(x, 0.5 * box))
    assert torch.isnan(energy) and torch.isnan(forces).all()
    energy, _ = graph(*_on_gpu(x, box))
    assert float(energy) == pytest.approx(float(deployed(x, box)[0]), rel=1e-5)


def test_calls_beside_a_graph_do_not_disturb_it():
    deployed, x, box = _deployed(), _positions(), torch.tensor(BOX)
    engine = WarpNetwork(deployed)
    graph = _Graph(engine, *_on_gpu(x, box))
    with torch.cuda.stream(graph.stream):
        engine(*_on_gpu(0.3 * x, box))  # needs more room, which must not take away the graph's
    torch.cuda.empty_cache()
    _, forces = graph(*_on_gpu(x, box))
    assert _agree(forces, deployed(x, box)[1])


def test_memory_does_not_grow_from_call_to_call():
    engine, (x, box) = WarpNetwork(_deployed()), _on_gpu(_positions(), torch.tensor(BOX))
    engine(x, box)
    before = torch.cuda.memory_allocated()
    for step in range(50):
        engine(x * (1.0 + 1e-4 * step), box)
    assert torch.cuda.memory_allocated() <= before + 65536


@on_cuda_platform
@pytest.mark.parametrize("precision", ["single", "mixed", "double"])
@pytest.mark.parametrize("graphs", ["true", "false"])
def test_torchforce_on_the_cuda_platform_agrees_with_the_cpu(graphs, precision):
    deployed, x = _deployed(dtype=torch.float32), _positions()
    force = create_ml_force(deployed, backend="TorchForce", periodic=True)
    force.setProperty("useCUDAGraphs", graphs)
    system = openmm.System()
    for mass in deployed.topology.masses:
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*[openmm.Vec3(*row) for row in BOX])
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("CUDA")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform, {"Precision": precision})
    reference = _context(
        create_ml_force(deployed, backend="PythonForce", periodic=True), deployed.topology.masses, "Reference", BOX
    )
    for scale in (1.0, 1.01):
        for each in (context, reference):
            each.setPeriodicBoxVectors(*[openmm.Vec3(*row) for row in scale * BOX])
            each.setPositions(x.numpy())
        states = [each.getState(energy=True, forces=True) for each in (context, reference)]
        energies = [state.getPotentialEnergy()._value for state in states]
        forces = [torch.tensor(state.getForces(asNumpy=True)._value) for state in states]
        assert energies[0] == pytest.approx(energies[1], rel=1e-5)
        assert _agree(forces[0], forces[1], 1e-3)


@on_cuda_platform
@pytest.mark.slow
@pytest.mark.parametrize("graphs", ["true", "false"])
def test_energy_is_conserved_on_the_cuda_platform(graphs):
    deployed, x = _deployed(dtype=torch.float32), _positions()
    force = create_ml_force(deployed, backend="TorchForce", periodic=True)
    force.setProperty("useCUDAGraphs", graphs)
    context = _context(force, deployed.topology.masses, "CUDA", BOX)
    context.setPositions(x.numpy())
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=50)
    context.setVelocitiesToTemperature(100.0, 1)

    def total():
        state = context.getState(energy=True)
        return (state.getPotentialEnergy() + state.getKineticEnergy())._value

    before = total()
    context.getIntegrator().step(2000)
    kinetic = 1.5 * 0.00831446 * 100.0 * deployed.n_beads
    assert abs(total() - before) < 0.02 * kinetic
