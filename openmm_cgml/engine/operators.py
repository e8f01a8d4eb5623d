"""The deployed network as a torch operator, `openmm_cgml::evaluate`, so that TorchScript and `TorchForce` can call it.

The operator's first argument is the network itself, packed into a tensor of bytes without code. What is built from it
(tables, neighbor lists) is kept for as long as that tensor lives. So a copy of a `TorchForce`, or one that was read in
another process after `import openmm_cgml.engine.operators`, builds an engine of its own; without that import reading
fails, as the operator is unknown.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from openmm_cgml.engine.cpu import TabulatedNetwork
from openmm_cgml.engine.portable import unpack
from openmm_cgml.errors import SimulationError

_log = logging.getLogger(__name__)
_engines: Any = WeakTensorKeyDictionary()
_lock = threading.Lock()


class _Engine:
    """What was built from a packed network: the CPU's engine, the GPU's, or both."""

    def __init__(self, packed: Tensor) -> None:
        self._deployed = unpack(packed.numpy().tobytes()).eval()
        self._on_cpu: TabulatedNetwork | None = None
        self._on_gpu: Any = None
        self._gpu_works = True
        self._lock = threading.Lock()

    def __call__(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        if positions.shape != (self._deployed.n_beads, 3):
            raise RuntimeError(
                f"positions of shape {tuple(positions.shape)} for a network of {self._deployed.n_beads} beads"
            )
        return self.on_gpu(positions, box) if positions.is_cuda else self.on_cpu(positions, box)

    def on_gpu(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """On the device; where its kernels do not work at the first call, on the host, with a warning."""
        if not self._gpu_works:
            return self.on_cpu(positions, box)
        try:
            engine = self._gpu()
            return engine(positions, box)  # type: ignore[no-any-return]
        except SimulationError:
            raise
        except Exception as error:
            if self._on_gpu is not None and self._on_gpu.parity is not None:
                raise
            problem = " ".join(str(error).split())[:300]
            _log.warning("the network runs on the CPU, because its CUDA kernels do not work here: %s", problem)
            self._gpu_works = False
        return self.on_cpu(positions, box)

    def on_cpu(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """On the host, wherever the positions are."""
        cell = None if box is None else box.detach().cpu().numpy().astype(np.float64)
        engine, x = self._cpu(), positions.detach().cpu().numpy().astype(np.float64)
        is_first = engine.parity is None
        energy, forces = _elsewhere(engine, x, cell) if is_first else engine(x, cell)
        device = positions.device
        return torch.tensor(energy, dtype=torch.float64, device=device), torch.from_numpy(forces).to(device)

    def _cpu(self) -> TabulatedNetwork:
        with self._lock:
            if self._on_cpu is None:
                self._on_cpu = _elsewhere(TabulatedNetwork, self._deployed)
            return self._on_cpu

    def _gpu(self) -> Any:
        from openmm_cgml.engine.warp_network import WarpNetwork

        with self._lock:
            if self._on_gpu is None:
                self._on_gpu = _elsewhere(WarpNetwork, self._deployed)
            return self._on_gpu


def _elsewhere(function: Callable[..., Any], *args: object) -> Any:
    """The result of a function that differentiates: torch forbids that inside an operator, not in another thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


@torch.library.custom_op("openmm_cgml::evaluate", mutates_args=())
def evaluate(packed: Tensor, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
    """Energy [kJ/mol], shape (), and forces [kJ/mol/nm], shape (n_beads, 3), both float64.

    Args:
        packed: The deployed network as `portable.pack` wrote it, shape (n_bytes,), uint8, on the CPU.
        positions: Positions [nm], shape (n_beads, 3), on the CPU or a CUDA device.
        box: Reduced box vectors [nm], shape (3, 3), or None.

    Raises:
        RuntimeError: If the number of positions is wrong; and as the engines do.
    """
    with _lock:
        if packed not in _engines:
            _engines[packed] = _Engine(packed)
        engine = _engines[packed]
    result: tuple[Tensor, Tensor] = engine(positions, box)
    return result


@evaluate.register_fake
def _(packed: Tensor, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
    return positions.new_empty((), dtype=torch.float64), torch.empty_like(positions, dtype=torch.float64)
