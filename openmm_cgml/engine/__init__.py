"""The deployed network: neighbor list, kernels, and the OpenMM force that calls it."""

from openmm_cgml.engine.backends import (
    BACKENDS,
    BackendChoice,
    choose_backend,
    create_ml_force,
    describe_evaluation,
    is_tabulable,
)
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.neighbors import NeighborList

__all__ = [
    "BACKENDS",
    "BackendChoice",
    "DeployedNetwork",
    "NeighborList",
    "choose_backend",
    "create_ml_force",
    "describe_evaluation",
    "is_tabulable",
]
