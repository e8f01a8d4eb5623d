"""The folder of a run: which files it holds, what is in them, and how they are written so that a kill loses nothing."""

from openmm_cgml.runs.checkpoint import Checkpoint
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.record import RunRecord
from openmm_cgml.runs.result import SimulationResult
from openmm_cgml.runs.snapshot import Snapshot

__all__ = ["Checkpoint", "RunFolder", "RunRecord", "SimulationResult", "Snapshot"]
