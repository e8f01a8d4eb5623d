"""Frames that are there twice, as after a restart from an earlier checkpoint."""

from __future__ import annotations

import hashlib

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames

__all__ = ["FrameRegister"]


class FrameRegister:
    """Remembers the positions of frames, in single precision, and tells which came before."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}
        self._n_frames = 0

    def add(self, frames: Frames) -> list[tuple[int, int]]:
        """Take the next frames and return those that came before: numbers of the earlier and the later one."""
        pairs = []
        for digest in _digests(frames):
            earlier = self._seen.setdefault(digest, self._n_frames)
            if earlier != self._n_frames:
                pairs.append((earlier, self._n_frames))
            self._n_frames += 1
        return pairs

    def require_new(self, frames: Frames) -> None:
        """Take the next frames.

        Raises:
            InputError: One of them came before.
        """
        pairs = self.add(frames)
        if pairs:
            earlier, later = pairs[0]
            raise InputError(
                f"frames {earlier} and {later} are the same ({len(pairs)} such pairs in this part), as after a restart "
                "from an earlier checkpoint: leave one out. A frame that is trained on and tests too makes errors look "
                "smaller than they are"
            )


def _digests(frames: Frames) -> list[bytes]:
    positions = np.ascontiguousarray(frames.positions, np.float32)
    return [hashlib.sha256(frame.tobytes()).digest() for frame in positions]
