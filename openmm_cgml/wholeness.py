"""Molecules made whole, and the pairs within them: what belongs to the same periodic image of a molecule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import box_widths, image_counts
from openmm_cgml.topology import CGTopology


@dataclass(frozen=True, eq=False, kw_only=True)
class BondForest:
    """A spanning forest of a bond graph: one tree per molecule.

    Attributes:
        bonds: Bonded pairs of particles, shape (n_bonds, 2).
        parents: The particle beside which each particle is placed, shape (n_particles,); a root is its own parent.
        roots: The root of the tree that each particle is in, shape (n_particles,); the same for all of a molecule.
    """

    bonds: NDArray[np.int64]
    parents: NDArray[np.int64]
    roots: NDArray[np.int64]

    @classmethod
    def from_bonds(
        cls, bonds: NDArray[np.integer], n_particles: int, molecules: NDArray[np.integer] | None = None
    ) -> BondForest:
        """The spanning forest of the graph of `n_particles` particles with these bonds.

        Args:
            bonds: Bonded pairs, shape (n_bonds, 2).
            n_particles: Number of particles.
            molecules: Molecule of each particle, shape (n_particles,), where one may hold parts that no bond joins:
                the first particle of each part is placed beside the first of the molecule. By default what bonds join
                is a molecule.
        """
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import breadth_first_order, connected_components

        bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        graph = csr_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_particles, n_particles))
        n_parts, parts = connected_components(graph, directed=False)
        _, first = np.unique(parts, return_index=True)
        # One extra node bonded to the first particle of every part lets a single search visit all of them.
        sources = np.concatenate([bonds[:, 0], np.full(n_parts, n_particles)])
        targets = np.concatenate([bonds[:, 1], first])
        rooted = csr_array((np.ones(len(sources)), (sources, targets)), shape=(n_particles + 1, n_particles + 1))
        _, parents = breadth_first_order(rooted, n_particles, directed=False)
        parents = parents[:n_particles].astype(np.int64)
        roots = first[parts]
        if molecules is not None:
            _, begins, numbers = np.unique(molecules, return_index=True, return_inverse=True)
            roots = begins[numbers]
        parents[first] = roots[first]
        return cls(bonds=bonds, parents=parents, roots=roots)

    @classmethod
    def from_topology(cls, topology: CGTopology) -> BondForest:
        """The spanning forest of the molecules of a topology."""
        return cls.from_bonds(topology.bonds, topology.n_beads, topology.molecules)

    @cached_property
    def has_bonds(self) -> bool:
        """Whether a molecule holds more than one particle."""
        return not np.array_equal(self.roots, np.arange(len(self.roots)))

    def ancestors(self, stride: int) -> NDArray[np.int64]:
        """The ancestors 1, stride, stride^2, ... steps up from each particle, shape (n_levels, n_particles).

        As many levels as it takes for the next one to be the root of all particles: adding up what `stride` particles
        hold, from each one upwards, level by level then adds up whole paths. A root is its own ancestor.

        Args:
            stride: At least 2.
        """
        levels = []
        above = self.parents
        while not np.array_equal(above, self.roots):
            levels.append(above)
            for _ in range(stride - 1):
                above = levels[-1][above]
        return np.stack(levels) if levels else np.zeros((0, len(self.roots)), np.int64)

    def images(self, positions: NDArray[np.floating], box: NDArray[np.floating]) -> NDArray[np.float64]:
        """How many box vectors each particle is away from its place in the whole molecule, shape (..., n_particles, 3).

        `positions - images @ box` are the whole molecules, each at the image of its root. Whole numbers; exact for any
        box, triclinic ones included, as long as no bond is longer than half the smallest width.

        Args:
            positions: Positions [nm], shape (..., n_particles, 3).
            box: Box vectors as rows [nm], shape (..., 3, 3).
        """
        if not self.has_bonds:
            return np.zeros(positions.shape)
        displacements = positions - positions[..., self.parents, :]
        images = image_counts(displacements, box)
        if images.any():
            # The image of a particle is the sum along its path to the root; doubling the step adds it up fast.
            for above in self._doubling:
                images += images[..., above, :]
        return images

    def make_whole(self, positions: NDArray[Any], box: NDArray[np.floating]) -> NDArray[Any]:
        """Returns the positions with every molecule in one piece, at the periodic image of its root.

        Exact for any box, triclinic ones included, as long as no bond is longer than half the smallest width.

        Args:
            positions: Positions [nm], shape (n_frames, n_particles, 3).
            box: Box vectors as rows [nm], shape (n_frames, 3, 3).

        Raises:
            InputError: A bond is longer than half the smallest width of the box, so its image is ambiguous.
        """
        images = self.images(positions, box)
        if images.any():
            positions = positions - images @ box
        self._check_bonds(positions, np.asarray(box, np.float64))
        return positions

    def centers(self, whole: NDArray[np.float64], masses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Center of mass of the molecule of each particle [nm], shape (n_particles, 3).

        Args:
            whole: Positions of whole molecules [nm], shape (n_particles, 3).
            masses: Masses [Da], shape (n_particles,).
        """
        n, roots = len(self.roots), self.roots
        sums = np.stack([np.bincount(roots, masses * axis, n) for axis in whole.T], axis=1)
        return np.asarray(sums[roots] / np.bincount(roots, masses, n)[roots][:, None])

    def is_intra(
        self,
        positions: NDArray[np.floating],
        box: NDArray[np.floating] | None,
        pairs: NDArray[np.integer],
    ) -> NDArray[np.bool_]:
        """Which pairs are within a molecule, shape (n_pairs,): the others are of two molecules or of two images of one.

        Two particles of one molecule are a pair within it if their nearest image is also the one at which they are in
        the whole molecule. A chain that is longer than the box meets its own images; they are other molecules to it.

        Args:
            positions: Positions, inside or outside the box [nm], shape (n_particles, 3).
            box: Box vectors as rows [nm], shape (3, 3), or None.
            pairs: Pairs whose nearest images are nearer than half the smallest width of the box, shape (2, n_pairs).
        """
        i, j = pairs
        intra: NDArray[np.bool_] = self.roots[i] == self.roots[j]
        if box is None or not self.has_bonds or not intra.any():
            return intra
        positions, box = np.asarray(positions, np.float64), np.asarray(box, np.float64)
        whole = positions - self.images(positions, box) @ box
        half_width = box_widths(box).min() / 2  # no second image is as near
        chosen = np.flatnonzero(intra)
        vectors = whole[i[chosen]] - whole[j[chosen]]
        intra[chosen] = np.einsum("px,px->p", vectors, vectors) < half_width**2
        return intra

    @cached_property
    def _doubling(self) -> NDArray[np.int64]:
        return self.ancestors(2)

    def _check_bonds(self, positions: NDArray[np.floating], box: NDArray[np.float64]) -> None:
        half_widths = box_widths(box).min(axis=1) / 2
        vectors = positions[:, self.bonds[:, 0]] - positions[:, self.bonds[:, 1]]
        lengths = np.sqrt(np.einsum("fbx,fbx->fb", vectors, vectors))
        bad = lengths >= half_widths[:, None]
        if bad.any():
            frame, bond = np.argwhere(bad)[0]
            i, j = self.bonds[bond]
            nearest = vectors[frame, bond] - image_counts(vectors[frame, bond], box[frame]) @ box[frame]
            if np.linalg.norm(nearest) < half_widths[frame]:
                raise InputError(
                    f"frame {frame}: the molecule of atoms {i} and {j} is bonded to its own periodic image (a network "
                    "that spans the box), so it cannot be made whole; record molecules that end within a larger box"
                )
            raise InputError(
                f"frame {frame}: the bond between atoms {i} and {j} is {lengths[frame, bond]:.4f} nm long, not below "
                f"half the smallest box width ({half_widths[frame]:.4f} nm), so it is unclear which periodic image "
                f"belongs to the molecule. Check the bonds, the box vectors and their unit (nm), or use a larger box."
            )
