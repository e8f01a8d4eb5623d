"""The neighbor list of a device: rows of partners for each kind of pairs, searched for and kept on the device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import warp as wp
from numpy.typing import NDArray
from torch import Tensor

from openmm_cgml.engine import warp_search
from openmm_cgml.errors import SimulationError
from openmm_cgml.wholeness import BondForest

_SPARE, _SPARE_PER_BEAD = 1.5, 4
"""Room for so many times the partners that were found and some for each bead: a denser moment should not need more."""

_FEWEST_CELLS = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class PairKind:
    """Which pairs a list is of.

    Attributes:
        kind: `warp_search.BETWEEN`, `WITHIN` or `ALL`.
        cutoff: Range [nm].
        n_knots: Knots of the tables that are looked up, from 0 to the cutoff; 0 if only the rows are wanted.
        excluded: Pairs that are left out, shape (n, 2).
    """

    kind: int
    cutoff: float
    n_knots: int
    excluded: NDArray[np.int64]


@dataclass(eq=False)
class Rows:
    """Partners of every bead, a row each; a row begins at `starts`.

    Attributes:
        starts: Shape (n_beads,).
        lengths: Partners within the cutoff and the skin when they were searched for, shape (n_beads,).
        partners: Shape (room,).
        n_near: Partners within the cutoff now, shape (n_beads,).
        near: These partners, from the beginning of the same row, shape (room,).
        knots: Their place in the tables, shape (room,).
        offsets: Distance from that knot in knot spacings, shape (room,).
        directions: Unit vectors from the partner to the bead, shape (room, 3).
    """

    n_beads: int
    room: int
    device: torch.device
    starts: Tensor = field(init=False)
    lengths: Tensor = field(init=False)
    partners: Tensor = field(init=False)
    n_near: Tensor = field(init=False)
    near: Tensor = field(init=False)
    knots: Tensor = field(init=False)
    offsets: Tensor = field(init=False)
    directions: Tensor = field(init=False)

    def __post_init__(self) -> None:
        for name in ("starts", "lengths", "n_near"):
            setattr(self, name, torch.zeros(self.n_beads, dtype=torch.int32, device=self.device))
        for name in ("partners", "near", "knots"):
            setattr(self, name, torch.zeros(self.room, dtype=torch.int32, device=self.device))
        self.offsets = torch.zeros(self.room, device=self.device)
        self.directions = torch.zeros(self.room, 3, device=self.device)
        self.now = tuple(wp.from_torch(t) for t in (self.starts, self.n_near, self.near, self.knots, self.offsets))
        self.now_with_directions = (*self.now, wp.from_torch(self.directions, dtype=wp.vec3f))
        self.listed = tuple(wp.from_torch(t) for t in (self.starts, self.lengths, self.partners))


class WarpLists:
    """Rows for several kinds of pairs of one set of beads, from one search.

    A search is done when a bead has moved half the skin or the box has changed; the device decides. Results are wrong
    where a row did not fit, a position is not finite or the box is too narrow: `verdict` is NaN then, to be added to
    whatever is computed from the rows, and `check` says so in words.

    Attributes:
        rows: One for each kind.
        verdict: 0 or NaN, shape (1,), float64.
        has_room: Whether the rows have been given the room that they need.
    """

    def __init__(
        self,
        kinds: tuple[PairKind, ...],
        forest: BondForest,
        replica_size: int,
        skin: float,
        device: torch.device,
    ) -> None:
        """Args:
        kinds: The kinds of pairs.
        forest: The molecules of the beads.
        replica_size: Beads of different groups of so many are never partners.
        skin: Extra range of the stored rows [nm].
        device: Where they are.
        """
        self._kinds, self._skin, self._device = kinds, skin, device
        n = len(forest.roots)
        self._n_beads, self._replica_size = n, replica_size
        self._cutoff = max(kind.cutoff for kind in kinds)
        self._max_cells = max(_FEWEST_CELLS, replica_size)
        n_cells = self._max_cells * (n // replica_size)
        self._warp_device = wp.device_from_torch(device)
        on_cpu = device.type == "cpu"
        self._stream = None if on_cpu else wp.stream_from_torch(torch.cuda.current_stream(device))
        self._molecules, self._parents = self._integers(forest.roots), self._integers(forest.parents)
        self._ancestors = [self._integers(level) for level in forest.ancestors(warp_search.HOPS)]
        self._needs_images = forest.has_bonds and any(kind.kind != warp_search.ALL for kind in kinds)
        self._images = [self._zeros((n, 3), wp.vec3d) for _ in range(1 + len(self._ancestors))]
        self._excluded = [tuple(map(self._integers, _by_bead(kind.excluded, n))) for kind in kinds]
        self._flags = torch.zeros(warp_search.ROOM + len(kinds), dtype=torch.int32, device=device)
        self._room = torch.full((len(kinds),), _SPARE_PER_BEAD * n, dtype=torch.int32, device=device)
        self._cells = self._zeros((3,), wp.int32)
        self._reach = self._zeros((3,), wp.float64)
        self._searched_box = self._zeros((1, 3, 3), wp.mat33d)
        self._searched_at = self._zeros((n, 3), wp.vec3d)
        self._cell_of, self._following = self._zeros((n,), wp.int32), self._zeros((n,), wp.int32)
        self._heads = self._zeros((n_cells,), wp.int32)
        self._no_box = torch.zeros(1, 3, 3, dtype=torch.float64, device=device)  # equal to no box
        self._flags_array, self._room_array = wp.from_torch(self._flags), wp.from_torch(self._room)
        self.verdict = torch.zeros(1, dtype=torch.float64, device=device)
        self._verdict_array = wp.from_torch(self.verdict)
        self.rows = [Rows(n, _SPARE_PER_BEAD * n, device) for _ in kinds]
        self.has_room = False

    @property
    def n_searches(self) -> int:
        """How often partners were searched for."""
        return int(self._flags[warp_search.N_SEARCHES])

    def launch(self, kernel: Any, dim: int | tuple[int, ...], inputs: list[Any]) -> None:
        """Launch a kernel on the stream that was torch's current one when the list was made."""
        wp.launch(kernel, dim=dim, inputs=inputs, device=self._warp_device, stream=self._stream)

    def update(self, positions: Tensor, box: Tensor | None) -> tuple[Any, Any, int]:
        """Bring the rows up to date; the launches are the same whether a search is due or not.

        Args:
            positions: Positions [nm], shape (n_beads, 3), float64.
            box: Reduced box vectors [nm], shape (3, 3), float64, or None.

        Returns:
            Positions, box and whether there is one, as the kernels take them.
        """
        periodic = int(box is not None)
        x = wp.from_torch(positions, dtype=wp.vec3d)
        b = wp.from_torch(self._no_box if box is None else box.reshape(1, 3, 3), dtype=wp.mat33d)
        flags, cells, reach = self._flags_array, self._cells, self._reach
        shape = [b, periodic, self._cutoff, self._skin, self._max_cells, self._searched_box, cells, reach, flags]
        self.launch(warp_search.prepare, 1, shape)
        self.launch(warp_search.look_for_movement, self._n_beads, [x, self._searched_at, reach, flags])
        emptied = [b, len(self._kinds), self._searched_box, self._heads, flags]
        self.launch(warp_search.empty_cells, self._heads.size, emptied)
        chains = [self._cell_of, self._heads, self._following]
        filled = [x, b, periodic, self._replica_size, cells, reach, flags, self._searched_at, *chains]
        self.launch(warp_search.fill_cells, self._n_beads, filled)
        if periodic and self._needs_images:
            self._find_images(x, b)
        for number, kind in enumerate(self._kinds):
            rows, excluded = self.rows[number], self._excluded[number]
            pairs = [kind.cutoff, kind.kind, number, self._molecules, self._images[-1], *excluded]
            write = [x, b, periodic, *pairs, cells, reach, *chains, flags, *rows.listed]
            self.launch(warp_search.write_rows, self._n_beads, write)
            if kind.n_knots:
                near = [x, b, periodic, kind.cutoff, kind.n_knots, *rows.listed, *rows.now_with_directions[1:]]
                self.launch(warp_search.take_near, self._n_beads, near)
        self.launch(warp_search.judge, 1, [flags, self._room_array, self._verdict_array])
        return x, b, periodic

    def _find_images(self, x: Any, b: Any) -> None:
        """The image of every bead of the whole molecule, if a search is due: a few launches for any length of chain."""
        flags, images = self._flags_array, self._images
        self.launch(warp_search.look_at_parents, self._n_beads, [x, b, self._parents, flags, images[0]])
        for level, ancestors in enumerate(self._ancestors):
            added = [ancestors, flags, images[level], images[level + 1]]
            self.launch(warp_search.add_up_images, self._n_beads, added)

    def grow(self) -> bool:
        """Make room where a row did not fit; whether that was so. The next update searches again.

        Reads from the device, so it cannot be called while a CUDA graph is captured.

        Raises:
            SimulationError: If a position is not finite or the box is too narrow.
        """
        flags = self._flags.tolist()
        if flags[warp_search.NOT_FINITE]:
            raise SimulationError("a position is not finite; the run was unstable before this step")
        if flags[warp_search.NARROW]:
            raise SimulationError(
                f"the box is less than {2 * self._cutoff:g} nm wide, twice the cutoff of {self._cutoff:g} nm; use a "
                "larger box"
            )
        grown = False
        for number, needed in enumerate(flags[warp_search.ROOM :]):
            if needed > self.rows[number].room:
                room = int(_SPARE * needed) + _SPARE_PER_BEAD * self._n_beads
                self.rows[number] = Rows(self._n_beads, room, self._device)
                self._room[number] = room
                self._flags[warp_search.HAS_SEARCHED] = 0
                grown = True
        self.has_room = True
        return grown

    # Torch allocates on its current stream, on which the kernels run; Warp would use a stream of its own.

    def _integers(self, values: NDArray[np.integer]) -> Any:
        return wp.from_torch(torch.tensor(values, dtype=torch.int32, device=self._device))

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        kind = torch.int32 if dtype is wp.int32 else torch.float64
        return wp.from_torch(torch.zeros(shape, dtype=kind, device=self._device), dtype=dtype)


def _by_bead(pairs: NDArray[np.int64], n_beads: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the partners of each bead begin, shape (n_beads + 1,), and the partners, each pair from both sides."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    starts = np.concatenate([[0], np.cumsum(np.bincount(both[:, 0], minlength=n_beads))])
    return starts, both[:, 1]
