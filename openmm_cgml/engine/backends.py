"""Which OpenMM force runs the network here, what evaluates the pair priors, and why."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import nn

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.deployed_pairs import DeployedPairs
from openmm_cgml.engine.deployed_sites import DeployedSites
from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.networks import SchNet

BACKENDS = ("TorchForce", "PythonForce")
PAIR_BACKENDS = ("native", "engine")
FORCE_NAME = "network"
PAIRS_FORCE_NAME = "pair priors"
"""Name of the ML force where there is no network."""
SITES_REASON = "priors between sites are evaluated by the engine, which only a PythonForce calls with them"
THREE_BODY_REASON = "three-body priors are evaluated by the engine, which only a PythonForce calls with them"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BackendChoice:
    """A backend and the reason it was taken.

    Attributes:
        name: One of `BACKENDS` or `PAIR_BACKENDS`.
        reason: One sentence for a person.
    """

    name: str
    reason: str


def choose_backend(ml_backend: str = "auto", *, has_sites: bool = False, has_three_body: bool = False) -> BackendChoice:
    """The backend that `ml_backend` means on this machine.

    Args:
        ml_backend: `"auto"` (TorchForce where it works, else PythonForce), `"TorchForce"` or `"PythonForce"`.
        has_sites: Whether there are pair priors between sites, for which it is a PythonForce.
        has_three_body: Whether there are three-body priors, for which it is one, too.

    Raises:
        InputError: If the name is unknown, or TorchForce is asked for with sites or three-body priors.
        MissingDependencyError: If TorchForce is asked for and does not work here.
    """
    if ml_backend not in ("auto", *BACKENDS):
        raise InputError(f"unknown backend {ml_backend!r}; one of auto, {', '.join(BACKENDS)}")
    if has_sites or has_three_body:
        reason = SITES_REASON if has_sites else THREE_BODY_REASON
        if ml_backend == "TorchForce":
            raise InputError(f'{reason}; use ml_backend="PythonForce" or "auto"')
        if ml_backend == "auto":
            _require_pythonforce()
            return BackendChoice(name="PythonForce", reason=reason)
    if ml_backend == "PythonForce":
        _require_pythonforce()
        return BackendChoice(name="PythonForce", reason="asked for")
    problem = torchforce_problem()
    if ml_backend == "TorchForce":
        if problem:
            raise MissingDependencyError(
                f"TorchForce does not work here: {problem}. Install the set that works together with"
                " pip install 'openmm-cgml[torchforce]', or use ml_backend=\"PythonForce\""
            )
        return BackendChoice(name="TorchForce", reason="asked for")
    if problem is None:
        return BackendChoice(name="TorchForce", reason="openmmtorch imports and passed a one-step probe")
    _require_pythonforce()
    return BackendChoice(name="PythonForce", reason=f"TorchForce does not work here: {problem}")


def choose_pair_backend(
    pair_backend: str = "auto", *, platform: str | None = None, has_network: bool = True
) -> BackendChoice:
    """What evaluates the pair priors: OpenMM's native forces, or the engine within the ML force.

    Args:
        pair_backend: `"native"`, `"engine"`, or `"auto"`: the engine on the CPU platform, where OpenMM takes longer for
            custom nonbonded forces than the engine for its tables, and native forces on the others.
        platform: Name of the OpenMM platform of the Context; by default the fastest there is, which OpenMM takes.
        has_network: Whether there is a network; without one the engine needs a `PythonForce`.

    Raises:
        InputError: If the name is unknown.
        MissingDependencyError: If the engine is asked for, there is no network and OpenMM has no `PythonForce`.
    """
    if pair_backend not in ("auto", *PAIR_BACKENDS):
        raise InputError(f"unknown pair_backend {pair_backend!r}; one of auto, {', '.join(PAIR_BACKENDS)}")
    if pair_backend == "native":
        return BackendChoice(name="native", reason="asked for")
    if pair_backend == "engine":
        if not has_network:
            _require_pythonforce()
        return BackendChoice(name="engine", reason="asked for")
    name = platform or _fastest_platform()
    if name != "CPU":
        return BackendChoice(name="native", reason=f"the {name} platform evaluates native pair forces itself")
    if not (has_network or _has_pythonforce()):
        return BackendChoice(name="native", reason="this OpenMM has no PythonForce, which the engine needs")
    return BackendChoice(name="engine", reason="faster than native pair forces on the CPU platform")


def create_ml_force(
    deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody,
    *,
    backend: str = "PythonForce",
    periodic: bool,
    exact: bool = False,
) -> Any:
    """The `openmm.Force` that evaluates `deployed`.

    Args:
        deployed: The network bound to the topology of the System, the tables of pair priors without a network, those of
            priors between sites, or three-body priors, with a network or without.
        backend: One of `BACKENDS`, usually `choose_backend(...).name`; without a network, or with sites or three-body
            priors, it has to be a PythonForce.
        periodic: Whether the System has a periodic box.
        exact: Evaluate the network itself, in its own precision. Otherwise tables of its filters are used, which agree
            with the network within 1e-3 of the root mean square force and are many times faster; the first call
            compares, and raises if they do not agree. A network of a kind that has no tables is evaluated itself.
    """
    if isinstance(deployed, DeployedPairs):
        return _create_pairs_force(deployed, periodic=periodic)
    if isinstance(deployed, DeployedSites | DeployedThreeBody):
        return _create_engine_force(deployed, periodic=periodic, exact=exact)
    exact = exact or not is_tabulable(deployed.network)
    if backend == "TorchForce":
        from openmm_cgml.engine.torchforce import create_torch_force

        force = create_torch_force(deployed, exact=exact)
    else:
        from openmm_cgml.engine.pythonforce import create_python_force

        force = create_python_force(deployed, periodic=periodic, exact=exact)
    force.setUsesPeriodicBoundaryConditions(periodic)
    force.setName(FORCE_NAME)
    _log.info("the network runs in a %s; evaluated: %s", backend, describe_evaluation(deployed.network, exact=exact))
    return force


def _create_pairs_force(deployed: DeployedPairs, *, periodic: bool) -> Any:
    from openmm_cgml.engine.pythonforce import create_python_force

    _require_pythonforce()
    force = create_python_force(deployed, periodic=periodic)
    force.setUsesPeriodicBoundaryConditions(periodic)
    force.setName(PAIRS_FORCE_NAME)
    _log.info("the pair priors run in a PythonForce, from tables")
    return force


def _create_engine_force(deployed: DeployedSites | DeployedThreeBody, *, periodic: bool, exact: bool) -> Any:
    from openmm_cgml.engine.pythonforce import create_python_force

    _require_pythonforce()
    network = deployed.network
    exact = exact or (network is not None and not is_tabulable(network.network))
    force = create_python_force(deployed, periodic=periodic, exact=exact)
    force.setUsesPeriodicBoundaryConditions(periodic)
    force.setName(PAIRS_FORCE_NAME if network is None else FORCE_NAME)
    what = "priors between sites" if isinstance(deployed, DeployedSites) else "three-body priors"
    _log.info("the %s run in a PythonForce", what)
    if network is not None:
        _log.info("so does the network; evaluated: %s", describe_evaluation(network.network, exact=exact))
    return force


def is_tabulable(network: nn.Module) -> bool:
    """Whether the filters of a network are functions of the distance alone, so that tables can stand for them."""
    return isinstance(network, SchNet)


def describe_evaluation(network: nn.Module, *, exact: bool = False) -> str:
    """How `create_ml_force` evaluates a network, in words for the record of a run."""
    if exact:
        return "the network itself, as asked for"
    if is_tabulable(network):
        return "tables of the filters, compared with the network at the first call"
    return f"the network itself, because a {type(network).__name__} has no tables"


@lru_cache(maxsize=1)
def torchforce_problem() -> str | None:
    """Why TorchForce cannot be used here, or None if it passed a one-step probe."""
    if importlib.util.find_spec("openmmtorch") is None:
        return "openmmtorch is not installed"
    from openmm_cgml.engine.torchforce import probe

    try:
        probe()
    except (ImportError, OSError, RuntimeError) as error:
        return " ".join(str(error).split())[:300]
    except Exception as error:
        if type(error).__name__ != "OpenMMException":
            raise
        return " ".join(str(error).split())[:300]
    return None


def _fastest_platform() -> str:
    """The platform that OpenMM takes for a Context where none is named."""
    import openmm

    platforms = [openmm.Platform.getPlatform(index) for index in range(openmm.Platform.getNumPlatforms())]
    return str(max(platforms, key=lambda platform: platform.getSpeed()).getName())


def _has_pythonforce() -> bool:
    import openmm

    return hasattr(openmm, "PythonForce")


def _require_pythonforce() -> None:
    if not _has_pythonforce():
        import openmm

        raise MissingDependencyError(
            f"OpenMM {openmm.version.version} has no PythonForce; install openmm 8.5 or newer (pip install -U openmm)"
        )
