"""How far the engine's pair forces are from the pair potentials themselves, before a run relies on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.engine.cpu import TabulatedPairs
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.deployed_pairs import DeployedPairs
from openmm_cgml.engine.deployed_sites import DeployedSites
from openmm_cgml.engine.deployed_three_body import DeployedThreeBody
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.engine.parity import PARITY
from openmm_cgml.engine.sites import TabulatedSites
from openmm_cgml.engine.three_body import EvaluatedThreeBody
from openmm_cgml.errors import SimulationError
from openmm_cgml.periodic import find_pairs
from openmm_cgml.potentials import PairPotential, SitePairs, ThreeBody, evaluate

_DISTANCES = np.linspace(0.5, 0.9, 9)  # of the cutoff


def measure_pair_parity(
    deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody,
    potentials: Sequence[PairPotential | SitePairs | ThreeBody],
    positions: NDArray[np.float64],
    box: NDArray[np.float64] | None,
) -> float:
    """Largest error of the engine's pair forces over their root mean square.

    The potentials are evaluated in float64 on pairs that are found in another way. Beads that overlap so much that
    they are below the first knot of the tables are left out: there, the tables go on linearly on purpose. Forces that
    cancel, as on a lattice, are no measure of errors; a tenth of what one pair typically exerts is the least.

    Args:
        deployed: What holds the tables; a network's list of pairs is the one that is used, and sites have their own.
        potentials: The pair potentials, and the three-body potential if there is one, bound to the same beads.
        positions: Positions [nm], shape (n_beads, 3).
        box: Reduced box vectors [nm], shape (3, 3), or None.

    Raises:
        SimulationError: If the error is not below `parity.PARITY`, or the engine cannot evaluate these positions.
    """
    table = deployed.pair_table
    if table is None:
        return 0.0
    of_sites = isinstance(deployed, DeployedSites)
    _, found = _evaluator(deployed)(positions, box)
    cell = None if box is None else torch.tensor(box, dtype=torch.float64)
    expected = evaluate(potentials, torch.tensor(positions, dtype=torch.float64), cell)[1].numpy()
    compared = np.ones(len(positions), bool)
    compared[_overlapping(deployed, table, positions, box)] = False
    if not compared.any():
        return 0.0
    rms = float(np.sqrt((expected[compared] ** 2).mean()))
    scale = max(rms, 0.1 * _typical_force(table)) or 1.0
    error = float(np.abs(found - expected)[compared].max()) / scale
    if not error < PARITY:
        remedy = 'let OpenMM evaluate them (pair_backend="native", --pair-backend native)'
        raise SimulationError(
            f"the tables of the pair priors differ from them by {error:.2g} of the rms force, more than {PARITY:g}; "
            + ("start from positions without overlaps" if of_sites else remedy)
        )
    return error


def _evaluator(
    deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody,
) -> TabulatedPairs | TabulatedSites:
    if isinstance(deployed, DeployedSites):
        return TabulatedSites(deployed, n_threads=1)
    if isinstance(deployed, DeployedThreeBody):
        return EvaluatedThreeBody(deployed, n_threads=1)
    return TabulatedPairs(deployed, n_threads=1)


def _overlapping(
    deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody,
    table: PairTable,
    positions: NDArray[np.float64],
    box: NDArray[np.float64] | None,
) -> NDArray[np.int64]:
    """Beads that feel pairs below the first knot of the tables; of sites all beads that tell where they are."""
    if not isinstance(deployed, DeployedSites):
        return find_pairs(positions, box, table.start, exclusions=table.exclusions).ravel()
    sites, beads = deployed.sites, np.asarray(positions, np.float64)
    pairs = find_pairs(sites.place(sites.axes(beads, box)), box, table.start, exclusions=table.exclusions)
    found = sites.frames[sites.frame_of[pairs.ravel()]].ravel()
    if deployed.centers is None:
        return found
    centers, of_centers = deployed.centers.centers, deployed.centers.pair_table
    placed = centers.place(centers.axes(beads, box))
    near = find_pairs(placed, box, of_centers.start, exclusions=of_centers.exclusions)
    return np.concatenate([found, np.flatnonzero(np.isin(centers.members, near.ravel()))])


def _typical_force(table: PairTable) -> float:
    """Median of |dE/dr| of all pairs of types at distances from half the cutoff on [kJ/mol/nm]."""
    types = range(len(table.knots))
    slopes = [table.evaluate(_DISTANCES * table.cutoff, a, b)[1] for a in types for b in types if b <= a]
    return float(np.median(np.abs(slopes)))
