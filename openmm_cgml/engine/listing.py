"""What a list of pairs is made of, for a network, pair priors or both: cutoffs, molecules, exclusions, copies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.wholeness import BondForest

DEFAULT_SKIN = 0.1
"""Skin of the neighbor list [nm]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkPairs:
    """The pairs that a network sees.

    Attributes:
        forest: The molecules, by which pairs are told apart.
        cutoffs: Cutoff of the pairs between molecules and, if it has blocks for them, of those within [nm].
        exclusions: Pairs i < j that it does not see where they are within a molecule, shape (n_exclusions, 2).
    """

    forest: BondForest
    cutoffs: tuple[float, ...]
    exclusions: NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorPairs:
    """The pairs that pair priors see: all within a cutoff but for exclusions, which hold for all images.

    Attributes:
        cutoff: [nm].
        exclusions: Pairs i < j, shape (n_exclusions, 2).
    """

    cutoff: float
    exclusions: NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Listing:
    """The pairs that are to be listed among some beads (or whatever has a place in the box).

    Attributes:
        n_beads: Number of beads.
        network: The pairs of the network, if there is one.
        prior: The pairs of the pair priors, if they are evaluated.
        n_replicas: Number of copies of one system that the beads are.
        skin: Extra range of the list [nm].
    """

    n_beads: int
    network: NetworkPairs | None = None
    prior: PriorPairs | None = None
    n_replicas: int = 1
    skin: float = DEFAULT_SKIN

    @property
    def cutoff(self) -> float:
        """The longest cutoff [nm]."""
        cutoffs = (*(self.network.cutoffs if self.network else ()), *([self.prior.cutoff] if self.prior else []))
        return max(cutoffs, default=0.0)
