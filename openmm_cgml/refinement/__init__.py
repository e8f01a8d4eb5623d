"""Refinement: bonded priors, pair priors or the network adjusted until simulations are like the reference."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.refinement.config import (
        BondedRefinementConfig,
        NetworkRefinementConfig,
        PairRefinementConfig,
        PressureRefinementConfig,
        PriorsRefinementConfig,
        RefinementConfig,
        config_of,
        read_refinement_config,
    )
    from openmm_cgml.refinement.rounds import RefinementResult, refine

__all__ = [
    "BondedRefinementConfig",
    "NetworkRefinementConfig",
    "PairRefinementConfig",
    "PressureRefinementConfig",
    "PriorsRefinementConfig",
    "RefinementConfig",
    "RefinementResult",
    "config_of",
    "read_refinement_config",
    "refine",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BondedRefinementConfig": "config",
        "NetworkRefinementConfig": "config",
        "PairRefinementConfig": "config",
        "PressureRefinementConfig": "config",
        "PriorsRefinementConfig": "config",
        "RefinementConfig": "config",
        "RefinementResult": "rounds",
        "config_of": "config",
        "read_refinement_config": "config",
        "refine": "rounds",
    },
)
