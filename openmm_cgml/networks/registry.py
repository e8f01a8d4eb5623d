"""The closed list of network kinds an artifact may name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from openmm_cgml.errors import InputError
from openmm_cgml.networks.config import SchNetConfig
from openmm_cgml.networks.schnet import SchNet

NETWORKS: Mapping[str, tuple[type[SchNetConfig], type[SchNet]]] = MappingProxyType({"schnet": (SchNetConfig, SchNet)})
"""Kind -> (configuration class, network class)."""


def build_network(kind: str, settings: Mapping[str, Any], n_types: int) -> SchNet:
    """A network with fresh random weights.

    Args:
        kind: A key of `NETWORKS`.
        settings: Fields of its configuration, lengths in nm.
        n_types: Number of bead types.

    Raises:
        InputError: If the kind is unknown or the settings do not fit it.
    """
    if kind not in NETWORKS:
        raise InputError(f"unknown network {kind!r}; known are {', '.join(NETWORKS)}")
    config_class, network_class = NETWORKS[kind]
    return network_class(config_class(**settings), n_types)
