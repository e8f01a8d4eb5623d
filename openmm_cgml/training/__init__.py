"""Training: priors fitted, and a network trained on the forces they leave over."""

from openmm_cgml.training.config import DataConfig, FitConfig, TrainingConfig
from openmm_cgml.training.fit import FitResult, fit

__all__ = [
    "DataConfig",
    "FitConfig",
    "FitResult",
    "TrainingConfig",
    "fit",
]
