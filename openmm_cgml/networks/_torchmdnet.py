"""TorchMD-Net's blocks, imported without the banners that Warp prints on machines without a GPU."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import warp

from openmm_cgml.caches import place_warp_cache

warp.config.log_level = warp.LOG_ERROR
place_warp_cache(warp.config)


@contextlib.contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """Send what native libraries write to stderr nowhere; Python exceptions are not affected."""
    try:
        saved = os.dup(2)
    except OSError:  # no stderr at all: nothing to silence
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


with _native_stderr_closed():
    from torchmdnet.models.torchmd_gn import InteractionBlock
    from torchmdnet.models.utils import GaussianSmearing, act_class_mapping

__all__ = ["GaussianSmearing", "InteractionBlock", "act_class_mapping"]
