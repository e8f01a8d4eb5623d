"""Starting a system: from SMILES of molecules or of a repeat unit to a folder that runs as it is."""

from openmm_cgml.starting.config import StartConfig, StartPolymerConfig
from openmm_cgml.starting.folder import StartedSystem, start_system
from openmm_cgml.starting.polymer_folder import start_polymer

__all__ = ["StartConfig", "StartPolymerConfig", "StartedSystem", "start_polymer", "start_system"]
