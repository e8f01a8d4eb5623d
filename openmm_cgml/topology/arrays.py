"""Arrays that are checked once and never change."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError


def frozen_array(array: ArrayLike, dtype: Any, shape: tuple[int, ...] | None, name: str) -> NDArray[Any]:
    """A read-only copy of an array.

    Args:
        array: The array.
        dtype: The kind of numbers wanted.
        shape: The shape wanted, or None for any.
        name: What to call it in an error.

    Raises:
        InputError: If it has another shape, or holds other than whole numbers where those are wanted.
    """
    given = np.asarray(array)
    if np.issubdtype(dtype, np.integer) and given.size and not np.array_equal(given, given.astype(dtype)):
        raise InputError(f"{name}: holds values that are not whole numbers")
    result = np.array(given, dtype=dtype, order="C")
    if shape is not None and result.shape != shape:
        raise InputError(f"{name}: shape {result.shape}; expected {shape}")
    result.setflags(write=False)
    return result


def in_order(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows sorted by their first number, then their second, and so on."""
    return np.ascontiguousarray(rows[np.lexsort(rows.T[::-1])])
