"""Coarse-grained and atomistic topologies: what particles there are and how they are connected, without positions."""

from openmm_cgml.residues import ChainTemplate, MoleculeTemplate, ResidueTemplate
from openmm_cgml.topology.atoms import AtomTopology
from openmm_cgml.topology.coarse import MAX_TYPES, CGTopology
from openmm_cgml.topology.elements import register_elements
from openmm_cgml.topology.graph import connected_components
from openmm_cgml.topology.openmm_topology import chain_id

__all__ = [
    "MAX_TYPES",
    "AtomTopology",
    "CGTopology",
    "ChainTemplate",
    "MoleculeTemplate",
    "ResidueTemplate",
    "chain_id",
    "connected_components",
    "register_elements",
]
