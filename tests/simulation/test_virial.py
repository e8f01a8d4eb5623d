import numpy as np
import pytest

from openmm_cgml.simulation.virial import measure_virial_pressure, move_molecules
from openmm_cgml.units import BOLTZMANN, KJ_PER_MOL_NM3_IN_BAR

MOLECULES, MASSES = np.array([0, 0, 1]), np.array([1.0, 3.0, 2.0])
POSITIONS = np.array([[0.0, 0.0, 0.0], [0.4, 0.0, 0.0], [1.0, 1.0, 0.0]])
BOX = 2.0 * np.eye(3)


def test_molecules_move_whole():
    moved = move_molecules(POSITIONS, MOLECULES, MASSES, 1.1)
    np.testing.assert_allclose(moved - POSITIONS, [[0.03, 0, 0], [0.03, 0, 0], [0.1, 0.1, 0]], atol=1e-12)


@pytest.mark.physics
@pytest.mark.parametrize("narrowest", [0.0, 2.0])
def test_an_energy_of_the_volume_gives_its_derivative(narrowest):
    seen = []

    def energy(positions, box):
        seen.append(box[0, 0])
        return 3.0 * np.linalg.det(box)

    found = measure_virial_pressure(
        energy, POSITIONS, BOX, molecules=MOLECULES, masses=MASSES, temperature=300.0, strain=1e-3, narrowest=narrowest
    )
    assert found == pytest.approx((2 * BOLTZMANN * 300.0 / 8.0 - 3.0) * KJ_PER_MOL_NM3_IN_BAR)
    assert seen == pytest.approx([2.0, 2.004] if narrowest else [1.998, 2.002])  # control: never below the cutoffs
