"""Mappings from atoms to beads: linear operators on positions and forces, and where they come from."""

from openmm_cgml.mapping.descriptions import describe_system, to_yaml
from openmm_cgml.mapping.force_map_report import ForceMapReport
from openmm_cgml.mapping.force_weights import (
    TooFewSamplesError,
    check_constraints,
    optimal_force_weights,
    optimal_weights_exist,
    uniform_force_weights,
)
from openmm_cgml.mapping.labels import UNMAPPED, divide_residues, mapping_from_labels
from openmm_cgml.mapping.metis import group_by_metis
from openmm_cgml.mapping.most_variance import group_by_variance
from openmm_cgml.mapping.operator import Mapping
from openmm_cgml.mapping.partition import partition_molecule
from openmm_cgml.mapping.smarts import group_by_smarts
from openmm_cgml.mapping.spectral import group_by_spectrum
from openmm_cgml.mapping.templates import center_of_mass_mapping, mapping_from_specification, templates_of_masses
from openmm_cgml.mapping.votca import VotcaMolecule, mapping_from_votca, read_votca_mapping
from openmm_cgml.wholeness import BondForest

__all__ = [
    "UNMAPPED",
    "BondForest",
    "ForceMapReport",
    "Mapping",
    "TooFewSamplesError",
    "VotcaMolecule",
    "center_of_mass_mapping",
    "check_constraints",
    "describe_system",
    "divide_residues",
    "group_by_metis",
    "group_by_smarts",
    "group_by_spectrum",
    "group_by_variance",
    "mapping_from_labels",
    "mapping_from_specification",
    "mapping_from_votca",
    "optimal_force_weights",
    "optimal_weights_exist",
    "partition_molecule",
    "read_votca_mapping",
    "templates_of_masses",
    "to_yaml",
    "uniform_force_weights",
]
