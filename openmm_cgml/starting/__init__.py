"""Starting a system: from the SMILES of small molecules to a folder that runs as it is."""

from openmm_cgml.starting.config import StartConfig
from openmm_cgml.starting.folder import StartedSystem, start_system

__all__ = ["StartConfig", "StartedSystem", "start_system"]
