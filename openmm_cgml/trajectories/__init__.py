"""Trajectories of other programs: their frames and topologies in our units, and what is wrong with them."""

from openmm_cgml.lazy import lazy_names

__all__ = [
    "TRAJECTORY_FORMATS",
    "UNIT_SYSTEMS",
    "FileTopology",
    "Finding",
    "RawFrame",
    "TrajectoryFormat",
    "TrajectorySource",
    "UnitSystem",
    "describe_findings",
    "find_constraints",
    "find_unit_system",
    "inspect_frames",
    "lennard_jones_units",
    "read_atom_topology",
    "read_bead_topology",
    "read_trajectory",
]

_MODULE_OF = {
    "TRAJECTORY_FORMATS": "formats",
    "UNIT_SYSTEMS": "unit_systems",
    "FileTopology": "topology_files",
    "Finding": "sanity",
    "RawFrame": "raw_frame",
    "TrajectoryFormat": "raw_frame",
    "TrajectorySource": "reading",
    "UnitSystem": "unit_systems",
    "describe_findings": "sanity",
    "find_constraints": "constraints",
    "find_unit_system": "unit_systems",
    "inspect_frames": "sanity",
    "lennard_jones_units": "unit_systems",
    "read_atom_topology": "topology_files",
    "read_bead_topology": "topology_files",
    "read_trajectory": "reading",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULE_OF)
