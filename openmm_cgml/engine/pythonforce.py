"""The network as OpenMM's `PythonForce`."""

from __future__ import annotations

import logging
from typing import Any

import torch

from openmm_cgml.engine.cpu import TabulatedNetwork
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.portable import pack, unpack

_log = logging.getLogger(__name__)


class NetworkFunction:
    """The callable that `PythonForce` holds: `State` in, energy and forces out.

    OpenMM copies and serializes it with the System; what is stored is the network's settings, weights and topology, so
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
        self._tabulated = None if exact else TabulatedNetwork(deployed)

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
        return _rebuild, (pack(self.deployed), self.periodic, self.exact)


def _rebuild(packed: bytes, periodic: bool, exact: bool) -> NetworkFunction:
    return NetworkFunction(unpack(packed), periodic=periodic, exact=exact)


def create_python_force(deployed: DeployedNetwork, *, periodic: bool, exact: bool = False) -> Any:
    """A `PythonForce` that evaluates `deployed`, or its filter tables unless `exact`."""
    import openmm

    return openmm.PythonForce(NetworkFunction(deployed, periodic=periodic, exact=exact))
