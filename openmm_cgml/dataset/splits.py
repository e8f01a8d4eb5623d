"""Frames divided into training, validation and test parts by contiguous blocks, since neighbors in time are alike."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

SPLIT_NAMES = ("train", "validation", "test")


def split_blocks(
    n_frames: int, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, n_blocks: int = 20, seed: int = 0, gap: int = 1
) -> dict[str, NDArray[np.int64]]:
    """Disjoint, ascending frame indices for "train", "validation" and "test".

    The frames are cut into blocks of equal length; whole blocks go to one part. Where a block is followed by one of
    another part, its last `gap` frames are left out, so that no two parts hold neighboring frames.

    Args:
        n_frames: Number of frames.
        fractions: Share of each part, summing to at most 1; one to three of them. Each positive share gets a block.
        n_blocks: Number of blocks; fewer if that would make them shorter than `gap` + 1 frames.
        seed: Seed of the random assignment.
        gap: Frames left out between parts.

    Raises:
        InputError: Fractions that make no sense, or too few frames for one block per part.
    """
    shares = np.asarray(fractions, dtype=np.float64)
    if not 1 <= len(shares) <= 3 or not (shares >= 0).all() or not 0 < shares.sum() <= 1 + 1e-9:
        raise InputError(f"split fractions {tuple(fractions)}: give 1 to 3 numbers of 0 or more that sum to at most 1")
    if n_blocks < 1 or gap < 0:
        raise InputError(f"n_blocks is {n_blocks} and gap {gap}; at least 1 block and a gap of 0 or more")
    wanted = int((shares > 0).sum())
    n_blocks = min(n_blocks, n_frames // (gap + 1))
    if n_blocks < wanted:
        raise InputError(
            f"{n_frames} frames are too few to split into {wanted} parts with {gap} left out between them; "
            f"at least {wanted * (gap + 1)} are needed: record more, or ask for fewer parts"
        )
    owners = np.random.default_rng(seed).permutation(_allot(shares, n_blocks))
    edges = np.linspace(0, n_frames, n_blocks + 1).astype(np.int64)
    owner_of_frame = np.repeat(owners, np.diff(edges))
    for edge in edges[1:-1]:
        if owner_of_frame[edge] != owner_of_frame[edge - 1]:
            owner_of_frame[edge - gap : edge] = -1
    return {
        name: np.flatnonzero(owner_of_frame == part)
        for part, name in zip(range(len(shares)), SPLIT_NAMES, strict=False)
    }


def _allot(shares: NDArray[np.float64], n_blocks: int) -> NDArray[np.int64]:
    """The part that each block belongs to, shape (n_blocks,); -1 for none."""
    counts = np.where(shares > 0, np.maximum(1, np.floor(shares * n_blocks + 1e-9)), 0).astype(np.int64)
    while counts.sum() > n_blocks:
        counts[np.argmax(counts)] -= 1
    if shares.sum() > 1 - 1e-9:
        counts[np.argmax(shares)] += n_blocks - counts.sum()
    owners = np.full(n_blocks, -1, dtype=np.int64)
    owners[: counts.sum()] = np.repeat(np.arange(len(shares)), counts)
    return owners
