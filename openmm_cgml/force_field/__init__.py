"""Force fields: priors and network in one verified artifact, and the OpenMM Systems made from it."""

from openmm_cgml.force_field.force_field import ForceField
from openmm_cgml.force_field.manifest import Manifest, TrainingSummary

__all__ = ["ForceField", "Manifest", "TrainingSummary"]
