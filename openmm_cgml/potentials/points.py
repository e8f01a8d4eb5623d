"""What pair forms act between: beads, or points that are rebuilt from them, sites or centers."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.periodic import box_widths
from openmm_cgml.potentials.coordinate import Lengths
from openmm_cgml.topology import CGTopology

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False, kw_only=True)
class Points:
    """Beads, sites or centers, by type, and which pairs of them do not interact.

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

    def merged(self, alike: Mapping[str, str]) -> Points:
        """The same with the points of some types taken for those of others.

        Args:
            alike: Names of types, and those of the types that they are taken for; names that do not occur do not
                matter.
        """
        names = list(self.type_names)
        known = {name: names.index(other) for name, other in alike.items() if name in names and other in names}
        table = np.array([known.get(name, number) for number, name in enumerate(names)])
        return Points(types=table[self.types], type_names=self.type_names, exclusions=self.exclusions)

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


class BuiltPoints(abc.ABC):
    """Points that are rebuilt from beads: `Sites` or `Centers`.

    Attributes:
        type_names: Names of the types.
        types: Type of each point, shape (n_sites,).
        molecules: Molecule of each point, shape (n_sites,).
        exclusions: Pairs i < j of points that do not interact, shape (n_exclusions, 2).
    """

    type_names: tuple[str, ...]
    types: NDArray[np.int64]
    molecules: NDArray[np.int64]
    exclusions: NDArray[np.int64]

    @property
    def n_sites(self) -> int:
        """Number of points."""
        return len(self.types)

    @property
    def points(self) -> Points:
        """The points as pair forms see them."""
        return Points(types=self.types, type_names=self.type_names, exclusions=self.exclusions)

    @property
    @abc.abstractmethod
    def owners(self) -> NDArray[np.int64]:
        """A bead of each point, shape (n_sites,)."""

    @abc.abstractmethod
    def axes(self, positions: NDArray[np.float64], box: NDArray[np.float64] | None = None) -> Any:
        """What the points of one configuration are placed by."""

    @abc.abstractmethod
    def place(self, axes: Any) -> NDArray[np.float64]:
        """Positions [nm], shape (n_sites, 3)."""

    @abc.abstractmethod
    def place_torch(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Positions [nm], shape (..., n_sites, 3), differentiable by those of the beads."""

    @abc.abstractmethod
    def carry(self, axes: Any, forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """What forces on the points are on the beads, shape (n_beads, 3, n)."""

    @abc.abstractmethod
    def mobilities(self, masses: NDArray[np.float64], lengths: Lengths) -> NDArray[np.float64]:
        """Largest inverse mass of each point along any direction [1/Da], shape (n_sites,)."""

    def is_intra(
        self, whole: NDArray[np.float64], box: NDArray[np.float64] | None, pairs: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Which pairs are within a molecule, as `BondForest.is_intra` tells it for beads, shape (n_pairs,).

        Args:
            whole: Points of whole molecules [nm], shape (n_sites, 3).
            box: Box vectors [nm], shape (3, 3), or None.
            pairs: Pairs of points whose nearest images are nearer than half the smallest width, shape (2, n_pairs).
        """
        i, j = pairs
        intra = np.asarray(self.molecules[i] == self.molecules[j])
        if box is not None:
            chosen = np.flatnonzero(intra)
            square = ((whole[i[chosen]] - whole[j[chosen]]) ** 2).sum(axis=1)
            intra[chosen] = square < (box_widths(box).min() / 2) ** 2
        return intra
