"""A deployed network as bytes without code, for copies of a force in this process or another."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load, save

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.networks import build_network
from openmm_cgml.topology import CGTopology

_KEY = "deployed network"
_TABLE = "pair table: "
_ARRAYS = ("knots", "bead_types", "exclusions")


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
        "pair_table": _describe(deployed.pair_table),
        "dtype": str(network.embedding.weight.dtype).removeprefix("torch."),
    }
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    if deployed.pair_table is not None:
        weights |= {f"{_TABLE}{name}": torch.tensor(getattr(deployed.pair_table, name)) for name in _ARRAYS}
    return save(weights, metadata={_KEY: json.dumps(description)})


def unpack(data: bytes) -> DeployedNetwork:
    """The deployed network that `pack` wrote."""
    header_size = int.from_bytes(data[:8], "little")
    content = json.loads(json.loads(data[8 : 8 + header_size])["__metadata__"][_KEY])
    network = build_network(content["kind"], content["settings"], content["n_types"])
    network = network.to(getattr(torch, content["dtype"]))
    tensors = load(data)
    network.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(_TABLE)})
    arrays = {name: tensors[f"{_TABLE}{name}"].numpy() for name in _ARRAYS if f"{_TABLE}{name}" in tensors}
    return DeployedNetwork(
        network,
        CGTopology.from_dict(content["topology"]),
        exclude_bonds=content["exclude_bonds"],
        skin=content["skin"],
        n_replicas=content["n_replicas"],
        pair_table=PairTable(**arrays, **content["pair_table"]) if arrays else None,
    )


def _describe(table: PairTable | None) -> dict[str, float] | None:
    """What a table of pair priors holds beside its arrays."""
    return None if table is None else {"start": table.start, "cutoff": table.cutoff}
