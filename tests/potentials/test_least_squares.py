"""Least squares under constraints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.least_squares import minimize_quadratic


def problem(seed: int, n: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(30, n)) * 10.0 ** rng.uniform(-3, 3, n)  # badly scaled, as real ones are
    return columns, rng.normal(size=30)


@given(st.integers(0, 2000))
def test_of_coefficients_that_may_not_be_negative_it_is_what_scipy_finds(seed: int) -> None:
    columns, labels = problem(seed)
    ours = minimize_quadratic(columns.T @ columns, columns.T @ labels, at_most=(-np.eye(8), np.zeros(8)))
    theirs, _ = nnls(columns, labels)
    residuals = [np.linalg.norm(columns @ c - labels) for c in (ours, theirs)]
    assert residuals[0] == pytest.approx(residuals[1], rel=1e-6)
    assert (ours * np.linalg.norm(columns, axis=0) > -1e-6).all()
    free = np.linalg.lstsq(columns, labels, rcond=None)[0]
    assert residuals[0] >= np.linalg.norm(columns @ free - labels) - 1e-9


@given(st.integers(0, 2000))
def test_an_equality_holds_and_no_step_along_it_is_better(seed: int) -> None:
    columns, labels = problem(seed)
    rng = np.random.default_rng(seed + 1)
    row = rng.normal(size=8)
    matrix, vector = columns.T @ columns, columns.T @ labels
    found = minimize_quadratic(matrix, vector, equal=(row, np.array([2.5])))
    assert row @ found == pytest.approx(2.5, rel=1e-6)
    gradient = matrix @ found - vector
    scale = 1 / np.sqrt(np.diag(matrix))
    along = row * scale / np.linalg.norm(row * scale)
    rest = gradient * scale - (gradient * scale @ along) * along
    assert np.linalg.norm(rest) < 1e-6 * max(1.0, np.linalg.norm(gradient * scale))


def test_constraints_that_contradict_each_other_are_refused() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    with pytest.raises(InputError, match="contradict each other"):
        minimize_quadratic(np.eye(2), np.zeros(2), at_most=(rows, np.array([-1.0, -1.0])))
