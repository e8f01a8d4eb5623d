"""Neighbor list with a skin, for any size and any box; plain torch operations, so that TorchScript can hold it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def minimum_image(vectors: Tensor, box: Tensor) -> Tensor:
    """`vectors` (n, 3) moved by lattice vectors to their nearest image in a reduced box (3, 3).

    Exact for images within half the smallest perpendicular width of the box, which is what OpenMM's reduced form
    (lower triangular, off-diagonals at most half the diagonal) guarantees.
    """
    vectors = vectors - torch.round(vectors[:, 2:3] / box[2, 2]) * box[2]
    vectors = vectors - torch.round(vectors[:, 1:2] / box[1, 1]) * box[1]
    return vectors - torch.round(vectors[:, 0:1] / box[0, 0]) * box[0]


def perpendicular_widths(box: Tensor) -> Tensor:
    """Distances between opposite faces of the box (3, 3), shape (3,)."""
    volume = torch.abs(torch.det(box))
    areas = torch.stack([torch.linalg.norm(torch.linalg.cross(box[(k + 1) % 3], box[(k + 2) % 3])) for k in range(3)])
    return volume / areas


def pairs_within(positions: Tensor, box: Tensor, cutoff: float, brute_force_limit: int = 1000) -> Tensor:
    """Pairs i < j nearer than `cutoff` in a periodic box, ordered by i then j, shape (2, n_pairs).

    Args:
        positions: Positions [nm], shape (n, 3), float64, anywhere in space.
        box: Reduced box vectors [nm], shape (3, 3), float64.
        cutoff: Range [nm]; a pair is found once, however many of its images are within range.
        brute_force_limit: Up to this many beads all pairs are compared; above, a cell list is used.
    """
    n = positions.shape[0]
    counts = torch.clamp(torch.floor(perpendicular_widths(box) / cutoff), min=1.0).to(torch.int64)
    if n <= brute_force_limit or int(counts.min()) < 3:
        return _all_pairs(positions, box, cutoff)
    return _cell_pairs(positions, box, cutoff, counts)


def _all_pairs(positions: Tensor, box: Tensor, cutoff: float) -> Tensor:
    n = positions.shape[0]
    rows = max(1, 2000000 // n)
    first: list[Tensor] = []
    second: list[Tensor] = []
    columns = torch.arange(n, device=positions.device)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        tail = columns[start:]
        vectors = positions[start:stop].unsqueeze(1) - positions[start:].unsqueeze(0)
        vectors = minimum_image(vectors.reshape(-1, 3), box).reshape(stop - start, n - start, 3)
        near = (vectors * vectors).sum(-1) < cutoff * cutoff
        near = near & (columns[start:stop].unsqueeze(1) < tail.unsqueeze(0))
        found = near.nonzero()
        first.append(found[:, 0] + start)
        second.append(found[:, 1] + start)
    return torch.stack([torch.cat(first), torch.cat(second)])


def _cell_pairs(positions: Tensor, box: Tensor, cutoff: float, counts: Tensor) -> Tensor:
    n = positions.shape[0]
    fractions = positions @ torch.linalg.inv(box)
    fractions = fractions - torch.floor(fractions)
    cells = torch.minimum((fractions * counts).to(torch.int64), counts - 1)
    number = (cells[:, 0] * counts[1] + cells[:, 1]) * counts[2] + cells[:, 2]
    order = torch.argsort(number)
    n_cells = int(counts.prod())
    population = torch.bincount(number, minlength=n_cells)
    starts = torch.cumsum(population, 0) - population
    first: list[Tensor] = []
    second: list[Tensor] = []
    indices = torch.arange(n, device=positions.device)
    for dx in range(-1, 2):
        for dy in range(-1, 2):
            for dz in range(-1, 2):
                if 9 * dx + 3 * dy + dz < 0:
                    continue
                offset = torch.tensor([dx, dy, dz], device=positions.device)
                other = (cells + offset) % counts
                target = (other[:, 0] * counts[1] + other[:, 1]) * counts[2] + other[:, 2]
                there = population[target]
                i = torch.repeat_interleave(indices, there)
                ends = torch.cumsum(there, 0)
                k = torch.arange(int(there.sum()), device=positions.device) - torch.repeat_interleave(
                    ends - there, there
                )
                j = order[torch.repeat_interleave(starts[target], there) + k]
                if dx == 0 and dy == 0 and dz == 0:
                    keep = i < j
                    i, j = i[keep], j[keep]
                vectors = minimum_image(positions[i] - positions[j], box)
                near = (vectors * vectors).sum(-1) < cutoff * cutoff
                i, j = i[near], j[near]
                first.append(torch.minimum(i, j))
                second.append(torch.maximum(i, j))
    i, j = torch.cat(first), torch.cat(second)
    rank = torch.argsort(i * n + j)
    return torch.stack([i[rank], j[rank]])


class NeighborList(nn.Module):
    """Pairs i < j within a cutoff, kept while no bead has moved half the skin and the box is the same.

    What it returns does not depend on when it was last rebuilt: pairs beyond the cutoff are taken out at every call,
    and pairs come ordered.

    Beyond half the smallest width of the box, the nearest image is not exact, and a pair could be missed. So where
    cutoff and skin do not fit into half the width, the skin in use is what fits; at none, the list is rebuilt at every
    call.

    Attributes:
        slack: The skin in use [nm].
        n_builds: How often the list was built.
    """

    def __init__(self, cutoff: float, skin: float, n_replicas: int = 1) -> None:
        """Args:
        cutoff: Range [nm].
        skin: Extra range of the stored list [nm].
        n_replicas: Copies of one system that the beads are; only beads of the same copy are pairs.
        """
        super().__init__()
        self.n_replicas = n_replicas
        self.cutoff = cutoff
        self.skin = skin
        self.slack = skin
        self.n_builds = 0
        self.register_buffer("pairs", torch.zeros(2, 0, dtype=torch.int64), persistent=False)
        self.register_buffer("built_at", torch.zeros(0, 3, dtype=torch.float64), persistent=False)
        self.register_buffer("built_box", torch.zeros(3, 3, dtype=torch.float64), persistent=False)

    def forward(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs (2, n_pairs), vectors from second to first (n_pairs, 3) and distances (n_pairs,) [nm], in float64.

        Args:
            positions: Positions [nm], shape (n, 3), float64.
            box: Reduced box vectors [nm], shape (3, 3), float64, or None.

        Raises:
            RuntimeError: If twice the cutoff is wider than the box, or a position is not finite.
        """
        if not bool(torch.isfinite(positions).all()):
            raise RuntimeError("a position is not finite; the run was unstable before this step")
        room = self.skin
        if box is None:
            cell = self._enclosing_box(positions)
        else:
            cell = box
            narrowest = float(perpendicular_widths(cell).min())
            if 2 * self.cutoff > narrowest:
                raise RuntimeError(
                    f"the box is {narrowest} nm wide, less than twice the network's cutoff of {self.cutoff} nm;"
                    " use a larger box"
                )
            room = 0.5 * narrowest - self.cutoff
        if self._is_outdated(positions, cell, box is None):
            self.slack = min(self.skin, room)
            self.pairs = self._search(positions, cell)
            self.built_at = positions.clone()
            self.built_box = cell.clone()
            self.n_builds += 1
        vectors = positions.index_select(0, self.pairs[0]) - positions.index_select(0, self.pairs[1])
        if box is not None:
            vectors = minimum_image(vectors, box)
        squares = (vectors * vectors).sum(1)
        near = (squares < self.cutoff * self.cutoff).nonzero().squeeze(1)
        return self.pairs.index_select(1, near), vectors.index_select(0, near), squares.index_select(0, near).sqrt()

    def _search(self, positions: Tensor, cell: Tensor) -> Tensor:
        size = positions.shape[0] // self.n_replicas
        found: list[Tensor] = []
        for begin in range(0, positions.shape[0], size):
            found.append(begin + pairs_within(positions[begin : begin + size], cell, self.cutoff + self.slack))
        return torch.cat(found, dim=1)

    def _is_outdated(self, positions: Tensor, cell: Tensor, free: bool) -> bool:
        if positions.shape[0] != self.built_at.shape[0]:
            return True
        if not free and not torch.equal(cell, self.built_box):
            return True
        moved = ((positions - self.built_at) ** 2).sum(1).max()
        return not bool(moved < 0.25 * self.slack * self.slack)

    def _enclosing_box(self, positions: Tensor) -> Tensor:
        """A box so wide that no two images of free beads are within range."""
        extent = positions.max(dim=0)[0] - positions.min(dim=0)[0]
        return torch.diag(extent + 3.0 * (self.cutoff + self.skin))
