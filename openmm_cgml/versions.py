"""Which versions of packages are installed, for the records of what made a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from importlib import metadata


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Versions of packages by name, as distributions are called; those that are not installed are left out."""
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
