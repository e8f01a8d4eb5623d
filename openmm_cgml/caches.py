"""Where compiled kernels are kept between processes, and what is done where neither home nor package can be written.

Containers and batch nodes often have a read-only installation and no home. Numba and Warp then fail on import instead
of going on without a cache, so they are told before. A cache shared between users in a temporary folder is no way out:
what numba reads from it is unpickled, so that anybody could put code there.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@functools.cache
def keeps_numba_kernels() -> bool:
    """Whether numba finds a folder for compiled functions; without one they are compiled in every process."""
    import numba

    def probe() -> int:
        return 0

    try:
        numba.njit(cache=True)(probe)
    except RuntimeError as error:  # "no locator available"
        logger.info("compiled functions are not kept: %s; set NUMBA_CACHE_DIR to a folder of your own", error)
        return False
    return True


@functools.cache
def find_warp_cache() -> Path | None:
    """A private folder for Warp's kernels for the life of this process; None where its own choice can be written."""
    if "WARP_CACHE_PATH" in os.environ:
        return None
    usual = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "warp"
    try:
        usual.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=usual).close()
    except OSError as error:
        folder = tempfile.mkdtemp(prefix="openmm-cgml-warp-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        logger.info("Warp's kernels are not kept: %s; set WARP_CACHE_PATH to a folder of your own", error)
        return Path(folder)
    return None


def place_warp_cache(config: Any) -> None:
    """Give Warp a folder that it can write; call it before anything starts Warp.

    Args:
        config: `warp.config`.
    """
    if config.kernel_cache_dir is None and (folder := find_warp_cache()) is not None:
        config.kernel_cache_dir = str(folder)
