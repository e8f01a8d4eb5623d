"""The results file of the speed benchmarks: one row a key, merged into what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmm_cgml.storage import read_json, write_json

RESULTS = Path(__file__).resolve().parent / "results"


def merge_results(path: Path, updates: Mapping[str, Any]) -> None:
    """Put rows into the file and leave every other row as it is; `header` and `tables` are merged key by key.

    Args:
        path: The file; it is created where it is missing.
        updates: Rows by key.
    """
    content = read_json(path) if path.exists() else {}
    for key, value in updates.items():
        nested = key in ("header", "tables") and isinstance(content.get(key), dict)
        content[key] = {**content[key], **value} if nested else value
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, content)


def load_average() -> float:
    """Processes that wanted to run in the last minute, this one among them."""
    return round(os.getloadavg()[0], 2)
