"""Comparison of forces from a GPU with those of the network itself, before a run relies on them."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.engine.cpu import TabulatedNetwork
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.parity import force_scale, require_parity

_EXACT_BEADS = 2000


def check_parity(
    deployed: DeployedNetwork,
    positions: NDArray[np.float64],
    box: NDArray[np.float64] | None,
    forces: NDArray[np.float64],
) -> float:
    """Largest difference of forces from the network's own in float64 over their `force_scale`.

    A pair prior is left out: where beads overlap, its table is softer by intent. Many beads are compared with the
    tables of the CPU, which have been compared with the network.

    Args:
        deployed: The network.
        positions: Positions [nm], shape (n_beads, 3).
        box: Reduced box vectors [nm], shape (3, 3), or None.
        forces: The forces to check [kJ/mol/nm], without those of a pair prior, shape (n_beads, 3).

    Raises:
        SimulationError: If the difference is not below `parity.PARITY`.
    """
    with ThreadPoolExecutor(1) as elsewhere:  # torch forbids to differentiate inside an operator
        exact = elsewhere.submit(_forces, deployed, positions, box).result()
        types = deployed.bead_types.cpu().numpy()
        scale = elsewhere.submit(force_scale, deployed.network, types, exact).result()
    parity = float(np.abs(forces - exact).max()) / scale
    require_parity(parity)
    return parity


def _forces(
    deployed: DeployedNetwork, positions: NDArray[np.float64], box: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    alone = DeployedNetwork(
        copy.deepcopy(deployed.network).to(dtype=torch.float64),
        deployed.topology,
        exclude_bonds=deployed.exclude_bonds,
        skin=deployed.neighbors.skin,
        n_replicas=deployed.n_replicas,
    )
    if deployed.n_beads > _EXACT_BEADS:
        return TabulatedNetwork(alone)(positions, box)[1]
    with torch.enable_grad():
        forces = alone(torch.tensor(positions), None if box is None else torch.tensor(box))[1]
    return np.asarray(forces.numpy())
