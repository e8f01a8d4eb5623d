"""Molecules made whole: atoms of one bonded molecule moved to the same periodic image."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from openmm_cgml.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class BondForest:
    """A spanning forest of a bond graph: one tree per molecule.

    Attributes:
        bonds: Bonded atom pairs, shape (n_bonds, 2).
        parents: The atom beside which each atom is placed, shape (n_atoms,); a root is its own parent.
        roots: The root of the tree that each atom is in, shape (n_atoms,).
    """

    bonds: np.ndarray
    parents: np.ndarray
    roots: np.ndarray

    @classmethod
    def from_bonds(cls, bonds: np.ndarray, n_atoms: int) -> "BondForest":
        """Returns the spanning forest of the graph of `n_atoms` atoms with these bonds, shape (n_bonds, 2)."""
        bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        graph = csr_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
        n_components, components = connected_components(graph, directed=False)
        _, first = np.unique(components, return_index=True)
        # One extra node bonded to the first atom of every molecule lets a single search visit all of them.
        sources = np.concatenate([bonds[:, 0], np.full(n_components, n_atoms)])
        targets = np.concatenate([bonds[:, 1], first])
        rooted = csr_array((np.ones(len(sources)), (sources, targets)), shape=(n_atoms + 1, n_atoms + 1))
        _, parents = breadth_first_order(rooted, n_atoms, directed=False)
        parents = parents[:n_atoms].astype(np.int64)
        parents[first] = first
        return cls(bonds=bonds, parents=parents, roots=first[components])

    def make_whole(self, positions: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Returns the positions with every molecule in one piece, at the periodic image of its root.

        Exact for any box, triclinic ones included, as long as no bond is longer than half the smallest width.

        Args:
            positions: Atom positions [nm], shape (n_frames, n_atoms, 3).
            box: Box vectors as rows [nm], shape (n_frames, 3, 3).

        Raises:
            InputError: A bond is longer than half the smallest width of the box, so its image is ambiguous.
        """
        to_fractional = np.linalg.inv(box)
        displacements = positions - positions[:, self.parents]
        # A vector shorter than half the smallest width has all fractional components below one half.
        images = np.rint(displacements @ to_fractional)
        if images.any():
            # The shift of an atom is the sum along its path to the root; doubling the step each time sums it quickly.
            ancestors = self.parents
            while not np.array_equal(ancestors, self.roots):
                images = images + images[:, ancestors]
                ancestors = ancestors[ancestors]
            positions = positions - images @ box
        self._check_bonds(positions, to_fractional)
        return positions

    def _check_bonds(self, positions: np.ndarray, to_fractional: np.ndarray) -> None:
        half_widths = 0.5 / np.linalg.norm(to_fractional, axis=1).max(axis=1)
        vectors = positions[:, self.bonds[:, 0]] - positions[:, self.bonds[:, 1]]
        lengths = np.sqrt(np.einsum("fbx,fbx->fb", vectors, vectors))
        bad = lengths >= half_widths[:, None]
        if bad.any():
            frame, bond = np.argwhere(bad)[0]
            i, j = self.bonds[bond]
            raise InputError(
                f"frame {frame}: the bond between atoms {i} and {j} is {lengths[frame, bond]:.4f} nm long, not below "
                f"half the smallest box width ({half_widths[frame]:.4f} nm), so it is unclear which periodic image "
                f"belongs to the molecule. Check the bonds, the box vectors and their unit (nm), or use a larger box."
            )
