"""Whether the deployed network can be captured in a CUDA graph here, found out by a trial."""

from __future__ import annotations

from functools import lru_cache

import torch

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.topology import CGTopology, ResidueTemplate

_BEADS = 64
_WARMUP_CALLS = 3


@lru_cache(maxsize=1)
def cuda_graphs_problem() -> str | None:
    """Why CUDA graphs cannot be used here, or None if a captured network gave what it gives without.

    No number for their speed and no run with them has been recorded yet.
    """
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    try:
        difference = _largest_difference()
    except Exception as error:  # noqa: BLE001  # whatever Warp, torch or the driver raise
        return " ".join(str(error).split())[:300] or type(error).__name__
    return None if difference < 1e-4 else f"a captured network gave forces that differ by {difference:.2g} of the rms"


def _largest_difference() -> float:
    """Largest force difference between replay and call over the rms force, after beads have moved far."""
    from openmm_cgml.engine.warp_network import WarpNetwork

    generator = torch.Generator().manual_seed(0)
    edge = 2.4
    bead = ResidueTemplate(name="X", bead_names=("X",), bead_type_names=("X",), masses=(1.0,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = SchNet(SchNetConfig(cutoff=0.8, n_features=16, n_filters=16), 1)
    engine = WarpNetwork(DeployedNetwork(network, CGTopology.from_residues([(bead, _BEADS)])))
    device = torch.device("cuda", torch.cuda.current_device())
    box = (edge * torch.eye(3)).to(device)
    positions = (edge * torch.rand(_BEADS, 3, generator=generator)).to(device)
    elsewhere = (edge * torch.rand(_BEADS, 3, generator=generator)).to(device)
    stream = torch.cuda.Stream(device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.stream(stream):
        for _ in range(_WARMUP_CALLS):
            engine(positions, box)
        stream.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            _, forces = engine(positions, box)
        positions.copy_(elsewhere)
        graph.replay()
        stream.synchronize()
        expected = engine(positions, box)[1]
        stream.synchronize()
    return float((forces - expected).abs().max() / expected.square().mean().sqrt())
