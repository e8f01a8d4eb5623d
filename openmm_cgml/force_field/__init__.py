"""Force fields: priors and network in one verified artifact, and the OpenMM Systems made from it."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.force_field.force_field import ForceField
    from openmm_cgml.force_field.manifest import Manifest, TrainingSummary

__all__ = ["ForceField", "Manifest", "TrainingSummary"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "ForceField": "force_field",
        "Manifest": "manifest",
        "TrainingSummary": "manifest",
    },
)
