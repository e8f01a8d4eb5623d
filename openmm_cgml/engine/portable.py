"""A deployed network as bytes without code, for copies of a force in this process or another."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import torch
from safetensors.torch import load, save

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.networks import build_network
from openmm_cgml.potentials import PowerRepulsion
from openmm_cgml.topology import CGTopology

_KEY = "deployed network"


def pack(deployed: DeployedNetwork) -> bytes:
    """The network's settings and weights, its topology and how it is evaluated, in safetensors' format."""
    network = deployed.network
    description = {
        "kind": network.config.kind,
        "settings": network.config.model_dump(),
        "n_types": network.n_types,
        "topology": deployed.topology.to_dict(),
        "exclude_bonds": deployed.exclude_bonds,
        "skin": deployed.neighbors.skin,
        "n_replicas": deployed.n_replicas,
        "pair_potential": _describe(deployed.pair_potential),
        "dtype": str(network.embedding.weight.dtype).removeprefix("torch."),
    }
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return save(weights, metadata={_KEY: json.dumps(description)})


def unpack(data: bytes) -> DeployedNetwork:
    """The deployed network that `pack` wrote."""
    header_size = int.from_bytes(data[:8], "little")
    content = json.loads(json.loads(data[8 : 8 + header_size])["__metadata__"][_KEY])
    network = build_network(content["kind"], content["settings"], content["n_types"])
    network = network.to(getattr(torch, content["dtype"]))
    network.load_state_dict(load(data))
    pair_potential = content["pair_potential"]
    return DeployedNetwork(
        network,
        CGTopology.from_dict(content["topology"]),
        exclude_bonds=content["exclude_bonds"],
        skin=content["skin"],
        n_replicas=content["n_replicas"],
        pair_potential=None if pair_potential is None else PowerRepulsion(**pair_potential),
    )


def _describe(potential: PowerRepulsion | None) -> dict[str, Any] | None:
    """What a pair prior is made of, as JSON holds it."""
    if potential is None:
        return None
    values = {field.name: getattr(potential, field.name) for field in fields(potential)}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}
