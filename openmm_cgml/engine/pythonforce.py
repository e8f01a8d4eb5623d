"""The network as OpenMM's `PythonForce`."""

from __future__ import annotations

import json
import logging
from dataclasses import fields
from typing import Any

import torch

from openmm_cgml.engine.cpu import TabulatedNetwork
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.networks import build_network
from openmm_cgml.potentials import PowerRepulsion
from openmm_cgml.topology import CGTopology

_log = logging.getLogger(__name__)


class NetworkFunction:
    """The callable that `PythonForce` holds: `State` in, energy and forces out.

    OpenMM copies and serialises it with the System; what is stored is the network's settings, weights and topology, so
    a copy works in another process that has this package.
    """

    def __init__(self, deployed: DeployedNetwork, *, periodic: bool, exact: bool = False) -> None:
        """Args:
        deployed: The network bound to the topology of the System.
        periodic: Whether to use the State's box.
        exact: Evaluate the network itself instead of its filter tables.
        """
        self.deployed = deployed.eval()
        self.periodic = periodic
        self.exact = exact
        self._tabulated = None if exact or deployed.n_replicas > 1 else TabulatedNetwork(deployed)

    def __call__(self, state: Any) -> tuple[float, Any]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3), at an OpenMM state."""
        positions = state.getPositions(asNumpy=True)._value
        box = state.getPeriodicBoxVectors(asNumpy=True)._value if self.periodic else None
        try:
            if self._tabulated is not None:
                return self._tabulated(positions, box)
            with torch.enable_grad():
                energy, forces = self.deployed(
                    torch.from_numpy(positions), None if box is None else torch.from_numpy(box)
                )
            return float(energy), forces.numpy()
        except RuntimeError:
            _log.error("the network failed", exc_info=True)  # OpenMM passes on the message but not the traceback
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        from safetensors.torch import save

        deployed = self.deployed
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
            "periodic": self.periodic,
            "exact": self.exact,
        }
        weights = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
        return _rebuild, (json.dumps(description), weights)


def _describe(potential: PowerRepulsion | None) -> dict[str, Any] | None:
    """What a pair prior is made of, as JSON holds it."""
    if potential is None:
        return None
    values = {field.name: getattr(potential, field.name) for field in fields(potential)}
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}


def _rebuild(description: str, weights: bytes) -> NetworkFunction:
    from safetensors.torch import load

    content = json.loads(description)
    network = build_network(content["kind"], content["settings"], content["n_types"])
    network = network.to(getattr(torch, content["dtype"]))
    network.load_state_dict(load(weights))
    pair_potential = content["pair_potential"]
    deployed = DeployedNetwork(
        network,
        CGTopology.from_dict(content["topology"]),
        exclude_bonds=content["exclude_bonds"],
        skin=content["skin"],
        n_replicas=content["n_replicas"],
        pair_potential=None if pair_potential is None else PowerRepulsion(**pair_potential),
    )
    return NetworkFunction(deployed, periodic=content["periodic"], exact=content["exact"])


def create_python_force(deployed: DeployedNetwork, *, periodic: bool, exact: bool = False) -> Any:
    """A `PythonForce` that evaluates `deployed`, or its filter tables unless `exact`."""
    import openmm

    return openmm.PythonForce(NetworkFunction(deployed, periodic=periodic, exact=exact))
