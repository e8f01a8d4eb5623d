import numpy as np
import pytest

from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.errors import InputError


def test_centers_are_weighted_by_mass():
    positions = np.array([[[0.0, 0, 0], [3.0, 0, 0], [1, 1, 1]]])
    centers = compute_centers_of_mass(positions, np.array([2.0, 1.0, 5.0]), np.array([0, 0, 1]))
    np.testing.assert_allclose(centers, [[[1, 0, 0], [1, 1, 1]]])


def test_a_mass_that_is_not_positive_is_refused():
    with pytest.raises(InputError, match="bead 1 has mass 0"):
        compute_centers_of_mass(np.zeros((1, 2, 3)), np.array([1.0, 0.0]), np.array([0, 1]))
