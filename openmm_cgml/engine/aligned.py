"""Arrays that begin at a cache line, so that rows of a multiple of 16 floats never straddle one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LINE = 64


def aligned_zeros(shape: int | tuple[int, ...]) -> NDArray[np.float32]:
    """Zeros in float32, C-contiguous."""
    size = int(np.prod(shape)) * 4
    room = np.zeros(size + _LINE, np.uint8)
    begin = -room.ctypes.data % _LINE
    array: NDArray[np.float32] = room[begin : begin + size].view(np.float32).reshape(shape)
    return array


def aligned_copy(array: NDArray[Any]) -> NDArray[np.float32]:
    """A copy in float32, C-contiguous."""
    copy = aligned_zeros(array.shape)
    copy[...] = array
    return copy
