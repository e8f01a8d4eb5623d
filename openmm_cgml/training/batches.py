"""Batches: frames laid end to end as one large set of beads, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmm_cgml.periodic import pair_vectors
from openmm_cgml.training.labels import LabeledFrames
from openmm_cgml.training.pairs import FramePairs, PairFinder, PairRule

Key = tuple[int, int]
"""A frame: number of the dataset and of the frame in it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PairBatch:
    """Pairs of all frames of a batch.

    Attributes:
        first: Bead numbers in increasing order, shape (n_pairs,).
        second: Bead numbers, shape (n_pairs,).
        distances: Distances [nm], shape (n_pairs,).
        directions: Unit vectors from the first to the second bead, shape (n_pairs, 3).
    """

    first: Tensor
    second: Tensor
    distances: Tensor
    directions: Tensor

    def to(self, device: torch.device) -> PairBatch:
        """A copy on another device."""
        return PairBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True, eq=False, kw_only=True)
class Batch:
    """Several frames as one set of beads.

    Attributes:
        frames: Which frames these are, as (dataset number, frame number).
        frame_of_bead: Frame of each bead, from 0, shape (n_beads,).
        bead_types: Type of each bead, shape (n_beads,).
        inter: Intermolecular pairs.
        intra: Intramolecular pairs.
        forces: Forces to learn, priors subtracted [kJ/mol/nm], shape (n_beads, 3).
        forces_inter: Intermolecular part of them, shape (n_beads, 3), or None.
        energies: Energies to learn, priors and offset subtracted [kJ/mol], shape (n_frames,), or None.
        weights: Weight of each frame, shape (n_frames,).
    """

    frames: tuple[Key, ...]
    frame_of_bead: Tensor
    bead_types: Tensor
    inter: PairBatch
    intra: PairBatch
    forces: Tensor
    forces_inter: Tensor | None
    energies: Tensor | None
    weights: Tensor

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.frames)

    def to(self, device: torch.device, **_: Any) -> Batch:
        """A copy on another device."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{k: v if k == "frames" or v is None else v.to(device) for k, v in values.items()})


class FrameStore:
    """All labeled frames in memory, with the pairs of each one.

    Args:
        parts: Datasets, labels prepared.
        rule: Which pairs the network sees; None without a network, when there are no batches.
        dtype: Floating-point type of the batches.
    """

    def __init__(
        self, parts: Sequence[LabeledFrames], rule: PairRule | None, dtype: torch.dtype = torch.float32
    ) -> None:
        self.parts = tuple(parts)
        self._dtype = dtype
        self._finders = [] if rule is None else [PairFinder(part.topology, rule) for part in parts]
        self._pairs: dict[Key, FramePairs] = {}

    def pairs(self, part: int, frame: int) -> FramePairs:
        """Pairs of one frame, found on first use and kept."""
        key = (part, frame)
        if key not in self._pairs:
            data = self.parts[part]
            box = None if data.box is None else data.box[frame].astype(np.float64)
            self._pairs[key] = self._finders[part].find(data.positions[frame].astype(np.float64), box)
        return self._pairs[key]

    def batch(self, keys: Sequence[Key]) -> Batch:
        """The frames `keys`, each (part, frame), as one batch."""
        parts = [self.parts[part] for part, _ in keys]
        sizes = [part.topology.n_beads for part in parts]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])

        def joined(name: str) -> Tensor | None:
            arrays = [getattr(part, name) for part in parts]
            if any(array is None for array in arrays):
                return None
            return torch.as_tensor(
                np.concatenate([np.atleast_1d(a[f]) for a, (_, f) in zip(arrays, keys, strict=True)]), dtype=self._dtype
            )

        forces = joined("forces")
        assert forces is not None
        return Batch(
            frames=tuple(keys),
            frame_of_bead=torch.repeat_interleave(torch.arange(len(keys)), torch.tensor(sizes)),
            bead_types=torch.as_tensor(np.concatenate([part.topology.bead_types for part in parts])),
            inter=self._pair_batch("inter", keys, starts),
            intra=self._pair_batch("intra", keys, starts),
            forces=forces,
            forces_inter=joined("forces_inter"),
            energies=joined("energies"),
            weights=torch.tensor([part.weight for part in parts], dtype=self._dtype),
        )

    def _pair_batch(self, kind: str, keys: Sequence[Key], starts: NDArray[np.int64]) -> PairBatch:
        indices, vectors = [], []
        for (part, frame), start in zip(keys, starts, strict=True):
            data, pairs = self.parts[part], getattr(self.pairs(part, frame), kind)
            box = None if data.box is None else data.box[frame]
            indices.append(pairs.astype(np.int64) + start)
            vectors.append(pair_vectors(data.positions[frame], box, *pairs))
        first, second = torch.from_numpy(np.concatenate(indices, axis=1))
        vector = torch.as_tensor(np.concatenate(vectors), dtype=self._dtype)
        distance = torch.linalg.vector_norm(vector, dim=1)
        return PairBatch(first=first, second=second, distances=distance, directions=vector / distance[:, None])


class BatchLoader:
    """Iterates over batches; what Lightning uses as a data loader.

    The order is a function of seed and epoch alone, and the position within an epoch can be set, so training resumes
    with exactly the batches that an uninterrupted run would have seen.

    Args:
        store: The frames.
        keys: Which of them.
        batch_size: Frames per batch; the last batch of an epoch may be smaller.
        seed: Seed of the order; None keeps the order of `keys`.
    """

    def __init__(self, store: FrameStore, keys: Sequence[Key], batch_size: int, seed: int | None = None) -> None:
        self._store = store
        self._keys = list(keys)
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0
        self._start = 0
        self._position = 0

    def __len__(self) -> int:
        return -(-len(self._keys) // self._batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch number `epoch`."""
        self._epoch = epoch

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Positions of the frames in the order of an epoch."""
        if self._seed is None:
            return np.arange(len(self._keys))
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._keys))

    def __iter__(self) -> Iterator[Batch]:
        start, self._start = self._start, 0
        order = self.order(self._epoch)
        for number in range(start, len(self)):
            chosen = order[number * self._batch_size : (number + 1) * self._batch_size]
            self._position = number + 1
            yield self._store.batch([self._keys[i] for i in chosen])

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands within an epoch."""
        return {"position": self._position % max(len(self), 1)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start the next epoch where another loader stood."""
        self._start = state["position"]
