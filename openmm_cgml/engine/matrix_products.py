"""Products of many rows with one fixed matrix."""

from __future__ import annotations

import logging
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_log = logging.getLogger(__name__)

_PACKED_FROM = 128 * 96
"""Matrices with fewer elements are not packed: the call costs more than the product gains."""


class Product:
    """rows @ matrix.T in float32.

    The matrix is packed once in the layout that oneDNN wants, where torch has that, else it is multiplied by
    `torch.mm`.
    """

    def __init__(self, matrix: NDArray[np.float32]) -> None:
        """Args:
        matrix: Shape (n_outputs, n_inputs).
        """
        weight = torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float32))
        self._packed = _pack(weight) if matrix.size >= _PACKED_FROM and can_pack() else None
        self._transposed = weight.t().contiguous()
        self.n_outputs = len(matrix)

    def __call__(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The product, a new array of shape (n, n_outputs), for contiguous rows (n, n_inputs)."""
        x = torch.from_numpy(rows)
        if self._packed is None:
            return torch.mm(x, self._transposed).numpy()
        return _packed_product(x, self._packed).numpy()

    def into(self, rows: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Write the product of rows (n, n_inputs) into `out` (n, n_outputs), both contiguous."""
        x = torch.from_numpy(rows)
        if self._packed is None:
            torch.mm(x, self._transposed, out=torch.from_numpy(out))
        else:
            out[:] = _packed_product(x, self._packed).numpy()


def _pack(weight: Tensor) -> Tensor:
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, 512)
    return packed


def _packed_product(rows: Tensor, packed: Tensor) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")
    return product


@lru_cache(maxsize=1)
def can_pack() -> bool:
    """Whether torch's packed linear layer is there and right on this machine; it is not a public operation."""
    if not torch.backends.mkldnn.is_available():
        return False
    weight, rows = torch.randn(160, 96, generator=torch.Generator().manual_seed(0)), torch.ones(70, 96)
    try:
        difference = (_packed_product(rows, _pack(weight)) - rows @ weight.t()).abs().max()
    except (RuntimeError, AttributeError, NotImplementedError, TypeError) as error:
        _log.info("packed matrix products do not work here: %s", " ".join(str(error).split())[:200])
        return False
    return bool(difference < 1e-3)
