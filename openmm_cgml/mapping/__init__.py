"""Mappings from atoms to beads: linear operators on positions and forces, and where they come from."""

from openmm_cgml.mapping.force_weights import (
    ForceMapReport,
    check_constraints,
    optimal_force_weights,
    uniform_force_weights,
)
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.mapping.partition import partition_molecule
from openmm_cgml.mapping.templates import mapping_from_specification, templates_of_masses
from openmm_cgml.wholeness import BondForest

__all__ = [
    "BondForest",
    "ForceMapReport",
    "Mapping",
    "check_constraints",
    "mapping_from_specification",
    "optimal_force_weights",
    "partition_molecule",
    "templates_of_masses",
    "uniform_force_weights",
]
