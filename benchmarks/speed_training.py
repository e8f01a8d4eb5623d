"""Training frames per second beside TorchMD-Net's graph network and SchNetPack.

    python benchmarks/speed.py --only train

All train the same network on the forces of the same frames: loss, its gradient, a step of AdamW. Before anything is
timed, the losses must agree with SchNetPack's in float64, and must agree again after a step down the gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed_peers import ANGSTROM, RMS_FORCE, Networks, copy_to_ours, copy_to_torchmdnet, create_networks
from benchmarks.speed_systems import NetworkSize, Workload, benzene, most_neighbors
from benchmarks.timing import ROUNDS, SECONDS, ratio_to_faster, summarize, time_in_rounds
from openmm_cgml.training.batches import FrameStore
from openmm_cgml.training.config import TrainingConfig
from openmm_cgml.training.data import Scales
from openmm_cgml.training.labels import LabeledFrames, wrap
from openmm_cgml.training.module import ForceMatching
from openmm_cgml.training.pairs import PairRule

OURS, EXACT, TORCHMDNET, SCHNETPACK = "ours", "ours, exact filters", "TorchMD-Net", "SchNetPack"
PEERS = (TORCHMDNET, SCHNETPACK)
GATE_FRAMES = 2
"""Frames in the batch by which losses are compared."""
TOLERANCE = 1e-5
"""Largest relative difference of a loss from SchNetPack's in float64."""
SHIPPED_SIZE = NetworkSize(features=64, filters=64, blocks=2, gaussians=40, cutoff=1.0)
"""Size of the shipped model of benzene with one bead."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Method:
    """One package's network and the loss that it trains on."""

    network: nn.Module
    loss: Callable[[], Tensor]

    def step(self, optimizer: torch.optim.Optimizer) -> float:
        """One step of training; the loss before it."""
        optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        optimizer.step()
        return loss.item()


@dataclass(frozen=True, eq=False, kw_only=True)
class Frames:
    """Labeled frames of a workload in one batch; the labels are random.

    Attributes:
        workload: The liquid.
        n: Number of frames.
        store: The frames as our training keeps them.
    """

    workload: Workload
    n: int
    store: FrameStore

    @classmethod
    def of(cls, workload: Workload, n: int, dtype: torch.dtype) -> Frames:
        positions = workload.frames[:n]
        box = np.tile(workload.box, (n, 1, 1))
        part = LabeledFrames(
            topology=workload.topology,
            positions=wrap(positions, box),
            box=box,
            forces=np.random.default_rng(3).normal(0, RMS_FORCE, positions.shape),
            forces_inter=None,
            prior_forces=np.zeros_like(positions),
            force_error=None,
            energies=None,
        )
        return cls(workload=workload, n=n, store=FrameStore([part], PairRule(cutoff=workload.size.cutoff), dtype))

    @property
    def keys(self) -> list[tuple[int, int]]:
        return [(0, frame) for frame in range(self.n)]

    @property
    def positions(self) -> Tensor:
        """All beads of all frames [nm], shape (n * n_beads, 3)."""
        return torch.from_numpy(self.store.parts[0].positions.reshape(-1, 3))


def measure_training(
    spk: Any, rates: dict[str, float], *, rounds: int = ROUNDS, seconds: float = SECONDS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The row `train` of the results, and the table behind it."""
    liquid = benzene()
    shipped = Workload(**{**vars(liquid), "name": "size of the shipped benzene-1bead", "size": SHIPPED_SIZE})
    pace = {"rounds": rounds, "seconds": seconds}
    row, large = _measure_case(create_networks(spk, liquid), 10, **pace)
    _, small = _measure_case(create_networks(spk, shipped), 4, **pace)
    return row, {"cases": [large, small], "sgemm_gf_s": rates["sgemm_gf_s"]}


def _measure_case(
    networks: Networks, n_frames: int, *, rounds: int, seconds: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    workload = networks.workload
    frames = Frames.of(workload, n_frames, torch.float32)
    losses = check_losses(networks, GATE_FRAMES)
    methods = _methods(networks, frames)
    # A learning rate of zero does all the work of a step and leaves the weights as they are.
    optimizers = {name: torch.optim.AdamW(method.network.parameters(), lr=0.0) for name, method in methods.items()}
    calls = {name: lambda name=name: methods[name].step(optimizers[name]) for name in methods}
    timings = time_in_rounds(calls, rounds=rounds, seconds=seconds, warm_up=1)
    others = {name: timing for name, timing in timings.items() if name != OURS}
    table = {
        "workload": workload.name,
        "beads": workload.n_beads,
        "frames": n_frames,
        "pairs_per_frame": len(frames.store.batch(frames.keys).inter.first) / n_frames,
        "size": vars(workload.size),
        "filter_knots": TrainingConfig().filter_knots,
        "losses": losses,
        "methods": {name: timing.to_dict() for name, timing in timings.items()},
        "frames_per_second": {name: summarize(n_frames / timing.cpu) for name, timing in timings.items()},
        "speedup_over": {name: summarize(timing.cpu / timings[OURS].cpu) for name, timing in others.items()},
    }
    return ratio_to_faster(timings[OURS], {name: timings[name] for name in PEERS}), table


def check_losses(networks: Networks, n_frames: int) -> dict[str, tuple[float, float]]:
    """Losses of all methods before and after a step down the gradient, and of SchNetPack in float64.

    Raises:
        ValueError: If one differs from the last by more than `TOLERANCE`.
    """
    exact = _schnetpack(networks, Frames.of(networks.workload, n_frames, torch.float64))
    gradients = torch.autograd.grad(exact.loss(), list(exact.network.parameters()), allow_unused=True)
    norm = sum(float(gradient.square().sum()) for gradient in gradients if gradient is not None)
    rate = 0.01 * exact.loss().item() / norm  # takes about a hundredth off the loss
    frames = Frames.of(networks.workload, n_frames, torch.float32)
    losses = {}
    for name, method in {**_methods(networks, frames), "SchNetPack, float64": exact}.items():
        optimizer = torch.optim.SGD(method.network.parameters(), lr=rate)
        losses[name] = (method.step(optimizer), method.loss().item())
    compare_losses(losses, "SchNetPack, float64")
    return losses


def compare_losses(losses: Mapping[str, tuple[float, float]], reference: str) -> None:
    """Refuse losses that differ from the reference's.

    Raises:
        ValueError: If they do, or if the step changed nothing that could be compared.
    """
    before, after = losses[reference]
    if not abs(after / before - 1) > 100 * TOLERANCE:
        raise ValueError(f"a step changed the loss from {before} to {after}: too little to compare gradients by")
    for name, found in losses.items():
        difference = max(abs(a / b - 1) for a, b in zip(found, (before, after), strict=True))
        if not difference <= TOLERANCE:
            raise ValueError(f"{name} has losses {found}, the reference {(before, after)}: it trains something else")


def _methods(networks: Networks, frames: Frames) -> dict[str, Method]:
    return {
        OURS: _ours(networks, frames, TrainingConfig()),
        EXACT: _ours(networks, frames, TrainingConfig(filter_knots=0)),
        TORCHMDNET: _torchmdnet(networks, frames),
        SCHNETPACK: _schnetpack(networks, frames),
    }


def _ours(networks: Networks, frames: Frames, config: TrainingConfig) -> Method:
    """What `fit` does, from cached pair lists to the loss."""
    network = copy_to_ours(networks.reference, networks.workload.size).requires_grad_(True).train()
    module = ForceMatching(network, config, Scales(forces=1.0), n_steps=1)

    def loss() -> Tensor:
        batch = frames.store.batch(frames.keys)
        return module.losses(network, batch, create_graph=True).objective

    return Method(network=network, loss=loss)


def _torchmdnet(networks: Networks, frames: Frames) -> Method:
    """TorchMD-Net's network, which finds its neighbors itself and differentiates its energy."""
    workload = networks.workload
    room = 8 * (int(1.25 * most_neighbors(workload)) // 8 + 1)
    network = copy_to_torchmdnet(networks.reference, workload.size, room).requires_grad_(True).train()
    batch = frames.store.batch(frames.keys)
    positions = (ANGSTROM * frames.positions).to(batch.forces.dtype)
    box = torch.tensor(ANGSTROM * workload.box, dtype=batch.forces.dtype)
    types = torch.ones_like(batch.bead_types)

    def loss() -> Tensor:
        _, forces = network(types, positions.detach().clone(), batch.frame_of_bead, box)
        return (ANGSTROM * forces - batch.forces).square().mean()

    return Method(network=network, loss=loss)


def _schnetpack(networks: Networks, frames: Frames) -> Method:
    """SchNetPack's network with neighbor lists that are made once, as its loader can cache them."""
    batch = frames.store.batch(frames.keys)
    dtype = batch.forces.dtype
    network = copy.deepcopy(networks.reference).to(dtype).requires_grad_(True).train()
    positions = (ANGSTROM * frames.positions).to(dtype)
    # Both directions of each pair, in the order of the first bead.
    first = torch.cat([batch.inter.first, batch.inter.second])
    second = torch.cat([batch.inter.second, batch.inter.first])
    vectors = ANGSTROM * batch.inter.distances[:, None] * batch.inter.directions
    order = torch.argsort(first, stable=True)
    first, second, vectors = first[order], second[order], torch.cat([vectors, -vectors])[order]
    edge = ANGSTROM * networks.workload.edge
    offsets = edge * torch.round((vectors - (positions[second] - positions[first])) / edge)
    properties = networks.spk.properties
    inputs = {
        properties.Z: torch.ones_like(batch.bead_types),
        properties.idx_i: first,
        properties.idx_j: second,
        properties.offsets: offsets,
        properties.idx_m: batch.frame_of_bead,
        properties.n_atoms: torch.full((frames.n,), networks.workload.n_beads),
    }

    def loss() -> Tensor:
        result = network({**inputs, properties.R: positions.detach().clone()})
        return (ANGSTROM * result["forces"] - batch.forces).square().mean()

    return Method(network=network, loss=loss)
