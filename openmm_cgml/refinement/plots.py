"""Distributions of bonds, angles and torsions before and after, beside the reference."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.storage import write_atomically

_COLUMNS = 4


def plot_distributions(panels: Mapping[str, Mapping[str, Distribution]], path: Path) -> None:
    """Write distributions of the same coordinates as a PNG, one panel for each; the first in a panel is filled.

    Args:
        panels: Distributions by their label, by the title of the panel; a title that holds "bond" counts in nm, others
            in degrees.
        path: The picture.
    """
    columns = max(1, min(_COLUMNS, len(panels)))
    rows = max(1, -(-len(panels) // columns))
    figure = Figure(figsize=(3.8 * columns, 3.0 * rows))
    FigureCanvasAgg(figure)
    width, height = 1 / columns, 1 / rows
    for number, (title, distributions) in enumerate(panels.items()):
        left, bottom = number % columns * width, 1 - (number // columns + 1) * height
        axes = figure.add_axes((left + 0.15 * width, bottom + 0.16 * height, 0.81 * width, 0.70 * height))
        scale, unit = (1.0, "nm") if "bond" in title else (180 / np.pi, "degrees")
        for label, distribution in distributions.items():
            x = scale * (distribution.bin_edges[1:] + distribution.bin_edges[:-1]) / 2
            if axes.lines or axes.collections:
                axes.plot(x, distribution.density / scale, linewidth=1, label=label)
            else:
                axes.fill_between(x, distribution.density / scale, color="0.8", label=label)
        axes.set_title(title, fontsize=8)
        axes.set_xlabel(unit, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(frameon=False, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(path, buffer.getvalue())
