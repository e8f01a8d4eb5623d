"""How far tabulated forces are from those of the network itself, before a run relies on them."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.engine import kernels
from openmm_cgml.engine.crew import Crew
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.evaluation import Evaluation
from openmm_cgml.engine.folding import FoldedNetwork, fold
from openmm_cgml.engine.pair_lists import PairLists, Pairs
from openmm_cgml.errors import SimulationError
from openmm_cgml.networks.schnet import PairList

PARITY = 1e-3
"""Largest accepted force difference from the exact network, as a fraction of `force_scale`."""

_CHECKED_BEADS = 1000
_DIMER_DISTANCES = np.linspace(0.5, 0.9, 9)  # of the cutoff


def require_parity(parity: float) -> None:
    """Refuse tables that are too far from the network.

    Raises:
        SimulationError: If `parity` is not below `PARITY`, or not a number.
    """
    if not parity < PARITY:
        raise SimulationError(
            f"the filter tables differ from the network by {parity:.2g} of the rms force, more than"
            f" {PARITY:g}; run the exact network instead (exact=True)"
        )


def measure_parity(deployed: DeployedNetwork, positions: NDArray[np.float64], box: NDArray[np.float64] | None) -> float:
    """Largest force error of the tables over `force_scale`, for at most a thousand of the beads.

    Args:
        deployed: The network.
        positions: Positions [nm], shape (n_beads, 3).
        box: Reduced box vectors [nm], shape (3, 3), or None.

    Raises:
        SimulationError: If the error is not below `PARITY`, or the network cannot be evaluated there.
    """
    folded, lists = fold(deployed.network), PairLists(deployed.listing(), 1)
    lists.update(positions, box)
    types = deployed.bead_types.numpy().astype(np.int32)
    if lists.order is not None:
        positions, types = positions[lists.order], types[lists.order]
    near = lists.near(positions, 0)[: len(folded.stacks)]
    parity = compare_with_network(deployed.network, folded, types, near)
    require_parity(parity)
    return parity


def compare_with_network(
    network: torch.nn.Module, folded: FoldedNetwork, types: NDArray[np.int32], kinds: list[Pairs]
) -> float:
    """Largest difference of tabulated from exact forces in float64 over `force_scale` of the latter.

    Compared are the pairs among at most a thousand beads, as if there were no others.

    Args:
        network: The network itself.
        folded: Its tables.
        types: Bead types, shape (n_beads,).
        kinds: Pairs, one `Pairs` per stack of blocks.
    """
    chosen = _neighborhood(kinds, len(types), _CHECKED_BEADS)
    pairs, types = [_within(kind, chosen) for kind in kinds], types[chosen]
    evaluation = Evaluation(folded, types, 1)
    evaluation.begin(0, pairs)
    Crew(1).run(evaluation.phases())
    exact = _exact_slopes(network, types, pairs)
    difference = _forces(pairs, [a - b for a, b in zip(evaluation.slopes(0), exact, strict=True)], len(chosen))
    scale = force_scale(network, types, _forces(pairs, exact, len(chosen)))
    return float(np.abs(difference).max()) / scale


def force_scale(network: torch.nn.Module, types: NDArray[np.int32], forces: NDArray[np.float64]) -> float:
    """What force errors are measured by [kJ/mol/nm]: the root mean square force, unless forces happen to be small.

    On a lattice the forces on a bead cancel, near the cutoff they vanish. A tenth of what one pair typically exerts is
    the least that errors are measured by.

    Args:
        network: The network itself.
        types: Bead types, shape (n_beads,).
        forces: Its forces [kJ/mol/nm], shape (n_beads, 3).
    """
    return max(float(np.sqrt((forces**2).mean())), 0.1 * _typical_pair_force(network, types)) or 1.0


def _typical_pair_force(network: torch.nn.Module, types: NDArray[np.int32]) -> float:
    """Median of |dE/dr| of two beads by themselves, for all pairs of types and at distances from half the cutoff on."""
    present = np.unique(types)
    dimers = np.array([(a, b) for k, a in enumerate(present) for b in present[k:] for _ in _DIMER_DISTANCES], np.int32)
    distances = np.tile(_DIMER_DISTANCES, len(dimers) // len(_DIMER_DISTANCES)) * network.cutoff
    first, second = np.arange(2 * len(dimers), dtype=np.int32).reshape(-1, 2).T
    kind = Pairs(first, second, np.outer(distances, [1.0, 0.0, 0.0]), distances)
    (slopes,) = _exact_slopes(network, dimers.ravel(), [kind])
    return float(np.median(np.abs(slopes)))


def _neighborhood(kinds: list[Pairs], n_beads: int, size: int) -> NDArray[np.int64]:
    """At most `size` beads, each a neighbor of another where there are neighbors, in increasing order."""
    if n_beads <= size:
        return np.arange(n_beads)
    inside = np.zeros(n_beads, bool)
    inside[n_beads // 2] = True
    while True:
        grown = inside.copy()
        for kind in kinds:
            grown[kind.second[inside[kind.first]]] = True
            grown[kind.first[inside[kind.second]]] = True
        if grown.sum() > size or grown.sum() == inside.sum():
            return np.flatnonzero(grown)[:size]
        inside = grown


def _within(pairs: Pairs, beads: NDArray[np.int64]) -> Pairs:
    """Pairs between the given beads, which are numbered anew."""
    number = np.full(int(max(pairs.first.max(initial=0), pairs.second.max(initial=0), beads.max())) + 1, -1, np.int32)
    number[beads] = np.arange(len(beads))
    first, second = number[pairs.first], number[pairs.second]
    kept = (first >= 0) & (second >= 0)
    return Pairs(first[kept], second[kept], pairs.vectors[kept], pairs.distances[kept])


def _exact_slopes(network: torch.nn.Module, types: NDArray[np.int32], kinds: list[Pairs]) -> list[NDArray[np.float64]]:
    """dE/dr of the pairs from the network itself in float64."""
    double = copy.deepcopy(network).to(device="cpu", dtype=torch.float64)
    lists = [
        PairList(
            torch.from_numpy(kind.first.astype(np.int64)),
            torch.from_numpy(kind.second.astype(np.int64)),
            torch.from_numpy(kind.distances).requires_grad_(True),
        )
        for kind in kinds
    ]
    none = torch.zeros(0, dtype=torch.int64)
    with torch.enable_grad():
        intra = lists[1] if len(lists) > 1 else PairList(none, none, torch.zeros(0, dtype=torch.float64))
        energy = double(torch.from_numpy(types.astype(np.int64)), lists[0], intra).sum()
        slopes = torch.autograd.grad(energy, [kind.distances for kind in lists], allow_unused=True)
    return [
        np.zeros(len(kind.first)) if slope is None else slope.numpy() for kind, slope in zip(kinds, slopes, strict=True)
    ]


def _forces(kinds: list[Pairs], slopes: list[NDArray[np.float64]], n_beads: int) -> NDArray[np.float64]:
    forces = np.zeros((n_beads, 3))
    for pairs, values in zip(kinds, slopes, strict=True):
        kernels.add_pair_forces(pairs.first, pairs.second, pairs.vectors, pairs.distances, values, forces)
    return forces
