"""Network and pair priors as OpenMM's `PythonForce`."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import torch

from openmm_cgml.engine.cpu import TabulatedNetwork, TabulatedPairs
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.deployed_pairs import DeployedPairs
from openmm_cgml.engine.deployed_sites import DeployedSites
from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
from openmm_cgml.engine.portable import (
    pack,
    pack_pairs,
    pack_sites,
    pack_three_body,
    unpack,
    unpack_pairs,
    unpack_sites,
    unpack_three_body,
)
from openmm_cgml.engine.sites import TabulatedSites
from openmm_cgml.engine.three_body import EvaluatedThreeBody

_log = logging.getLogger(__name__)


class PairFunction:
    """The callable that `PythonForce` holds for pair priors alone: `State` in, energy and forces out.

    OpenMM copies and serializes it with the System; what is stored are the tables, so a copy works in another process
    that has this package.
    """

    def __init__(self, deployed: DeployedPairs, *, periodic: bool) -> None:
        """Args:
        deployed: The tables bound to the beads of the System.
        periodic: Whether to use the State's box.
        """
        self.deployed = deployed
        self.periodic = periodic
        self._evaluate = TabulatedPairs(deployed)

    def __call__(self, state: Any) -> tuple[float, Any]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3), at an OpenMM state."""
        try:
            return self._evaluate(*positions_and_box(state, self.periodic))
        except RuntimeError:
            _log.error("the pair priors failed", exc_info=True)  # OpenMM passes on the message, not the traceback
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_pairs, (pack_pairs(self.deployed), self.periodic)


class _WithNetwork:
    """A callable that `PythonForce` holds for priors and a network on the same beads, which is evaluated with them."""

    what: ClassVar[str]

    def __init__(
        self,
        evaluate: TabulatedSites | EvaluatedThreeBody,
        network: DeployedNetwork | None,
        *,
        periodic: bool,
        exact: bool,
    ) -> None:
        self.periodic = periodic
        self.exact = exact
        self._evaluate = evaluate
        self._network = None if network is None else NetworkFunction(network, periodic=periodic, exact=exact)

    def __call__(self, state: Any) -> tuple[float, Any]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3), at an OpenMM state."""
        try:
            energy, forces = self._evaluate(*positions_and_box(state, self.periodic))
        except RuntimeError:
            _log.error("the %s failed", self.what, exc_info=True)  # OpenMM passes on the message alone
            raise
        if self._network is None:
            return energy, forces
        of_network, on_beads = self._network(state)
        return energy + of_network, forces + on_beads


class SiteFunction(_WithNetwork):
    """The callable that `PythonForce` holds for pair priors between sites: `State` in, energy and forces out.

    A network on the beads is evaluated with them. What is stored are tables, sites and network, as in `PairFunction`.
    """

    what: ClassVar[str] = "priors between sites"

    def __init__(self, deployed: DeployedSites, *, periodic: bool, exact: bool = False) -> None:
        """Args:
        deployed: The sites and what acts between them.
        periodic: Whether to use the State's box.
        exact: Evaluate the network itself instead of its filter tables.
        """
        self.deployed = deployed
        super().__init__(TabulatedSites(deployed), deployed.network, periodic=periodic, exact=exact)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_sites, (pack_sites(self.deployed), self.periodic, self.exact)


class ThreeBodyFunction(_WithNetwork):
    """The callable that `PythonForce` holds for three-body priors: `State` in, energy and forces out.

    Pair priors and a network on the same beads are evaluated with them. What is stored are coefficients, tables and
    network, as in `PairFunction`.
    """

    what: ClassVar[str] = "three-body priors"

    def __init__(self, deployed: DeployedThreeBody, *, periodic: bool, exact: bool = False) -> None:
        """Args:
        deployed: The three-body priors, and what goes with them.
        periodic: Whether to use the State's box.
        exact: Evaluate the network itself instead of its filter tables.
        """
        self.deployed = deployed
        super().__init__(EvaluatedThreeBody(deployed), deployed.network, periodic=periodic, exact=exact)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_three_body, (pack_three_body(self.deployed), self.periodic, self.exact)


class NetworkFunction:
    """The callable that `PythonForce` holds for a network: `State` in, energy and forces out.

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
        positions, box = positions_and_box(state, self.periodic)
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


def positions_and_box(state: Any, periodic: bool) -> tuple[Any, Any]:
    """Positions [nm], shape (n_beads, 3), and box vectors [nm], shape (3, 3), or None where they are not used."""
    box = state.getPeriodicBoxVectors(asNumpy=True)._value if periodic else None
    return state.getPositions(asNumpy=True)._value, box


def _rebuild(packed: bytes, periodic: bool, exact: bool) -> NetworkFunction:
    return NetworkFunction(unpack(packed), periodic=periodic, exact=exact)


def _rebuild_pairs(packed: bytes, periodic: bool) -> PairFunction:
    return PairFunction(unpack_pairs(packed), periodic=periodic)


def _rebuild_sites(packed: bytes, periodic: bool, exact: bool) -> SiteFunction:
    return SiteFunction(unpack_sites(packed), periodic=periodic, exact=exact)


def _rebuild_three_body(packed: bytes, periodic: bool, exact: bool) -> ThreeBodyFunction:
    return ThreeBodyFunction(unpack_three_body(packed), periodic=periodic, exact=exact)


def create_python_force(
    deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody,
    *,
    periodic: bool,
    exact: bool = False,
) -> Any:
    """A `PythonForce` that evaluates `deployed`, a network by its filter tables unless `exact`."""
    import openmm

    if isinstance(deployed, DeployedPairs):
        return openmm.PythonForce(PairFunction(deployed, periodic=periodic))
    if isinstance(deployed, DeployedSites):
        return openmm.PythonForce(SiteFunction(deployed, periodic=periodic, exact=exact))
    if isinstance(deployed, DeployedThreeBody):
        return openmm.PythonForce(ThreeBodyFunction(deployed, periodic=periodic, exact=exact))
    return openmm.PythonForce(NetworkFunction(deployed, periodic=periodic, exact=exact))
