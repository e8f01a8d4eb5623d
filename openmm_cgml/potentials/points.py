"""What pair forms act between, beads or sites, as their data are seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.topology import CGTopology


@dataclass(frozen=True, eq=False, kw_only=True)
class Points:
    """Beads or sites, by type, and which pairs of them do not interact.

    Attributes:
        types: Type of each, shape (n_points,).
        type_names: Names of the types.
        exclusions: Pairs i < j that do not interact, shape (n_exclusions, 2).
    """

    types: NDArray[np.int64]
    type_names: tuple[str, ...]
    exclusions: NDArray[np.int64]

    @classmethod
    def of_beads(cls, topology: CGTopology, exclude_bonds: int) -> Self:
        """The beads of a topology; those up to so many bonds apart do not interact."""
        return cls(
            types=np.asarray(topology.bead_types),
            type_names=tuple(topology.type_names),
            exclusions=topology.exclusions(exclude_bonds),
        )

    def are_of(self, types: tuple[str, ...], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pairs are of two types, shape (n_pairs,).

        Args:
            types: Names of the two types, in any order.
            first: Points, shape (n_pairs,).
            second: Their partners, shape (n_pairs,).
        """
        a, b = sorted(self.type_names.index(name) for name in types)
        found = np.sort(self.types[np.stack([first, second])], axis=0)
        return np.asarray((found[0] == a) & (found[1] == b))
