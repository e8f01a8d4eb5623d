"""The pictures of a training: its errors and its priors."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from openmm_cgml.priors.report import BondedFit, PriorReport, RepulsionFit
from openmm_cgml.storage import write_atomically

_COLUMNS = 4  # of the picture of the priors


def plot_losses(rows: Sequence[Mapping[str, float]], path: Path) -> None:
    """Write force (and energy) errors over epochs as a PNG.

    Args:
        rows: Metrics of every epoch, as in `metrics.csv`.
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


def plot_priors(report: PriorReport, path: Path) -> None:
    """Write every prior beside the data as a PNG: distributions above, energies and their difference below.

    Args:
        report: The priors and the data.
        path: The picture.
    """
    fits: tuple[BondedFit | RepulsionFit, ...] = (*report.bonded, *report.repulsions)
    columns = max(1, min(_COLUMNS, len(fits)))
    rows = max(1, -(-len(fits) // columns))
    figure = Figure(figsize=(3.8 * columns, 5.0 * rows))
    FigureCanvasAgg(figure)
    for number, fit in enumerate(fits):
        upper, lower = _panels(figure, number // columns, number % columns, rows, columns)
        if isinstance(fit, BondedFit):
            _draw_bonded(upper, lower, fit)
        else:
            _draw_repulsion(upper, lower, fit)
        lower.legend(frameon=False, fontsize=7)
        lower.set_ylabel("energy [kJ/mol]", fontsize=8)
        for axes in (upper, lower):
            axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomically(path, buffer.getvalue())


def _panels(figure: Figure, row: int, column: int, rows: int, columns: int) -> tuple[Axes, Axes]:
    """Two panels one above the other, at fixed places: finding places by drawing takes seconds."""
    width, height = 1 / columns, 1 / rows
    left, bottom = column * width, 1 - (row + 1) * height
    lower = figure.add_axes((left + 0.17 * width, bottom + 0.09 * height, 0.79 * width, 0.40 * height))
    place = (left + 0.17 * width, bottom + 0.52 * height, 0.79 * width, 0.39 * height)
    upper = figure.add_axes(place, sharex=lower)
    upper.tick_params(labelbottom=False)
    return upper, lower


def _draw_bonded(upper: Axes, lower: Axes, fit: BondedFit) -> None:
    scale, unit = (1.0, "nm") if fit.kind == "bond" else (180 / np.pi, "degrees")
    x = scale * fit.values
    upper.fill_between(x, fit.density / scale, color="0.8", label="data")
    upper.plot(x, fit.fitted_density / scale, color="tab:blue", label=fit.term.form.replace("_", " "))
    upper.set_title(f"{fit.kind} {'-'.join(fit.term.types)}\nJS divergence {fit.divergence:.2g} bit", fontsize=8)
    upper.legend(frameon=False, fontsize=7)
    lower.plot(x[fit.sampled], fit.data_energy, ".", color="0.5", markersize=3, label="data")
    lower.plot(x, fit.energy, color="tab:blue", label="prior")
    difference = f"difference, at most {fit.largest_error:.2g}"
    lower.plot(x[fit.sampled], fit.residual, color="tab:red", linewidth=1, label=difference)
    highest = float(fit.data_energy.max(initial=1.0))
    lower.set_ylim(min(-0.2 * highest, float(fit.residual.min(initial=0.0))), 1.6 * highest)
    shown = x[(fit.density > 0) | (fit.fitted_density > 1e-4 * fit.fitted_density.max())]
    lower.set_xlim(float(shown.min()), float(shown.max()))
    lower.set_xlabel(f"{fit.kind} [{unit}]", fontsize=8)


def _draw_repulsion(upper: Axes, lower: Axes, fit: RepulsionFit) -> None:
    upper.fill_between(fit.values, fit.g, color="0.8", label="data")
    contact = (
        "" if fit.contact_energy is None else f"\n{fit.contact_energy:.2g} kT at the closest, {fit.closest:.3f} nm"
    )
    upper.set_title(f"repulsion {'-'.join(fit.term.types)}{contact}", fontsize=8)
    upper.set_ylabel("g(r)", fontsize=8)
    lower.plot(fit.values[fit.sampled], fit.data_energy, ".", color="0.5", markersize=3, label="-kT ln g of the data")
    lower.plot(fit.values, fit.energy, color="tab:blue", label="prior")
    lower.plot(fit.values[fit.sampled], fit.residual, color="tab:red", linewidth=1, label="left to the network")
    limits = np.concatenate([fit.data_energy, fit.residual, [-1.0, 1.0]])
    lower.set_ylim(1.2 * float(limits.min()), 1.5 * float(limits.max()))
    lower.set_xlim(0.5 * (fit.closest or 0.0), float(fit.values[-1]))
    lower.set_xlabel("distance [nm]", fontsize=8)
