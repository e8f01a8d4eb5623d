"""The pictures of a report, drawn on matplotlib `Figure` objects and returned as PNG bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Picture

from openmm_cgml.analysis.compare import RMSE_RANGE
from openmm_cgml.analysis.diffusion import MeanSquareDisplacement
from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.rdf import RadialDistribution

if TYPE_CHECKING:
    from openmm_cgml.validation.simulation_run import SimulationRun

REFERENCE_COLOR = "#3a3a3a"
RUN_COLORS = ("#1f6fb4", "#d2691e", "#2e8b57", "#8a4f9e", "#b8860b", "#5f7d8c")
_STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
}
_DPI = 160
REFERENCE_LABEL = "atomistic reference, mapped"

Runs = Sequence[tuple[str, RadialDistribution]]


def draw_rdf(
    title: str, reference: RadialDistribution, runs: Runs, *, r_range: tuple[float, float] = RMSE_RANGE
) -> bytes:
    """g(r) of the runs over the reference's, with bands of two standard errors, and their difference below.

    Args:
        title: Title of the picture.
        reference: The reference's g(r).
        runs: Names and g(r) of the runs.
        r_range: Distances over which they are compared, shaded [nm].
    """

    def draw(picture: Picture) -> None:
        top, bottom = picture.subplots(2, 1, sharex=True, height_ratios=(3, 1.1))
        _draw_reference(top, reference)
        for color, (name, rdf) in zip(pick_colors(len(runs)), runs, strict=True):
            _draw_band(top, rdf, color, name)
            n = min(len(rdf.g), len(reference.g))
            bottom.plot(rdf.r[:n], rdf.g[:n] - reference.g[:n], color=color, linewidth=1.2)
        error = reference.standard_error
        if error is not None:
            bottom.fill_between(reference.r, -2 * error, 2 * error, color=REFERENCE_COLOR, alpha=0.25, linewidth=0)
        bottom.axhline(0, color=REFERENCE_COLOR, linewidth=0.8)
        for axes in (top, bottom):
            axes.axvspan(*r_range, color="#f7f7f4", zorder=-5)
        top.axhline(1, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)))
        top.set(ylabel="g(r)", title=title, ylim=(0, None), xlim=(0, min(float(reference.bin_edges[-1]), 1.5)))
        bottom.set(xlabel="r [nm]", ylabel="difference")
        top.legend(loc="best")

    return render_picture(draw, (6.4, 4.9))


def draw_rdf_grid(
    title: str,
    references: Mapping[str, RadialDistribution],
    runs: Sequence[tuple[str, Mapping[str, RadialDistribution]]],
) -> bytes:
    """g(r) of several pairs of types, one panel each."""

    def panel(axes: Axes, name: str) -> None:
        _draw_reference(axes, references[name])
        for color, (run, rdfs) in zip(pick_colors(len(runs)), runs, strict=True):
            _draw_band(axes, rdfs[name], color, run)
        occupied = np.flatnonzero(references[name].counts)
        last = references[name].bin_edges[occupied[-1] + 1] if len(occupied) else references[name].bin_edges[-1]
        first = references[name].bin_edges[references[name].first_occupied_bin]
        axes.set(xlabel="r [nm]", ylabel="g(r)", ylim=(0, None), xlim=(max(0.0, first - 0.1), last + 0.05))

    return _draw_grid(title, list(references), panel)


def draw_distributions(
    title: str,
    quantity: str,
    unit: str,
    references: Mapping[str, Distribution],
    runs: Sequence[tuple[str, Mapping[str, Distribution]]],
    *,
    scale: float = 1.0,
) -> bytes:
    """Distributions of bonds or angles, one panel for each kind.

    Args:
        title: Title of the picture.
        quantity: What is distributed.
        unit: Its unit in the picture.
        references: The reference's distributions.
        runs: Names and distributions of the runs.
        scale: Factor from the distributions' unit to the picture's.
    """

    def panel(axes: Axes, name: str) -> None:
        reference = references[name]
        axes.stairs(
            reference.density / scale, reference.bin_edges * scale, color=REFERENCE_COLOR, fill=True, alpha=0.18
        )
        axes.stairs(
            reference.density / scale, reference.bin_edges * scale, color=REFERENCE_COLOR, label=REFERENCE_LABEL
        )
        for color, (run, distributions) in zip(pick_colors(len(runs)), runs, strict=True):
            found = distributions[name]
            axes.stairs(found.density / scale, found.bin_edges * scale, color=color, linewidth=1.4, label=run)
        low, high = reference.bin_edges[[0, -1]] * scale
        margin = 0.4 * (high - low)
        axes.set(xlabel=f"{quantity} [{unit}]", ylabel=f"probability density [1/{unit}]")
        highest = 180.0 if unit == "degree" else np.inf
        axes.set(ylim=(0, None), xlim=(max(0.0, low - margin), min(highest, high + margin)))

    return _draw_grid(title, list(references), panel)


def draw_series(runs: Sequence[SimulationRun], temperature: float) -> bytes:
    """Temperature and potential energy per bead over time, with running means."""

    def draw(picture: Picture) -> None:
        top, bottom = picture.subplots(2, 1, sharex=True)
        top.axhline(
            temperature, color=REFERENCE_COLOR, linewidth=1.0, linestyle=(0, (4, 3)), label=f"target {temperature:g} K"
        )
        for color, run in zip(pick_colors(len(runs)), runs, strict=True):
            _draw_series(top, run.times, run.temperatures, color, run.name)
            _draw_series(bottom, run.times, run.energies_per_bead, color, run.name)
            if run.discarded > 0 and len(run.times):
                for axes in (top, bottom):
                    axes.axvline(run.times[0] + run.discarded, color=color, linewidth=0.9, linestyle=":")
        top.set(ylabel="temperature [K]", title="Temperature and potential energy")
        bottom.set(ylabel="energy per bead [kJ/mol]", xlabel="time [ps] (CG time)")
        top.legend(loc="best", ncols=2)

    return render_picture(draw, (6.4, 4.6))


def draw_msd(
    of: str, reference: MeanSquareDisplacement | None, runs: Sequence[tuple[str, MeanSquareDisplacement]]
) -> bytes:
    """Mean square displacement of the centers of mass, or of the beads, with bands of two standard errors."""

    def draw(picture: Picture) -> None:
        axes = picture.subplots()
        if reference is not None:
            label = f"{REFERENCE_LABEL} ({reference.time_scale})"
            axes.plot(
                reference.times[1:], reference.msd[1:], color=REFERENCE_COLOR, alpha=0.3, linewidth=4.5, label=label
            )
        for color, (name, msd) in zip(pick_colors(len(runs)), runs, strict=True):
            axes.plot(msd.times[1:], msd.msd[1:], color=color, label=f"{name} ({msd.time_scale})")
            if msd.standard_error is not None:
                low, high = msd.msd - 2 * msd.standard_error, msd.msd + 2 * msd.standard_error
                floor = 0.2 * msd.msd[1:]
                axes.fill_between(
                    msd.times[1:], np.maximum(low[1:], floor), high[1:], color=color, alpha=0.2, linewidth=0
                )
        axes.set(xscale="log", yscale="log", xlabel="lag time [ps]", ylabel="mean square displacement [nm²]")
        axes.set_title(f"Mean square displacement of {of}")
        axes.legend(loc="upper left")

    return render_picture(draw, (6.4, 4.0))


def _draw_reference(axes: Axes, rdf: RadialDistribution) -> None:
    """The reference as a broad line that shows on both sides of a run that agrees with it."""
    axes.plot(
        rdf.r, rdf.g, color=REFERENCE_COLOR, linewidth=4.5, alpha=0.3, label=REFERENCE_LABEL, solid_capstyle="butt"
    )
    error = rdf.standard_error
    if error is not None:
        axes.fill_between(rdf.r, rdf.g - 2 * error, rdf.g + 2 * error, color=REFERENCE_COLOR, alpha=0.3, linewidth=0)


def _draw_band(axes: Axes, rdf: RadialDistribution, color: str, label: str) -> None:
    axes.plot(rdf.r, rdf.g, color=color, linewidth=1.3, label=label)
    error = rdf.standard_error
    if error is not None:
        axes.fill_between(rdf.r, rdf.g - 2 * error, rdf.g + 2 * error, color=color, alpha=0.22, linewidth=0)


def _draw_series(axes: Axes, times: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    axes.plot(times, values, color=color, alpha=0.25, linewidth=0.6)
    width = max(1, len(values) // 25)
    if len(values) >= 2 * width:
        kernel = np.full(width, 1 / width)
        centers = np.convolve(times, kernel, mode="valid")
        axes.plot(centers, np.convolve(values, kernel, mode="valid"), color=color, linewidth=1.6, label=label)


def _draw_grid(title: str, names: Sequence[str], panel: Callable[[Axes, str], None]) -> bytes:
    columns = min(3, len(names))
    rows = -(-len(names) // columns)

    def draw(picture: Picture) -> None:
        grid = picture.subplots(rows, columns, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=False):
            panel(axes, name)
            axes.set_title(f"{title}, {name}" if len(names) == 1 else name)
        for axes in grid.flat[len(names) :]:
            axes.set_axis_off()
        if len(names) > 1:
            picture.suptitle(title, fontsize=10.5)
        handles, labels = grid.flat[0].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))

    size = (6.4, 4.0) if len(names) == 1 else (3.3 * columns, 2.6 * rows + 0.7)
    return render_picture(draw, size)


def pick_colors(n: int) -> list[str]:
    """Colors of n runs."""
    return [RUN_COLORS[index % len(RUN_COLORS)] for index in range(n)]


def render_picture(draw: Callable[[Picture], None], size: tuple[float, float]) -> bytes:
    """A picture in the report's style as PNG, drawn by `draw`."""
    with mpl.rc_context(_STYLE):
        picture = Picture(figsize=size, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(picture)
        draw(picture)
        buffer = BytesIO()
        picture.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
