"""Networks that learn the forces the priors leave over."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.networks.config import SchNetConfig
    from openmm_cgml.networks.registry import NETWORKS, build_network
    from openmm_cgml.networks.schnet import SchNet, dimer_energy

__all__ = ["NETWORKS", "SchNet", "SchNetConfig", "build_network", "dimer_energy"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "NETWORKS": "registry",
        "SchNet": "schnet",
        "SchNetConfig": "config",
        "build_network": "registry",
        "dimer_energy": "schnet",
    },
)
