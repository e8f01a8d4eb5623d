"""The network as a `TorchForce`: scripted in memory when the System is built, never read from disk."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from openmm_cgml.engine.deployed import DeployedNetwork


class _WithBox(nn.Module):
    """The signature `TorchForce` calls in a periodic System."""

    def __init__(self, deployed: nn.Module) -> None:
        super().__init__()
        self.deployed = deployed

    def forward(self, positions: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        energy, forces = self.deployed(positions, box)
        return energy, forces.to(positions.dtype)


def script(module: nn.Module) -> torch.jit.ScriptModule:
    """TorchScript of `module`, without torch's notices about TorchScript's age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        return torch.jit.script(module)


def create_torch_force(deployed: DeployedNetwork) -> Any:
    """A `TorchForce` that evaluates `deployed`, energy and forces in one call.

    Raises:
        ImportError: If openmmtorch does not import.
    """
    openmmtorch = import_openmmtorch()
    force = openmmtorch.TorchForce(script(_WithBox(deployed).eval()))
    force.setOutputsForces(True)
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
