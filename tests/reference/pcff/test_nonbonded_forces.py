import numpy as np
import openmm
import pytest

from openmm_cgml.reference.pcff.lookup import ParameterLookup
from openmm_cgml.reference.pcff.nonbonded_forces import create_coulomb_force, create_van_der_waals_force
from tests.reference.pcff import made_up

CARBON, HYDROGEN = (0.40, 0.05 * 4.184), (0.30, 0.02 * 4.184)


def energy(force, positions):
    system = openmm.System()
    for _ in positions:
        system.addParticle(1.0)
    system.addForce(force)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
    context.setPositions(positions)
    return context.getState(energy=True).getPotentialEnergy()._value


def nine_six(r, first, second):
    """As the parameter file writes it."""
    (r1, e1), (r2, e2) = first, second
    distance = ((r1**6 + r2**6) / 2) ** (1 / 6)
    depth = 2 * np.sqrt(e1 * e2) * r1**3 * r2**3 / (r1**6 + r2**6)
    return depth * (2 * (distance / r) ** 9 - 3 * (distance / r) ** 6)


@pytest.fixture
def lookup(tmp_path):
    return ParameterLookup(made_up.parameters(tmp_path))


@pytest.mark.parametrize(
    ("types", "pair"), [("cc", (CARBON, CARBON)), ("ch", (CARBON, HYDROGEN)), ("hh", (HYDROGEN, HYDROGEN))]
)
def test_pairs_mix_by_sixth_powers(lookup, types, pair):
    for r in (0.25, 0.4, 0.7):
        force = create_van_der_waals_force(types, [], lookup, cutoff=1.0, switch_distance=None, periodic=False)
        assert energy(force, [[0, 0, 0], [r, 0, 0]]) == pytest.approx(nine_six(r, *pair), rel=1e-12)


def test_switch_takes_the_energy_to_zero_at_the_cutoff(lookup):
    def at(r):
        force = create_van_der_waals_force("cc", [], lookup, cutoff=1.0, switch_distance=0.9, periodic=False)
        return energy(force, [[0, 0, 0], [r, 0, 0]])

    assert at(0.89) == pytest.approx(nine_six(0.89, CARBON, CARBON), rel=1e-12)
    assert at(0.95) == pytest.approx(0.5 * nine_six(0.95, CARBON, CARBON), rel=1e-12)
    assert at(0.9999) == pytest.approx(0.0, abs=1e-9)


def test_excluded_pairs_do_not_interact(lookup):
    positions = [[0, 0, 0], [0.3, 0, 0], [0.7, 0, 0]]
    force = create_van_der_waals_force("chh", [(0, 1)], lookup, cutoff=1.0, switch_distance=None, periodic=False)
    expected = nine_six(0.7, CARBON, HYDROGEN) + nine_six(0.4, HYDROGEN, HYDROGEN)
    assert energy(force, positions) == pytest.approx(expected, rel=1e-12)
    coulomb = 138.935456 * (-0.5 * 0.25 / 0.7 + 0.25 * 0.25 / 0.4)
    assert energy(create_coulomb_force([-0.5, 0.25, 0.25], [(0, 1)]), positions) == pytest.approx(coulomb, rel=1e-7)
