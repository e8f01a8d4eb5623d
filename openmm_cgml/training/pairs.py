"""Neighbor pairs of every training frame, found once and kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.periodic import find_pairs, pair_distances
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest


@dataclass(frozen=True, kw_only=True)
class PairRule:
    """Which pairs a network sees.

    Attributes:
        cutoff: Of intermolecular pairs [nm], those of a molecule with its own periodic images included.
        intra_cutoff: Of intramolecular pairs [nm]; 0 leaves them out.
        exclude_bonds: Intramolecular pairs at most this many bonds apart are left out.
    """

    cutoff: float
    intra_cutoff: float = 0.0
    exclude_bonds: int = 0


@dataclass(frozen=True, eq=False, kw_only=True)
class FramePairs:
    """Pairs i < j of one frame.

    Attributes:
        inter: Pairs of different molecules or of different images of one, shape (2, n_inter), int32.
        intra: Pairs within a molecule, shape (2, n_intra), int32.
    """

    inter: NDArray[np.int32]
    intra: NDArray[np.int32]


class PairFinder:
    """Finds the pairs of a topology's frames.

    Args:
        topology: The beads.
        rule: Which pairs to find.
    """

    def __init__(self, topology: CGTopology, rule: PairRule) -> None:
        self._rule = rule
        self._forest = BondForest.from_topology(topology)
        i, j = topology.exclusions(rule.exclude_bonds).T if rule.exclude_bonds else np.zeros((2, 0), np.int64)
        self._excluded = np.sort(i * topology.n_beads + j)

    def find(self, positions: NDArray[np.floating], box: NDArray[np.floating] | None) -> FramePairs:
        """Pairs within the cutoffs by the minimum image.

        Args:
            positions: Bead positions, inside or outside the box [nm], shape (n_beads, 3).
            box: Box vectors in rows [nm], shape (3, 3), or None.

        Raises:
            InputError: If a cutoff exceeds half the box.
        """
        rule = self._rule
        pairs = find_pairs(positions, box, max(rule.cutoff, rule.intra_cutoff))
        is_intra = self._forest.is_intra(positions, box, pairs)
        inter, intra = pairs[:, ~is_intra], pairs[:, is_intra] if rule.intra_cutoff else pairs[:, :0]
        if rule.intra_cutoff and rule.intra_cutoff != rule.cutoff:
            inter = inter[:, pair_distances(positions, box, *inter) < rule.cutoff]
            intra = intra[:, pair_distances(positions, box, *intra) < rule.intra_cutoff]
        intra = intra[:, ~np.isin(intra[0] * len(positions) + intra[1], self._excluded)]
        return FramePairs(inter=_sorted(inter), intra=_sorted(intra))


def _sorted(pairs: NDArray[np.int64]) -> NDArray[np.int32]:
    """Pairs in the order of their first bead, which keeps memory accesses close together and results reproducible."""
    return np.ascontiguousarray(pairs[:, np.lexsort((pairs[1], pairs[0]))], dtype=np.int32)
