"""Refinement: bonded priors, pair priors or the network adjusted until simulations are like the reference."""

from openmm_cgml.refinement.config import (
    BondedRefinementConfig,
    NetworkRefinementConfig,
    PairRefinementConfig,
    RefinementConfig,
    config_of,
    read_refinement_config,
)
from openmm_cgml.refinement.refine import RefinementResult, refine

__all__ = [
    "BondedRefinementConfig",
    "NetworkRefinementConfig",
    "PairRefinementConfig",
    "RefinementConfig",
    "RefinementResult",
    "config_of",
    "read_refinement_config",
    "refine",
]
