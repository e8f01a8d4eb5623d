"""Training: priors fitted, and a network trained on the forces they leave over."""

from openmm_cgml.training.config import DataConfig, FitConfig, TrainingConfig
from openmm_cgml.training.fit import FitResult, fit
from openmm_cgml.training.prior_refinement import PriorRefineConfig, PriorRefineResult, refine_priors
from openmm_cgml.training.refinement import RefineConfig, RefineResult, refine

__all__ = [
    "DataConfig",
    "FitConfig",
    "FitResult",
    "PriorRefineConfig",
    "PriorRefineResult",
    "RefineConfig",
    "RefineResult",
    "TrainingConfig",
    "fit",
    "refine",
    "refine_priors",
]
