import numpy as np
import openmm
import pytest
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference import IsolatedMolecules
from openmm_cgml.reference.pcff import NONBONDED_GROUP, create_isolated_nonbonded_systems, create_pcff_system
from tests.reference.pcff import made_up, molecules
from tests.reference.pcff.test_nonbonded_forces import CARBON, HYDROGEN, nine_six

LENGTH = 4.0
REFERENCE = openmm.Platform.getPlatform("Reference")


@pytest.fixture
def parameters(tmp_path):
    return made_up.parameters(tmp_path)


@pytest.fixture
def pair():
    """Two butanes side by side in a large box."""
    topology, positions = molecules.copies(*molecules.alkane([180]), shifts=[(0, 0, 0), (0.1, 0.05, 0.45)])
    return molecules.in_cube(topology, LENGTH), positions


def evaluate(system, positions, groups=-1, platform=REFERENCE):
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions)
    state = context.getState(energy=True, forces=True, groups=groups)
    return state.getPotentialEnergy()._value, np.asarray(state.getForces(asNumpy=True)._value)


def test_bonded_terms_are_group_0_and_all_others_group_1(pair, parameters):
    system = create_pcff_system(pair[0], parameters=parameters)
    groups = dict.fromkeys(("PCFF bonds", "PCFF angles", "PCFF torsions", "PCFF angle-angle"), 0)
    groups |= dict.fromkeys(("PCFF van der Waals", "PCFF Coulomb"), 1)
    assert {force.getName(): force.getForceGroup() for force in system.getForces()} == groups


def test_cpu_platform_agrees_with_the_reference_platform(pair, parameters):
    topology, positions = pair
    system = create_pcff_system(topology, parameters=parameters)
    energy, forces = evaluate(system, positions)
    energy_cpu, forces_cpu = evaluate(system, positions, platform=openmm.Platform.getPlatform("CPU"))
    assert energy_cpu == pytest.approx(energy, abs=1e-2)
    np.testing.assert_allclose(forces_cpu, forces, atol=1e-4 * np.abs(forces).max())


def energy_between(first, second, cutoff=1.0, switch_distance=0.9):
    """Interaction of two butanes with the made-up parameters, without images."""
    kinds, charges = [CARBON] * 4 + [HYDROGEN] * 10, [-0.18, -0.12, -0.12, -0.18] + [0.06] * 10
    total = 0.0
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            r = np.linalg.norm(a - b)
            x = np.clip((r - switch_distance) / (cutoff - switch_distance), 0.0, 1.0)
            switch = 1 - 10 * x**3 + 15 * x**4 - 6 * x**5
            total += switch * nine_six(r, kinds[i], kinds[j]) + 138.935456 * charges[i] * charges[j] / r
    return total


@pytest.mark.slow
@pytest.mark.physics
def test_box_minus_isolated_molecules_is_what_acts_between_them(pair, parameters):
    topology, positions = pair
    system = create_pcff_system(topology, parameters=parameters, dispersion_correction=False, ewald_tolerance=1e-5)
    energy, forces = evaluate(system, positions, {NONBONDED_GROUP})
    systems = create_isolated_nonbonded_systems(molecules.alkane([180])[0], parameters=parameters)
    isolated_energy, isolated_forces = IsolatedMolecules(systems, 2, REFERENCE).evaluate(positions)
    first, second = np.split(positions, 2)
    between = energy_between(first, second)
    assert energy - isolated_energy == pytest.approx(between, abs=2e-3)  # what is left are the images, 4 nm away
    step = 1e-5 * np.eye(3)
    slope = [(energy_between(first, second + h) - energy_between(first, second - h)) / 2e-5 for h in step]
    np.testing.assert_allclose((forces - isolated_forces)[len(first) :].sum(axis=0), -np.array(slope), atol=0.02)
    # Controls: molecules do act on one another, and also on themselves.
    assert abs(between) > 1.0 and np.abs(slope).max() > 1.0 and abs(isolated_energy) > 1.0


def test_isolated_systems_hold_one_non_bonded_force_each(parameters):
    coulomb, van_der_waals = create_isolated_nonbonded_systems(molecules.alkane([180])[0], parameters=parameters)
    assert [force.getName() for force in coulomb.getForces()] == ["PCFF Coulomb"]
    assert [force.getName() for force in van_der_waals.getForces()] == ["PCFF van der Waals"]
    assert not any(system.usesPeriodicBoundaryConditions() for system in (coulomb, van_der_waals))


def test_constraints_make_bonds_to_hydrogens_rigid(pair, parameters):
    system = create_pcff_system(pair[0], parameters=parameters, constraints=app.HBonds)
    assert system.getNumConstraints() == 20
    assert [system.getConstraintParameters(i)[2]._value for i in range(20)] == pytest.approx([0.11] * 20)
    assert system.getForce(0).getNumBonds() == 6
    assert create_pcff_system(pair[0], parameters=parameters).getNumConstraints() == 0


def test_hydrogen_mass_is_taken_from_the_carbon(pair, parameters):
    plain = create_pcff_system(pair[0], parameters=parameters)
    heavy = create_pcff_system(pair[0], parameters=parameters, hydrogen_mass=3.0)
    masses = [[system.getParticleMass(i)._value for i in range(14)] for system in (plain, heavy)]
    assert masses[0] == [12.5] * 4 + [1.5] * 10
    assert masses[1] == [8.0, 9.5, 9.5, 8.0] + [3.0] * 10
    with pytest.raises(InputError, match="leaves an atom a mass of"):
        create_pcff_system(pair[0], parameters=parameters, hydrogen_mass=6.0)


def test_box_dispersion_correction_and_cutoffs_are_as_asked_for(pair, parameters):
    system = create_pcff_system(pair[0], parameters=parameters, cutoff=0.8, switch_distance=0.7)
    assert system.getDefaultPeriodicBoxVectors()[2][2]._value == LENGTH
    van_der_waals, coulomb = list(system.getForces())[-2:]
    assert van_der_waals.getCutoffDistance()._value == coulomb.getCutoffDistance()._value == 0.8
    assert van_der_waals.getSwitchingDistance()._value == 0.7
    assert van_der_waals.getUseLongRangeCorrection()
    plain = create_pcff_system(pair[0], parameters=parameters, dispersion_correction=False)
    assert not plain.getForce(plain.getNumForces() - 2).getUseLongRangeCorrection()


def test_topology_without_a_box_is_refused(parameters):
    with pytest.raises(InputError, match="no periodic box"):
        create_pcff_system(molecules.alkane([180])[0], parameters=parameters)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"atom_types": ["c3"]}, "1 atom types for 28 atoms"),
        ({"atom_types": ["ct"] * 28}, "atom types 'ct' are not among those of made-up.frc"),
        ({"charges": [0.1]}, r"charges of shape \(1,\) for 28 atoms"),
        ({"switch_distance": 1.2}, "cutoff=1.0 nm with switch_distance=1.2"),
        ({"constraints": app.AllBonds}, "use openmm.app.HBonds or None"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(pair, parameters, arguments, match):
    with pytest.raises(InputError, match=match):
        create_pcff_system(pair[0], parameters=parameters, **arguments)


def test_missing_parameters_are_named_and_never_zero(pair, tmp_path):
    text = made_up.TEXT.replace(" 1.0 1 c  c  h  20.0 11.0\n", "")
    text = text.replace(" 1.0 1 h  3.0 0.02\n", "")
    with pytest.raises(InputError, match=r"bond-angle: c2-c3-hc, c3-c2-hc, c2-c2-hc\n") as error:
        create_pcff_system(pair[0], parameters=made_up.parameters(tmp_path, text))
    assert "nonbond(9-6): hc" in str(error.value)
