"""Atomistic side: builds and runs reference liquids and records positions, forces and energies for force matching."""

from openmm_cgml.reference.atomistic_box import AtomisticBox
from openmm_cgml.reference.atomistic_models import ATOMISTIC_MODELS, AtomisticModel, find_atomistic_model
from openmm_cgml.reference.chain_box import ChainBox, find_polymer
from openmm_cgml.reference.config import ReferenceConfig
from openmm_cgml.reference.interaction_split import ENERGY_GROUPS, has_interaction_split, split_interactions
from openmm_cgml.reference.isolated_molecules import IsolatedMolecules, isolate_nonbonded
from openmm_cgml.reference.liquid_box import LiquidBox, build_liquid, create_reference_system
from openmm_cgml.reference.mean_force import (
    MeanForceConfig,
    NoiseFloor,
    add_bead_restraints,
    compute_mean_forces,
    format_noise_floor,
)
from openmm_cgml.reference.mixture import Mixture
from openmm_cgml.reference.polymers import AtomisticPolymer, MonomerUnit
from openmm_cgml.reference.pressure import AtomisticBarometer, RecordedPressure, measure_pressure
from openmm_cgml.reference.recorder import ForceRecorder, read_frame, recording_metadata
from openmm_cgml.reference.report import Observable, ReferenceReport, format_report, report_reference
from openmm_cgml.reference.rerun import ForceCalculator, create_system_from_files
from openmm_cgml.reference.run import ReferenceResult, run_reference

__all__ = [
    "ATOMISTIC_MODELS",
    "ENERGY_GROUPS",
    "AtomisticBarometer",
    "AtomisticBox",
    "AtomisticModel",
    "AtomisticPolymer",
    "ChainBox",
    "ForceCalculator",
    "ForceRecorder",
    "IsolatedMolecules",
    "LiquidBox",
    "MeanForceConfig",
    "Mixture",
    "MonomerUnit",
    "NoiseFloor",
    "Observable",
    "RecordedPressure",
    "ReferenceConfig",
    "ReferenceReport",
    "ReferenceResult",
    "add_bead_restraints",
    "build_liquid",
    "compute_mean_forces",
    "create_reference_system",
    "create_system_from_files",
    "find_atomistic_model",
    "find_polymer",
    "format_noise_floor",
    "format_report",
    "has_interaction_split",
    "isolate_nonbonded",
    "measure_pressure",
    "read_frame",
    "recording_metadata",
    "report_reference",
    "run_reference",
    "split_interactions",
]
