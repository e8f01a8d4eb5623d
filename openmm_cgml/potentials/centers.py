"""Centers of mass of molecules, or of beads, that pair forms act between beside sites.

Sites see the forces between molecules, but their pairs are many and cannot all be refined at once without giving up
these forces. What structure and pressure still lack is a small function of few distances: those between the centers of
molecules, or between the beads of chains.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import box_widths
from openmm_cgml.periodic import minimum_image as nearest_image
from openmm_cgml.potentials.coordinate import Lengths, invert_masses
from openmm_cgml.potentials.points import BuiltPoints
from openmm_cgml.potentials.potential import minimum_image
from openmm_cgml.topology import CGTopology

if TYPE_CHECKING:
    import torch

CenterKind = Literal["molecules", "beads"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Centers(BuiltPoints):
    """Centers of mass of groups of beads, whole molecules or single beads, every bead being in one.

    Attributes:
        type_names: Names of the types: of residues for molecules, of bead types for beads.
        types: Type of each center, shape (n_centers,).
        molecules: Molecule of each center, shape (n_centers,).
        members: Center of each bead, shape (n_beads,).
        shares: Share of each bead in the mass of its center, shape (n_beads,).
        exclusions: Pairs i < j of centers that do not interact, shape (n_exclusions, 2).
    """

    type_names: tuple[str, ...]
    types: NDArray[np.int64]
    molecules: NDArray[np.int64]
    members: NDArray[np.int64]
    shares: NDArray[np.float64]
    exclusions: NDArray[np.int64]

    @classmethod
    def of(cls, topology: CGTopology, kind: CenterKind, exclude_bonds: int) -> Self:
        """The centers of a topology.

        Args:
            topology: Beads and bonds.
            kind: "molecules" or "beads".
            exclude_bonds: Beads up to this many bonds apart do not interact.

        Raises:
            InputError: If a molecule has several residues, whose names would not tell it.
        """
        n, molecules = topology.n_beads, np.asarray(topology.molecules)
        if kind == "beads":
            return cls(
                type_names=tuple(topology.type_names),
                types=np.asarray(topology.bead_types),
                molecules=molecules,
                members=np.arange(n),
                shares=np.ones(n),
                exclusions=topology.exclusions(exclude_bonds),
            )
        residues = np.unique(np.stack([molecules, topology.residues]), axis=1)
        if residues.shape[1] > topology.n_molecules:
            several = int(np.flatnonzero(np.bincount(residues[0]) > 1)[0])
            raise InputError(
                f"molecule {several} has several residues, so no one name tells its center; take centers of beads for "
                "chains (centers: {of: beads, ...})"
            )
        names = [topology.residue_names[residue] for residue in residues[1].tolist()]
        kinds = tuple(sorted(set(names)))
        return cls(
            type_names=kinds,
            types=np.array([kinds.index(name) for name in names]),
            molecules=np.arange(topology.n_molecules),
            members=molecules,
            shares=topology.masses / np.bincount(molecules, topology.masses)[molecules],
            exclusions=np.zeros((0, 2), np.int64),
        )

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return len(self.members)

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """First bead of each center, shape (n_centers,)."""
        return np.unique(self.members, return_index=True)[1]

    @cached_property
    def _first_members(self) -> NDArray[np.int64]:
        """First bead of the center of each bead, shape (n_beads,)."""
        return np.asarray(self.owners[self.members])

    @cached_property
    def _weights(self) -> Any:
        """Share of each bead in each center, a sparse array of shape (n_centers, n_beads)."""
        from scipy.sparse import csr_array

        shape = (self.n_sites, self.n_beads)
        return csr_array((self.shares, (self.members, np.arange(self.n_beads))), shape=shape)

    def axes(self, positions: NDArray[np.float64], box: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Beads [nm], shape (n_beads, 3), each at the image that is nearest to the first bead of its center.

        Args:
            positions: Bead positions [nm], shape (n_beads, 3).
            box: Box vectors [nm], shape (3, 3), or None.
        """
        if box is None or self.n_sites == self.n_beads:
            return positions
        first = positions[self._first_members]
        moved = positions - first
        if 4 * np.einsum("ix,ix->i", moved, moved).max() < box_widths(box).min() ** 2:
            return positions  # whole molecules, as OpenMM keeps them
        return np.asarray(first + nearest_image(moved, box))

    def place(self, axes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions of the centers [nm], shape (n_centers, 3), from what `axes` returned."""
        return axes if self.n_sites == self.n_beads else np.asarray(self._weights @ axes)

    def place_torch(self, positions: torch.Tensor, box: torch.Tensor | None = None) -> torch.Tensor:
        """Positions of the centers [nm], shape (..., n_centers, 3), differentiable by those of the beads.

        Args:
            positions: Bead positions [nm], shape (..., n_beads, 3); leading dimensions are frames.
            box: Box vectors [nm], shape (..., 3, 3), or None.
        """
        import torch

        owners, members = (torch.tensor(each, device=positions.device) for each in (self.owners, self.members))
        first = positions[..., owners, :]
        moved = minimum_image(positions - first[..., members, :], box) * positions.new_tensor(self.shares)[:, None]
        return first + torch.zeros_like(first).index_add(-2, members, moved)

    def carry(self, axes: NDArray[np.float64], forces: NDArray[np.float64]) -> NDArray[np.float64]:
        """What forces on centers are on beads, by the chain rule, shape (n_beads, 3, n).

        Args:
            axes: What `axes` returned.
            forces: Forces on the centers, of n kinds, shape (n_centers, 3, n).
        """
        return np.asarray(forces[self.members] * self.shares[:, None, None])

    def mobilities(self, masses: NDArray[np.float64], lengths: Lengths) -> NDArray[np.float64]:
        """Inverse mass of each center [1/Da], shape (n_centers,).

        Args:
            masses: Bead masses [Da], shape (n_beads,); 0 for beads that do not move.
            lengths: Not used.
        """
        inverse = self.shares**2 * invert_masses(masses)
        return np.asarray(np.bincount(self.members, inverse, minlength=self.n_sites), np.float64)
