"""Which OpenMM force runs the network here, and why."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import nn

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.networks import SchNet

BACKENDS = ("TorchForce", "PythonForce")
FORCE_NAME = "network"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class BackendChoice:
    """A backend and the reason it was taken.

    Attributes:
        name: One of `BACKENDS`.
        reason: One sentence for a person.
    """

    name: str
    reason: str


def choose_backend(ml_backend: str = "auto") -> BackendChoice:
    """The backend that `ml_backend` means on this machine.

    Args:
        ml_backend: `"auto"` (TorchForce where it works, else PythonForce), `"TorchForce"` or `"PythonForce"`.

    Raises:
        InputError: If the name is unknown.
        MissingDependencyError: If TorchForce is asked for and does not work here.
    """
    if ml_backend not in ("auto", *BACKENDS):
        raise InputError(f"unknown backend {ml_backend!r}; one of auto, {', '.join(BACKENDS)}")
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


def create_ml_force(deployed: DeployedNetwork, *, backend: str, periodic: bool, exact: bool = False) -> Any:
    """The `openmm.Force` that evaluates `deployed`.

    Args:
        deployed: The network bound to the topology of the System.
        backend: One of `BACKENDS`, usually `choose_backend(...).name`.
        periodic: Whether the System has a periodic box.
        exact: Evaluate the network itself, in its own precision. Otherwise tables of its filters are used, which agree
            with the network within 1e-3 of the root mean square force and are many times faster; the first call
            compares, and raises if they do not agree. A network of a kind that has no tables is evaluated itself.
    """
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


def _require_pythonforce() -> None:
    import openmm

    if not hasattr(openmm, "PythonForce"):
        raise MissingDependencyError(
            f"OpenMM {openmm.version.version} has no PythonForce; install openmm 8.5 or newer (pip install -U openmm)"
        )
