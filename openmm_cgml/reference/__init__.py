"""Atomistic side: builds and runs reference liquids and records positions, forces and energies for force matching."""

from openmm_cgml.reference.atomistic_models import ATOMISTIC_MODELS, AtomisticModel, find_atomistic_model
from openmm_cgml.reference.interaction_split import ENERGY_GROUPS, has_interaction_split, split_interactions
from openmm_cgml.reference.liquid_box import build_liquid
from openmm_cgml.reference.recorder import ForceRecorder, read_frame
from openmm_cgml.reference.run import ReferenceConfig, ReferenceResult, create_reference_system, run_reference

__all__ = [
    "ATOMISTIC_MODELS",
    "ENERGY_GROUPS",
    "AtomisticModel",
    "ForceRecorder",
    "ReferenceConfig",
    "ReferenceResult",
    "build_liquid",
    "create_reference_system",
    "find_atomistic_model",
    "has_interaction_split",
    "read_frame",
    "run_reference",
    "split_interactions",
]
