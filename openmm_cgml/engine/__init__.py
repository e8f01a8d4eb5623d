"""The deployed network: neighbor list, kernels, and the OpenMM force that calls it."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.engine.backends import (
        BACKENDS,
        PAIR_BACKENDS,
        BackendChoice,
        choose_backend,
        choose_pair_backend,
        create_ml_force,
        describe_evaluation,
        is_tabulable,
    )
    from openmm_cgml.engine.deployed import DeployedNetwork
    from openmm_cgml.engine.deployed_pairs import DeployedPairs
    from openmm_cgml.engine.deployed_sites import DeployedCenters, DeployedSites, deploy_sites
    from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
    from openmm_cgml.engine.neighbors import NeighborList
    from openmm_cgml.engine.torsions import create_torsion_force

__all__ = [
    "BACKENDS",
    "PAIR_BACKENDS",
    "BackendChoice",
    "DeployedCenters",
    "DeployedNetwork",
    "DeployedPairs",
    "DeployedSites",
    "DeployedThreeBody",
    "NeighborList",
    "choose_backend",
    "choose_pair_backend",
    "create_ml_force",
    "create_torsion_force",
    "deploy_sites",
    "describe_evaluation",
    "is_tabulable",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BACKENDS": "backends",
        "PAIR_BACKENDS": "backends",
        "BackendChoice": "backends",
        "DeployedCenters": "deployed_sites",
        "DeployedNetwork": "deployed",
        "DeployedPairs": "deployed_pairs",
        "DeployedSites": "deployed_sites",
        "DeployedThreeBody": "deployed_three_body",
        "NeighborList": "neighbors",
        "choose_backend": "backends",
        "choose_pair_backend": "backends",
        "create_ml_force": "backends",
        "create_torsion_force": "torsions",
        "deploy_sites": "deployed_sites",
        "describe_evaluation": "backends",
        "is_tabulable": "backends",
    },
)
