"""Training: priors fitted, and a network trained on the forces they leave over."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.training.config import DataConfig, FitConfig, TrainingConfig
    from openmm_cgml.training.fitting import FitResult, fit

__all__ = [
    "DataConfig",
    "FitConfig",
    "FitResult",
    "TrainingConfig",
    "fit",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "DataConfig": "config",
        "FitConfig": "config",
        "FitResult": "fitting",
        "TrainingConfig": "config",
        "fit": "fitting",
    },
    moved={
        "PriorRefineConfig": "openmm_cgml.refinement.BondedRefinementConfig",
        "RefineConfig": "openmm_cgml.refinement.NetworkRefinementConfig",
        "refine": "openmm_cgml.refinement.refine",
        "refine_priors": "openmm_cgml.refinement.refine",
    },
)
