import numpy as np
import pytest

from openmm_cgml.analysis.thermo import compute_temperatures, count_degrees_of_freedom
from openmm_cgml.errors import InputError
from openmm_cgml.units import BOLTZMANN


@pytest.mark.physics
def test_temperature_of_maxwell_boltzmann_velocities_and_a_wrong_count_of_degrees():
    rng = np.random.default_rng(0)
    masses = rng.uniform(10, 80, 300)
    velocities = rng.normal(size=(500, 300, 3)) * np.sqrt(BOLTZMANN * 300 / masses)[:, None]
    kinetic = 0.5 * np.einsum("i,fix,fix->f", masses, velocities, velocities)
    degrees = count_degrees_of_freedom(300)
    temperatures = compute_temperatures(kinetic, degrees)
    error = temperatures.std() / np.sqrt(500)
    assert abs(temperatures.mean() - 300) < 4 * error
    assert temperatures.std() == pytest.approx(300 * np.sqrt(2 / degrees), rel=0.15)
    assert abs(compute_temperatures(kinetic, int(0.99 * degrees)).mean() - 300) > 4 * error


def test_constraints_and_a_fixed_center_take_degrees_of_freedom():
    assert count_degrees_of_freedom(6000, n_constraints=3000, center_of_mass_fixed=True) == 14997
    with pytest.raises(InputError, match="0 degrees"):
        count_degrees_of_freedom(1, center_of_mass_fixed=True)
    with pytest.raises(InputError):
        compute_temperatures(np.ones(3), 0)
