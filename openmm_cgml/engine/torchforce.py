"""The network as a `TorchForce`: scripted in memory when the System is built, never read from disk."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from openmm_cgml.engine import operators
from openmm_cgml.engine.cuda_graphs import cuda_graphs_problem
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.portable import pack

WARMUP_STEPS = 5
"""Calls before a CUDA graph is captured: TorchScript's own optimizations come with the second and third."""


class ExactModule(nn.Module):
    """The network itself, with the signature `TorchForce` calls."""

    def __init__(self, deployed: nn.Module) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, positions: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Energy [kJ/mol] and forces [kJ/mol/nm] at positions [nm], shape (n_beads, 3), in a box [nm] or in none."""
        energy, forces = self.deployed(positions, box)
        return energy, forces.to(positions.dtype)


class TabulatedModule(nn.Module):
    """The tables of the network, through the operator `openmm_cgml::evaluate`."""

    def __init__(self, packed: Tensor) -> None:
        """Args:
        packed: The deployed network as bytes, shape (n_bytes,), uint8.
        """
        super().__init__()
        self.packed = packed  # no buffer: it stays on the CPU when the module is moved

    def forward(self, positions: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `ExactModule.forward`."""
        energy, forces = torch.ops.openmm_cgml.evaluate(self.packed, positions.detach(), box)
        return energy, forces.to(positions.dtype)


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """TorchScript of `module`, without torch's notices about TorchScript's age."""
    with _torchscript_unannounced():
        return torch.jit.script(module)


@contextlib.contextmanager
def _torchscript_unannounced() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        yield


def exact_module(deployed: DeployedNetwork) -> torch.jit.ScriptModule:
    """TorchScript of the network itself, of plain torch operations; it shares its weights with `deployed`."""
    return script(ExactModule(deployed).eval())


def save_exact_module(deployed: DeployedNetwork, extra_files: dict[str, str]) -> bytes:
    """The exact module as a TorchScript archive.

    Args:
        deployed: The network bound to a topology.
        extra_files: Text to go along with it, by name.
    """
    archive = io.BytesIO()
    with _torchscript_unannounced():
        torch.jit.save(exact_module(deployed), archive, _extra_files=extra_files)
    return archive.getvalue()


def tabulated_module(deployed: DeployedNetwork) -> torch.jit.ScriptModule:
    """TorchScript that evaluates the tables of `deployed`; its weights are copied."""
    assert operators.evaluate is not None  # importing it registers the operator
    return script(TabulatedModule(torch.frombuffer(bytearray(pack(deployed)), dtype=torch.uint8)).eval())


def create_torch_force(deployed: DeployedNetwork, *, exact: bool = False) -> Any:
    """A `TorchForce` that evaluates `deployed`, or its tables unless `exact`; energy and forces in one call.

    Where there is a GPU and a trial shows that they work, a Context on the CUDA platform uses CUDA graphs for tables.

    Raises:
        ImportError: If openmmtorch does not import.
    """
    openmmtorch = import_openmmtorch()
    module = exact_module(deployed) if exact else tabulated_module(deployed)
    force = openmmtorch.TorchForce(module)
    force.setOutputsForces(True)
    if not exact and cuda_graphs_problem() is None:
        force.setProperty("useCUDAGraphs", "true")
        force.setProperty("CUDAGraphWarmupSteps", str(WARMUP_STEPS))
    return force


def import_openmmtorch() -> Any:
    """The openmmtorch module, imported without the deprecation line it logs about its own import of `simtk`."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import openmmtorch
    finally:
        logging.disable(before)
    _load_missed_plugins()
    return openmmtorch


@lru_cache(maxsize=1)
def _load_missed_plugins() -> None:
    """Load the plugins of openmmtorch that `import openmm` could not, where it came before torch and its libraries."""
    import openmm

    for failure in openmm.Platform.getPluginLoadFailures():
        library = re.search(r"Error loading library (.*?OpenMMTorch\w*\.(?:so|dylib))", failure)
        if library:
            with contextlib.suppress(openmm.OpenMMException):  # the plugin of a platform that this machine lacks
                openmm.Platform.loadPluginLibrary(library[1])


class _Spring(nn.Module):
    """Energy and forces of springs to the origin, differentiated as the network is."""

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        distances = (positions.detach() ** 2).sum(dim=1).sqrt().requires_grad_(True)
        energy = (distances * distances).sum()
        slopes = torch.autograd.grad([energy], [distances])[0]
        if slopes is None:
            return energy.detach(), positions
        return energy.detach(), -slopes.unsqueeze(1) * positions / distances.detach().unsqueeze(1)


def probe() -> None:
    """Take one step with a tiny `TorchForce` on the Reference platform.

    Raises:
        Exception: Whatever openmmtorch, torch or OpenMM raise where they do not fit together.
    """
    openmmtorch = import_openmmtorch()
    import openmm

    force = openmmtorch.TorchForce(script(_Spring()))
    force.setOutputsForces(True)
    system = openmm.System()
    system.addParticle(1.0)
    system.addForce(force)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions([[1.0, 0.0, 0.0]])
    context.getIntegrator().step(1)
    pull = context.getState(forces=True).getForces(asNumpy=True)._value
    if abs(pull[0, 0] + 2.0) > 1e-3:
        raise RuntimeError(f"the probe gave a force of {pull[0, 0]} kJ/mol/nm instead of -2")
