"""The picture of a training."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from openmm_cgml.storage import write_atomically


def plot_losses(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write force (and energy) errors over epochs as a PNG.

    Args:
        rows: Figures of every epoch, as in `metrics.csv`.
        path: The picture.
    """
    panels = {"force_rmse": "force RMSE [kJ/mol/nm]", "energy_rmse_per_bead": "energy RMSE per bead [kJ/mol]"}
    panels = {name: title for name, title in panels.items() if any(f"train_{name}" in row for row in rows)}
    figure = Figure(figsize=(5.5 * len(panels), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (name, title) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), number + 1)
        for part, color in (("train", "tab:gray"), ("validation", "tab:blue")):
            points = [(row["epoch"], row[f"{part}_{name}"]) for row in rows if f"{part}_{name}" in row]
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=color, label=part)
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
