"""A deployed network, or pair priors alone, as bytes without code, for copies of a force in this process or another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.deployed_pairs import DeployedPairs
from openmm_cgml.engine.deployed_sites import DeployedCenters, DeployedSites
from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.networks import build_network
from openmm_cgml.potentials import Centers, Sites, ThreeBody
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

_KEY, _PAIRS_KEY, _SITES_KEY = "deployed network", "deployed pairs", "deployed sites"
_THREE_BODY_KEY = "deployed three-body priors"
_TABLE, _SITES, _NETWORK = "pair table: ", "sites: ", "packed network"
_CENTERS, _CENTER_TABLE = "centers: ", "pair table of centers: "
_THREE_BODY, _FOREST = "three-body: ", "forest: "
_ARRAYS = ("cutoffs", "knots", "bead_types", "exclusions")
_SITE_ARRAYS = ("types", "molecules", "local", "frame_of", "frames", "weights", "exclusions")
_CENTER_ARRAYS = ("types", "molecules", "members", "shares", "exclusions")
_THREE_BODY_ARRAYS = ("bead_types", "coefficients")
_FOREST_ARRAYS = ("bonds", "parents", "roots")


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
        weights |= _arrays_of(deployed.pair_table)
    return save(weights, metadata={_KEY: json.dumps(description)})


def unpack(data: bytes) -> DeployedNetwork:
    """The deployed network that `pack` wrote."""
    content = _read_description(data, _KEY)
    network = build_network(content["kind"], content["settings"], content["n_types"])
    network = network.to(getattr(torch, content["dtype"]))
    tensors = load(data)
    network.load_state_dict({name: tensor for name, tensor in tensors.items() if not name.startswith(_TABLE)})
    return DeployedNetwork(
        network,
        CGTopology.from_dict(content["topology"]),
        exclude_bonds=content["exclude_bonds"],
        skin=content["skin"],
        n_replicas=content["n_replicas"],
        pair_table=_table_of(tensors, content["pair_table"]),
    )


def pack_pairs(deployed: DeployedPairs) -> bytes:
    """The tables and the number of replicas, in safetensors' format."""
    description = {
        "skin": deployed.skin,
        "n_replicas": deployed.n_replicas,
        "pair_table": _describe(deployed.pair_table),
    }
    return save(_arrays_of(deployed.pair_table), metadata={_PAIRS_KEY: json.dumps(description)})


def unpack_pairs(data: bytes) -> DeployedPairs:
    """What `pack_pairs` wrote."""
    content = _read_description(data, _PAIRS_KEY)
    table = _table_of(load(data), content["pair_table"])
    assert table is not None  # pack_pairs writes one
    return DeployedPairs(pair_table=table, n_replicas=content["n_replicas"], skin=content["skin"])


def pack_sites(deployed: DeployedSites) -> bytes:
    """The sites, their tables and, if there are some, centers and network, in safetensors' format."""
    description: dict[str, Any] = {
        "skin": deployed.skin,
        "n_replicas": deployed.n_replicas,
        "pair_table": _describe(deployed.pair_table),
        "n_beads": deployed.n_beads,
        "type_names": deployed.sites.type_names,
    }
    arrays = _arrays_of(deployed.pair_table)
    arrays |= {f"{_SITES}{name}": torch.tensor(getattr(deployed.sites, name)) for name in _SITE_ARRAYS}
    if deployed.centers is not None:
        centers, table = deployed.centers.centers, deployed.centers.pair_table
        description["centers"] = {"type_names": centers.type_names, "pair_table": _describe(table)}
        arrays |= _arrays_of(table, _CENTER_TABLE)
        arrays |= {f"{_CENTERS}{name}": torch.tensor(getattr(centers, name)) for name in _CENTER_ARRAYS}
    if deployed.network is not None:
        arrays[_NETWORK] = torch.frombuffer(bytearray(pack(deployed.network)), dtype=torch.uint8)
    return save(arrays, metadata={_SITES_KEY: json.dumps(description)})


def unpack_sites(data: bytes) -> DeployedSites:
    """What `pack_sites` wrote."""
    content, tensors = _read_description(data, _SITES_KEY), load(data)
    table = _table_of(tensors, content["pair_table"])
    assert table is not None  # pack_sites writes one
    arrays: dict[str, Any] = {name: tensors[f"{_SITES}{name}"].numpy() for name in _SITE_ARRAYS}
    return DeployedSites(
        sites=Sites(n_beads=content["n_beads"], type_names=tuple(content["type_names"]), **arrays),
        pair_table=table,
        centers=_centers_of(tensors, content.get("centers")),
        network=unpack(tensors[_NETWORK].numpy().tobytes()) if _NETWORK in tensors else None,
        n_replicas=content["n_replicas"],
        skin=content["skin"],
    )


def _centers_of(tensors: Mapping[str, Tensor], content: Mapping[str, Any] | None) -> DeployedCenters | None:
    if content is None:
        return None
    table = _table_of(tensors, content["pair_table"], _CENTER_TABLE)
    assert table is not None  # pack_sites writes one
    arrays: dict[str, Any] = {name: tensors[f"{_CENTERS}{name}"].numpy() for name in _CENTER_ARRAYS}
    return DeployedCenters(centers=Centers(type_names=tuple(content["type_names"]), **arrays), pair_table=table)


def pack_three_body(deployed: DeployedThreeBody) -> bytes:
    """The three-body priors, the tables and the network that go with them, in safetensors' format."""
    potential = deployed.three_body
    description = {
        "skin": deployed.skin,
        "n_replicas": deployed.n_replicas,
        "pair_table": _describe(deployed.pair_table),
        "cutoff": potential.cutoff,
    }
    arrays = {} if deployed.pair_table is None else _arrays_of(deployed.pair_table)
    arrays |= {f"{_THREE_BODY}{name}": torch.tensor(getattr(potential, name)) for name in _THREE_BODY_ARRAYS}
    arrays |= {f"{_FOREST}{name}": torch.tensor(getattr(potential.forest, name)) for name in _FOREST_ARRAYS}
    if deployed.network is not None:
        arrays[_NETWORK] = torch.frombuffer(bytearray(pack(deployed.network)), dtype=torch.uint8)
    return save(arrays, metadata={_THREE_BODY_KEY: json.dumps(description)})


def unpack_three_body(data: bytes) -> DeployedThreeBody:
    """What `pack_three_body` wrote."""
    content, tensors = _read_description(data, _THREE_BODY_KEY), load(data)
    arrays: dict[str, Any] = {name: tensors[f"{_THREE_BODY}{name}"].numpy() for name in _THREE_BODY_ARRAYS}
    forest: dict[str, Any] = {name: tensors[f"{_FOREST}{name}"].numpy() for name in _FOREST_ARRAYS}
    return DeployedThreeBody(
        three_body=ThreeBody(cutoff=content["cutoff"], forest=BondForest(**forest), **arrays),
        pair_table=_table_of(tensors, content["pair_table"]),
        network=unpack(tensors[_NETWORK].numpy().tobytes()) if _NETWORK in tensors else None,
        n_replicas=content["n_replicas"],
        skin=content["skin"],
    )


def _read_description(data: bytes, key: str) -> Any:
    header_size = int.from_bytes(data[:8], "little")
    return json.loads(json.loads(data[8 : 8 + header_size])["__metadata__"][key])


def _arrays_of(table: PairTable, prefix: str = _TABLE) -> dict[str, Tensor]:
    return {f"{prefix}{name}": torch.tensor(getattr(table, name)) for name in _ARRAYS}


def _table_of(
    tensors: Mapping[str, Tensor], description: Mapping[str, float] | None, prefix: str = _TABLE
) -> PairTable | None:
    if description is None:
        return None
    return PairTable(**{name: tensors[f"{prefix}{name}"].numpy() for name in _ARRAYS}, **description)  # type: ignore[arg-type]


def _describe(table: PairTable | None) -> dict[str, float] | None:
    """What a table of pair priors holds beside its arrays."""
    return None if table is None else {"start": table.start, "cutoff": table.cutoff}
