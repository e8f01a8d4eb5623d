"""Networks that learn the forces the priors leave over."""

from openmm_cgml.networks.registry import NETWORKS, build_network
from openmm_cgml.networks.schnet import SchNet, SchNetConfig, dimer_energy

__all__ = ["NETWORKS", "SchNet", "SchNetConfig", "build_network", "dimer_energy"]
