"""PCFF in OpenMM against LAMMPS: two decanes, and toluene for the terms that alkanes lack."""

from dataclasses import dataclass, replace

import numpy as np
import openmm
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff import (
    PCFFParameters,
    assign_pcff_types,
    compute_bond_increment_charges,
    create_pcff_system,
    find_parameter_file,
    read_pcff_parameters,
)
from tests.reference.pcff import lammps_oracle, molecules

pytestmark = [
    pytest.mark.slow,
    pytest.mark.physics,
    pytest.mark.skipif(lammps_oracle.missing() is not None, reason=f"needs LAMMPS; {lammps_oracle.missing()}"),
]

LENGTH, CUTOFF = 2.6, 1.0
ENERGY_TOLERANCE = 1e-5  # kJ/mol
FORCE_TOLERANCE = 1e-6  # of the root mean square
TERMS = {
    "bond": ("PCFF bonds",),
    "angle": ("PCFF angles",),
    "dihedral": ("PCFF torsions",),
    "improper": ("PCFF angle-angle", "PCFF out of plane"),
    "van_der_waals": ("PCFF van der Waals",),
}
# Cross terms by LAMMPS's name and ours.
CROSS_TERMS = {
    "bb": "bond-bond",
    "ba": "bond-angle",
    "mbt": "middle_bond-torsion_3",
    "ebt": "end_bond-torsion_3",
    "at": "angle-torsion_3",
    "aat": "angle-angle-torsion_1",
    "bb13": "bond-bond_1_3",
    "aa": "angle-angle",
}


@dataclass(frozen=True)
class Case:
    topology: object
    types: list
    positions: np.ndarray
    parameters: PCFFParameters
    data: object  # LAMMPS data file, made by msi2lmp

    def evaluate(self, parameters=None, groups=-1):
        """Energies by force [kJ/mol] and all forces [kJ/mol/nm], of OpenMM."""
        system = create_pcff_system(
            self.topology,
            self.types,
            parameters=parameters or self.parameters,
            cutoff=CUTOFF,
            switch_distance=None,
            dispersion_correction=False,
        )
        for number, force in enumerate(system.getForces()):
            force.setForceGroup(number)
            if isinstance(force, openmm.NonbondedForce):
                # The sum that the mesh approximates; LAMMPS does the same here.
                force.setNonbondedMethod(force.Ewald)
                force.setEwaldErrorTolerance(1e-8)
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
        context.setPositions(self.positions)
        energies = {}
        for number, force in enumerate(system.getForces()):
            if groups == -1 or number in groups:
                energies[force.getName()] = context.getState(energy=True, groups={number}).getPotentialEnergy()._value
        forces = context.getState(forces=True, groups=groups).getForces(asNumpy=True)._value
        return energies, np.asarray(forces)

    def bonded_energy(self, parameters):
        """Sum of all bonded terms [kJ/mol]."""
        energies, _ = self.evaluate(parameters, groups=set(range(5)))
        return sum(energy for name, energy in energies.items() if name not in ("PCFF van der Waals", "PCFF Coulomb"))

    def scaled(self, table, factor):
        """The parameters with one table multiplied by a factor."""
        rows = {types: tuple(factor * v for v in values) for types, values in self.parameters.tables[table].items()}
        return replace(self.parameters, tables={**self.parameters.tables, table: rows})


def decanes():
    one = molecules.alkane([180, 65, 170, -70, 180, 60, 175])
    topology, positions = molecules.copies(*one, shifts=[(0, 0, 0), (0, 0.5, 0.6)])
    return topology, assign_pcff_types(topology), positions


def toluene():
    # msi2lmp 3.9.11 does not look up equivalent types for the angle-angle terms of trigonal atoms: the types it needs.
    topology, types, positions = molecules.toluene()
    return topology, [{"c3": "c", "hc": "h"}.get(name, name) for name in types], positions


@pytest.fixture(scope="module", params=[decanes, toluene], ids=["decanes", "toluene"])
def case(request, tmp_path_factory):
    topology, types, positions = request.param()
    molecules.in_cube(topology, LENGTH)
    positions = np.round(positions, 8)  # as many digits as the files have
    parameters = read_pcff_parameters()
    charges = compute_bond_increment_charges(topology, types, parameters)
    data = lammps_oracle.write_data_file(
        tmp_path_factory.mktemp("lammps"), topology, types, charges, positions, LENGTH, find_parameter_file()
    )
    return Case(topology, types, positions, parameters, data)


def test_energies_and_forces_are_those_of_lammps(case):
    expected = lammps_oracle.evaluate(case.data, CUTOFF)
    energies, forces = case.evaluate()
    for name, parts in TERMS.items():
        energy = sum(energies.get(part, 0.0) for part in parts)
        assert energy == pytest.approx(expected.energies[name], abs=ENERGY_TOLERANCE), name
        assert abs(energy) > 1000 * ENERGY_TOLERANCE, name
    coulomb = expected.energies["coulomb"] + expected.energies["reciprocal"]
    assert energies["PCFF Coulomb"] == pytest.approx(coulomb, abs=1e-4)
    rms = np.sqrt((expected.forces**2).mean())
    np.testing.assert_allclose(forces, expected.forces, atol=FORCE_TOLERANCE * rms)


def test_wrong_sign_in_one_cross_term_is_noticed(case):
    """Control of the comparison above."""
    expected = lammps_oracle.evaluate(case.data, CUTOFF)
    energies, forces = case.evaluate(case.scaled("end_bond-torsion_3", -1.0))
    assert abs(energies["PCFF torsions"] - expected.energies["dihedral"]) > 1000 * ENERGY_TOLERANCE
    rms = np.sqrt((expected.forces**2).mean())
    assert np.abs(forces - expected.forces).max() > 1000 * FORCE_TOLERANCE * rms


def test_each_cross_term_is_that_of_lammps(case):
    """By the difference that it makes to be without it."""
    expected = lammps_oracle.evaluate_cross_terms(case.data, CUTOFF)
    full = case.bonded_energy(case.parameters)
    ours = {key: full - case.bonded_energy(case.scaled(table, 0.0)) for key, table in CROSS_TERMS.items()}
    assert ours == pytest.approx(expected, abs=ENERGY_TOLERANCE)
    present = [key for key in CROSS_TERMS if key != "bb13" or "cp" in case.types]
    # Control: twice a term, which a wrong sign would make, is far more than the tolerance.
    assert all(abs(2 * ours[key]) > 100 * ENERGY_TOLERANCE for key in present)


def test_dispersion_correction_is_that_of_lammps(case):
    plain, corrected = (lammps_oracle.evaluate(case.data, CUTOFF, tail=tail).energies for tail in (False, True))
    energies = []
    for correction in (False, True):
        system = create_pcff_system(
            case.topology,
            case.types,
            parameters=case.parameters,
            switch_distance=None,
            dispersion_correction=correction,
        )
        force = next(force for force in system.getForces() if force.getName() == "PCFF van der Waals")
        force.setForceGroup(9)
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatform("Reference"))
        context.setPositions(case.positions)
        energies.append(context.getState(energy=True, groups={9}).getPotentialEnergy()._value)
    tail = corrected["van_der_waals"] - plain["van_der_waals"]
    assert tail < -0.01
    # The two disagree on whether an atom is one of its own neighbors.
    assert energies[1] - energies[0] == pytest.approx(tail, rel=1 / len(case.types))


def test_converter_mixes_up_reference_angles_of_angle_angle_terms_only(case):
    """Why the oracle puts them in order; when this fails, msi2lmp has been mended and the oracle must not any more."""
    ordered, converted = (lammps_oracle.evaluate(case.data, CUTOFF, as_converted=mixed) for mixed in (False, True))
    differing = {name for name in lammps_oracle.TERMS if abs(ordered.energies[name] - converted.energies[name]) > 1e-6}
    assert differing == {"improper"}


def test_parameters_that_the_file_lacks_are_named():
    topology = molecules.molecule([molecules.CARBON] * 3, [(0, 1), (1, 2)])
    with pytest.raises(InputError, match=r"quartic_bond: c3-ct, ct-nt\n"):
        create_pcff_system(
            molecules.in_cube(topology, LENGTH),
            ["c3", "ct", "nt"],
            charges=[0.0] * 3,
            parameters=read_pcff_parameters(),
        )
