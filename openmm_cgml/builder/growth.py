"""Chains grown bead by bead from the distributions of their bonds, angles and torsions, all copies at once.

The chains are phantoms: beads further apart along the chain do not see each other, as in a melt, where chains have the
statistics of chains without excluded volume (Flory).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.builder.closing import close_rings
from openmm_cgml.builder.local_statistics import LocalStatistics
from openmm_cgml.dataset.conformations import ANGLE_BINS, PAIR_BINS, TORSION_BINS
from openmm_cgml.errors import InputError
from openmm_cgml.topology import CGTopology

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A bead and those that say where it goes; -1 where there is none.

    Attributes:
        bead: The bead.
        parent: The bead it is bonded to.
        grandparent: The bead that its angle starts at.
        ancestor: The bead that its torsion starts at.
        before: The bead that the torsion before starts at, which ends at the parent.
        sibling: A bead on the same parent and grandparent that has been placed before.
    """

    bead: int
    parent: int
    grandparent: int
    ancestor: int
    before: int
    sibling: int


def grow_chains(
    molecule: CGTopology, count: int, statistics: LocalStatistics, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Conformations of a chain, each whole and about its own center of mass [nm], shape (count, n_beads, 3).

    Args:
        molecule: Topology of one molecule, with or without rings.
        count: Number of conformations.
        statistics: Distributions of bonds, angles and torsions.
        rng: Source of randomness.

    Raises:
        InputError: If it is in parts that no bond joins.
    """
    steps = _order(molecule)
    names = [molecule.type_names[t] for t in molecule.bead_types]
    positions = np.zeros((count, molecule.n_beads, 3))
    torsions = np.zeros((count, molecule.n_beads), dtype=np.int64)  # bin of the torsion that each bead ends
    for step in steps:
        length, spread = statistics.bond((names[step.parent], names[step.bead]))
        lengths = rng.normal(length, spread, count).clip(length - 4 * spread, length + 4 * spread)
        direction = _directions(step, names, positions, torsions, statistics, rng)
        positions[:, step.bead] = positions[:, step.parent] + np.abs(lengths)[:, None] * direction
    open_bonds = _open_bonds(molecule, steps)
    if len(open_bonds):
        lengths = np.array([statistics.bond((names[i], names[j]))[0] for i, j in open_bonds.tolist()])
        positions = close_rings(molecule, positions, open_bonds, lengths, statistics.bonded(molecule))
    weights = molecule.masses / molecule.masses.sum()
    return positions - (positions * weights[:, None]).sum(axis=1, keepdims=True)


def _directions(
    step: _Step,
    names: list[str],
    positions: Array,
    torsions: NDArray[np.int64],
    statistics: LocalStatistics,
    rng: np.random.Generator,
) -> Array:
    """Unit vectors from the parent to the bead, shape (count, 3)."""
    count = len(positions)
    if step.grandparent < 0:
        return _unit(rng.normal(size=(count, 3)))
    types = (names[step.grandparent], names[step.parent], names[step.bead])
    angle = _draw(statistics.angle(types), count, rng)[1] * np.pi
    back = _unit(positions[:, step.parent] - positions[:, step.grandparent])
    if step.ancestor < 0:
        normal = _unit(np.cross(back, rng.normal(size=(count, 3))))
        turn = np.zeros(count)
    else:
        normal = _unit(np.cross(positions[:, step.grandparent] - positions[:, step.ancestor], back))
        turn = _torsions(step, names, torsions, statistics, rng)
    across = np.cross(normal, back)
    cosine, sine = -np.cos(angle)[:, None], np.sin(angle)[:, None]
    return cosine * back + sine * (np.cos(turn)[:, None] * across + np.sin(turn)[:, None] * normal)


def _torsions(
    step: _Step, names: list[str], torsions: NDArray[np.int64], statistics: LocalStatistics, rng: np.random.Generator
) -> Array:
    """Torsions [rad], shape (count,); their bins are noted in `torsions`."""
    count = len(torsions)
    if step.sibling >= 0:
        third = TORSION_BINS // 3 * rng.choice([-1, 1], size=count)
        chosen = (torsions[:, step.sibling] + third) % TORSION_BINS
        fraction = (chosen + rng.random(count)) / TORSION_BINS
    else:
        types = tuple(names[b] for b in (step.ancestor, step.grandparent, step.parent, step.bead))
        if step.before < 0:
            weights = statistics.torsion(types)
        else:
            given = torsions[:, step.parent] * PAIR_BINS // TORSION_BINS
            weights = statistics.next_torsion((names[step.before], *types))[given]
        chosen, fraction = _draw(weights, count, rng)
    torsions[:, step.bead] = chosen
    return fraction * 2 * np.pi - np.pi


def _draw(weights: Array, count: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], Array]:
    """Bins drawn with these probabilities, shape (bins,) or (count, bins), and places in them as fractions of all."""
    n_bins = weights.shape[-1]
    assert n_bins in (ANGLE_BINS, TORSION_BINS)
    below = np.cumsum(weights, axis=-1) <= rng.random(count)[:, None]
    bins = np.minimum(below.sum(axis=-1), n_bins - 1)
    return bins, (bins + rng.random(count)) / n_bins


def _order(molecule: CGTopology) -> list[_Step]:
    """The beads but the first in an order in which each follows the one it is bonded to."""
    neighbors: list[list[int]] = [[] for _ in range(molecule.n_beads)]
    for i, j in molecule.bonds.tolist():
        neighbors[i].append(j)
        neighbors[j].append(i)
    placed: dict[int, _Step] = {0: _Step(bead=0, parent=-1, grandparent=-1, ancestor=-1, before=-1, sibling=-1)}
    queue = [0]
    for parent in queue:
        for bead in neighbors[parent]:
            if bead not in placed:
                placed[bead] = _place(bead, parent, placed, neighbors)
                queue.append(bead)
    if len(placed) < molecule.n_beads:
        loose = next(bead for bead in range(molecule.n_beads) if bead not in placed)
        raise InputError(
            f"a molecule of residues {', '.join(dict.fromkeys(molecule.residue_names))} has {len(molecule.bonds)} "
            f"bonds for {molecule.n_beads} beads, and none leads from bead 0 to bead {loose} "
            f"({molecule.bead_names[loose]!r}); molecules are grown along their bonds: bond its parts in system.yaml"
        )
    return list(placed.values())[1:]


def _open_bonds(molecule: CGTopology, steps: list[_Step]) -> NDArray[np.int64]:
    """The bonds along which no bead was placed, shape (n, 2): one for every ring."""
    tree = {(min(step.bead, step.parent), max(step.bead, step.parent)) for step in steps}
    bonds = [bond for bond in molecule.bonds.tolist() if tuple(bond) not in tree]
    return np.array(bonds, dtype=np.int64).reshape(-1, 2)


def _place(bead: int, parent: int, placed: dict[int, _Step], neighbors: list[list[int]]) -> _Step:
    above = placed[parent]
    others = [other for other in neighbors[parent] if other in placed and other != above.parent]
    # Beads on the first bead have no grandparent: one of them is that of the others.
    grandparent = above.parent if above.parent >= 0 else (others[0] if others else -1)
    siblings = [other for other in others if other != grandparent]
    ancestor = before = -1
    if grandparent >= 0 and grandparent == above.parent:
        ancestor = above.grandparent
        if ancestor < 0:
            ancestor = next((other for other in neighbors[grandparent] if other in placed and other != parent), -1)
        else:
            before = above.ancestor
    return _Step(
        bead=bead,
        parent=parent,
        grandparent=grandparent,
        ancestor=ancestor,
        before=before,
        sibling=siblings[0] if siblings else -1,
    )


def _unit(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
