#!/usr/bin/env python3
"""Draw the pictures of choosing-a-mapping.md: docs/images/choosing-*.png, from recordings of the two systems.

python docs/draw_choosing.py BENZENE_RECORDING POLYETHYLENE_RECORDING
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from openmm_cgml.dataset import open_recording
from openmm_cgml.judging import draw_mapping, suggest_mappings
from openmm_cgml.mapping.labels import labels_of_groups, residue_groups
from openmm_cgml.topology import AtomTopology

FOLDER = Path(__file__).resolve().parent / "images"


def main() -> None:
    """Draw both."""
    benzene, polyethylene = (AtomTopology.from_dict(open_recording(p).metadata["atoms"]) for p in sys.argv[1:3])
    pairs = {"adjacent": [0, 0, 1, 1, 2, 2], "one pair adjacent": [0, 1, 0, 1, 2, 2], "opposite": [0, 1, 2, 0, 1, 2]}
    groups = residue_groups(benzene)
    beside("benzene", benzene, {n: labels_of_groups(groups, [own * 2], benzene.n_atoms) for n, own in pairs.items()})
    found = suggest_mappings(polyethylene, [1, 2], temperature=300.0, methods=["partition"])
    beside("polyethylene", polyethylene, {each.name: each.labels for each in found})


def beside(name: str, atoms: AtomTopology, labels: Mapping[str, Any]) -> None:
    """One picture of some mappings of the same atoms."""
    images = []
    for title, own in labels.items():
        buffer = io.BytesIO()
        draw_mapping(atoms, own, title=title).savefig(buffer, dpi=60, format="raw")
        images.append(np.frombuffer(buffer.getvalue(), np.uint8).reshape(240, -1, 4))
    joined = np.concatenate(images, axis=1)
    figure = Figure(figsize=(joined.shape[1] / 100, joined.shape[0] / 100))
    figure.figimage(joined)
    figure.savefig(FOLDER / f"choosing-{name}.png", dpi=100)


if __name__ == "__main__":
    main()
