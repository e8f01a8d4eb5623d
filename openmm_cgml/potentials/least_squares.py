"""Least squares under linear equalities and inequalities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

_MOST_STEPS = 500
_TOLERANCE = 1e-9


def minimize_quadratic(
    matrix: NDArray[np.float64],
    vector: NDArray[np.float64],
    *,
    equal: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    at_most: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> NDArray[np.float64]:
    """The c with the smallest c @ matrix @ c / 2 - vector @ c under constraints, shape (n,).

    By the method of active sets (Nocedal and Wright, Numerical Optimization (2006), chapter 16), started without
    inequalities: of those that do not hold, the one that fails most becomes an equality; one that pulls the wrong way
    is given up.

    Args:
        matrix: Positive definite, shape (n, n).
        vector: Shape (n,).
        equal: Rows, shape (m, n), and what their products with c equal, shape (m,).
        at_most: Rows, shape (k, n), and what their products with c are at most, shape (k,).

    Raises:
        InputError: If the constraints contradict each other.
    """
    n = len(vector)
    scale = 1 / np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix * scale * scale[:, None]
    fixed, values = _scaled_rows(equal, scale, n)
    limited, limits = _scaled_rows(at_most, scale, n)
    active: list[int] = []
    for _ in range(_MOST_STEPS):
        rows, wanted = np.concatenate([fixed, limited[active]]), np.concatenate([values, limits[active]])
        solution, multipliers = _solve(scaled, vector * scale, rows, wanted)
        pulling = multipliers[len(fixed) :]
        if len(pulling) and pulling.min() < -_TOLERANCE * np.abs(multipliers).max():
            del active[int(pulling.argmin())]
            continue
        excess = limited @ solution - limits
        excess[active] = 0.0
        if not len(excess) or excess.max() <= _TOLERANCE * max(1.0, float(np.abs(solution).max())):
            return np.asarray(solution * scale)
        active.append(int(excess.argmax()))
    raise InputError("the constraints of the fit contradict each other; relax one of them")


def _scaled_rows(
    constraints: tuple[NDArray[np.float64], NDArray[np.float64]] | None, scale: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows for the scaled unknowns, each of length 1, and their values."""
    if constraints is None:
        return np.zeros((0, n)), np.zeros(0)
    rows, values = np.atleast_2d(constraints[0]) * scale, np.atleast_1d(constraints[1])
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
    return rows / lengths[:, None], values / lengths


def _solve(
    matrix: NDArray[np.float64], vector: NDArray[np.float64], rows: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solution under equalities, and their Lagrange multipliers."""
    plain = np.asarray(np.linalg.solve(matrix, np.column_stack([vector, rows.T])), np.float64)
    free, responses = plain[:, 0], plain[:, 1:]
    if not len(rows):
        return free, np.zeros(0)
    multipliers = np.asarray(np.linalg.lstsq(rows @ responses, rows @ free - values, rcond=1e-12)[0], np.float64)
    return np.asarray(free - responses @ multipliers), multipliers
