"""Starting a system: from SMILES or from a recording to a folder that runs as it is."""

from openmm_cgml.starting.config import StartConfig, StartFromRecordingConfig, StartPolymerConfig
from openmm_cgml.starting.folder import StartedSystem, start_system
from openmm_cgml.starting.polymer_folder import start_polymer
from openmm_cgml.starting.recording_folder import start_from_recording

__all__ = [
    "StartConfig",
    "StartFromRecordingConfig",
    "StartPolymerConfig",
    "StartedSystem",
    "start_from_recording",
    "start_polymer",
    "start_system",
]
