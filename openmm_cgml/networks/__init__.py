"""Networks that learn the forces the priors leave over."""

from openmm_cgml.networks.registry import NETWORKS, build_network
from openmm_cgml.networks.schnet import SchNet, SchNetConfig

__all__ = ["NETWORKS", "SchNet", "SchNetConfig", "build_network"]
