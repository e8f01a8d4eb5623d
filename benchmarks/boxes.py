"""How far independent boxes of one atomistic system are from each other: what a model of one box cannot be judged
beyond.

`python -m benchmarks.boxes RESULT.json [SYSTEM ...]` reads the mapped frames in `data/SYSTEM/box-*`. g(r) is that
between molecules over all beads to 1.5 nm, as for the models in `fidelity.json`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.selection.comparison import compare_g, density_of_frames, judged_g, structure_of_frames
from openmm_cgml.selection.refining import split_halves
from openmm_cgml.storage import write_json

DATA = Path(__file__).parents[1] / "data"
SYSTEMS = ("polyethylene-2bead", "polyethylene-1bead", "pim-1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the boxes of every system and write it down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("systems", nargs="*", default=SYSTEMS)
    given = parser.parse_args(arguments)
    found = {name: compare_boxes(sorted((DATA / name).glob("box-*"))) for name in given.systems}
    write_json(given.result, {"command": "python -m benchmarks.boxes RESULT.json", "systems": found})


def compare_boxes(paths: Sequence[Path]) -> dict[str, Any]:
    """Densities of the boxes, and root mean square differences of their g(r)."""
    boxes = {path.name: ForceMatchingDataset.open(path, verify=False) for path in paths}
    topology = next(iter(boxes.values())).topology
    frames = {name: box.frames() for name, box in boxes.items()}
    halves = {name: [box.frames(half) for half in split_halves(box)] for name, box in boxes.items()}

    def g_of(parts: Sequence[Any]) -> Any:
        return judged_g(structure_of_frames(list(parts), topology), chains=True)

    curves = {name: g_of([part]) for name, part in frames.items()}
    mean = g_of(list(frames.values()))
    return {
        "density": {name: density_of_frames(part, topology) for name, part in frames.items()},
        "from_mean": {name: compare_g(curve, mean, chains=True) for name, curve in curves.items()},
        "between": {f"{a}, {b}": compare_g(curves[a], curves[b], chains=True) for a, b in combinations(curves, 2)},
        "between_halves": {name: compare_g(g_of([a]), g_of([b]), chains=True) for name, (a, b) in halves.items()},
    }


if __name__ == "__main__":
    main()
