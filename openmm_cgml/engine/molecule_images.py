"""Which pairs are within a molecule, in plain torch operations, so that TorchScript can hold it beside the network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from openmm_cgml.engine.neighbors import perpendicular_widths
from openmm_cgml.wholeness import BondForest


class IntraPairs(nn.Module):
    """Tells pairs within a molecule from those of two molecules, or of two images of one, as `BondForest.is_intra`."""

    def __init__(self, forest: BondForest) -> None:
        """Args:
        forest: The molecules.
        """
        super().__init__()
        self.has_bonds: bool = forest.has_bonds
        self.register_buffer("parents", torch.tensor(forest.parents), persistent=False)
        self.register_buffer("roots", torch.tensor(forest.roots), persistent=False)
        self.register_buffer("ancestors", torch.tensor(forest.ancestors(2)), persistent=False)

    def forward(self, first: Tensor, second: Tensor, positions: Tensor, box: Tensor | None) -> Tensor:
        """Which pairs are within a molecule, shape (n_pairs,).

        Args:
            first: Beads whose nearest images are nearer than half the smallest width of the box, shape (n_pairs,).
            second: Their partners, shape (n_pairs,).
            positions: Positions [nm], shape (n_beads, 3), float64.
            box: Reduced box vectors [nm], shape (3, 3), float64, or None.
        """
        intra = self.roots.index_select(0, first) == self.roots.index_select(0, second)
        if box is None or not self.has_bonds:
            return intra
        steps = positions - positions.index_select(0, self.parents)  # type: ignore[arg-type]
        images = torch.round(steps @ torch.linalg.inv(box))
        for level in range(self.ancestors.shape[0]):
            images = images + images.index_select(0, self.ancestors[level])
        whole = positions - images @ box
        vectors = whole.index_select(0, first) - whole.index_select(0, second)
        half_width = 0.5 * perpendicular_widths(box).min()
        return intra & ((vectors * vectors).sum(1) < half_width * half_width)
