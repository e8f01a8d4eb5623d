from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import speed_training
from benchmarks.speed_systems import BENZENE, NetworkSize, Workload
from benchmarks.speed_training import Frames, compare_losses
from openmm_cgml.training import TrainingConfig

SIZE = NetworkSize(features=6, filters=5, blocks=2, gaussians=8, cutoff=0.8)


def _reference():
    """A network with SchNetPack's layers and names."""
    blocks = [
        SimpleNamespace(
            in2f=nn.Linear(6, 5, bias=False),
            f2out=[nn.Linear(5, 6), nn.Linear(6, 6)],
            filter_network=[nn.Linear(8, 5), nn.Linear(5, 5)],
        )
        for _ in range(2)
    ]
    with torch.no_grad():
        last = nn.Linear(3, 1)
        last.weight.mul_(1000.0)
    readout = SimpleNamespace(outnet=[nn.Linear(6, 3), last])
    representation = SimpleNamespace(embedding=nn.Embedding(2, 6), interactions=blocks)
    return SimpleNamespace(representation=representation, output_modules=[readout])


def _workload():
    rng, edge = np.random.default_rng(0), 2.0
    grid = np.stack(np.meshgrid(*3 * [np.arange(4)], indexing="ij"), -1).reshape(-1, 3) * edge / 4
    frames = grid + rng.normal(0, 0.05, (2, len(grid), 3))
    return Workload(name="small", size=SIZE, template=BENZENE, edge=edge, frames=frames, time_step=0.005)


def test_our_loss_and_its_gradient_are_those_of_torchmdnet():
    torch.manual_seed(0)
    workload = _workload()
    networks = SimpleNamespace(reference=_reference(), workload=workload)
    frames = Frames.of(workload, 2, torch.float32)
    methods = {
        "TorchMD-Net": speed_training._torchmdnet(networks, frames),
        "tables": speed_training._ours(networks, frames, TrainingConfig()),
        "exact": speed_training._ours(networks, frames, TrainingConfig(filter_knots=0)),
    }
    exact = methods["TorchMD-Net"]
    loss = exact.loss()
    gradients = torch.autograd.grad(loss, list(exact.network.parameters()), allow_unused=True)
    rate = 0.01 * loss.item() / sum(float(gradient.square().sum()) for gradient in gradients if gradient is not None)
    losses = {}
    for name, method in methods.items():
        optimizer = torch.optim.SGD(method.network.parameters(), lr=rate)
        losses[name] = (method.step(optimizer), method.loss().item())
    compare_losses(losses, "TorchMD-Net")


@pytest.mark.parametrize("losses", [(1.00002, 0.9), (1.0, 0.90002), (float("nan"), 0.9)])
def test_a_loss_that_differs_before_or_after_a_step_is_refused(losses):
    compare_losses({"a": (1.0, 0.9), "b": (1.000001, 0.9)}, "a")
    with pytest.raises(ValueError, match=r"b has losses .* trains something else"):
        compare_losses({"a": (1.0, 0.9), "b": losses}, "a")


def test_a_step_that_changes_nothing_shows_nothing():
    with pytest.raises(ValueError, match="too little to compare gradients"):
        compare_losses({"a": (1.0, 1.0), "b": (1.0, 1.0)}, "a")
