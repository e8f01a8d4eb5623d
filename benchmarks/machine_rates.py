"""What this machine can do on one thread: matrix products, copies, activations."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

PACKAGES = ("openmm", "openmmtorch", "torch", "numba", "numpy", "torchmd-net", "schnetpack", "ase", "matscipy")
_L2_BYTES = 256 * 1024
_DRAM_BYTES = 256 * 1024**2


def measure_rates() -> dict[str, float]:
    """Rates of this thread: products in GF/s, copies (bytes read and written) in GB/s, activations in ns an element."""
    return {
        "sgemm_gf_s": _product_rate(_torch_product),
        "sgemm_packed_gf_s": _product_rate(_packed_product),
        "l2_copy_gb_s": _copy_rate(_L2_BYTES),
        "dram_copy_gb_s": _copy_rate(_DRAM_BYTES),
        "activation_ns": _activation_time(),
    }


def describe_machine(threads: int) -> dict[str, str | int]:
    """Processor, number of threads used, and versions of what is compared."""
    return {"cpu": _processor(), "threads": threads, "python": platform.python_version(), **package_versions()}


def package_versions() -> dict[str, str]:
    """Versions of the packages that matter, of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Name of the processor with family and model, which virtual machines leave out of the name."""
    fields = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return (
        f"{fields.get('model name', platform.machine())}, family {fields.get('cpu family')} model {fields.get('model')}"
    )


def _product_rate(multiply: Callable[[torch.Tensor, torch.Tensor], Callable[[], object]], n: int = 512) -> float:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(n, n, generator=generator) for _ in range(2))
    return 2e-9 * n**3 / _shortest(multiply(a, b))


def _torch_product(a: torch.Tensor, b: torch.Tensor) -> Callable[[], object]:
    out = torch.empty(a.shape[0], b.shape[0])
    return lambda: torch.mm(a, b.T, out=out)


def _packed_product(a: torch.Tensor, b: torch.Tensor) -> Callable[[], object]:
    """oneDNN's linear layer with packed weights; torch's plain product where this torch has none."""
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(b.to_mkldnn(), a.shape[0])
        linear = torch.ops.mkldnn._linear_pointwise
        linear(a, packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return _torch_product(a, b)
    return lambda: linear(a, packed, None, "none", [], "")


def _copy_rate(size: int) -> float:
    source = np.ones(size // 4, dtype=np.float32)
    target = np.zeros_like(source)
    return 2e-9 * size / _shortest(lambda: np.copyto(target, source))


def _activation_time(n: int = 500 * 240) -> float:
    """Softplus and its derivative, as an energy and its forces need them."""
    z = torch.randn(n, generator=torch.Generator().manual_seed(0))
    return 1e9 / n * _shortest(lambda: (torch.nn.functional.softplus(z), torch.sigmoid(z)))


def _shortest(call: Callable[[], object], seconds: float = 0.3) -> float:
    """Shortest process time of one call, from batches of calls that are long enough for the clock."""
    call()
    best, end = np.inf, time.perf_counter() + seconds
    repeats = 1
    while time.perf_counter() < end:
        begun = time.process_time()
        for _ in range(repeats):
            call()
        elapsed = time.process_time() - begun
        if elapsed < 1e-3:
            repeats *= 2
            continue
        best = min(best, elapsed / repeats)
    return best
