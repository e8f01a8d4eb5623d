"""The picture of a transfer: curves of all runs on one another, which they are where the statistics are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.validation.quantities import BONDS, CHAINS, MOBILITY, STRUCTURE, TEMPERATURE
from openmm_cgml.validation.report.pictures import pick_colors, render_picture
from openmm_cgml.validation.trajectory_summary import TrajectorySummary

Runs = Sequence[tuple[str, TrajectorySummary]]
"""Names and summaries of runs."""
_Draw = Callable[[Axes, TrajectorySummary, str, str], None]


def draw_transfer(runs: Runs) -> bytes:
    """g(r), bonds, internal distances and displacements of all runs, one panel each, with bands of two errors."""

    def draw(picture: Picture) -> None:
        grid = picture.subplots(2, 3)
        panels: Sequence[tuple[str, str, str, _Draw]] = (
            ("All pairs more than two bonds apart", "r [nm]", "g(r)", _draw_all_pairs),
            ("Beads of different chains", "r [nm]", "g(r)", _draw_inter),
            ("Bond lengths", "bond length [nm]", "probability density [1/nm]", _draw_bonds),
            ("Internal distances", "distance along the chain s [bonds]", "⟨R²(s)⟩ / s [nm²]", _draw_distances),
            ("Displacement of inner beads", "lag time [ps] (CG time)", "mean square displacement [nm²]", _draw_msd),
            ("Temperature", "run", "temperature [K]", _draw_temperature),
        )
        for axes, (title, x, y, panel) in zip(grid.flat, panels, strict=True):
            for color, (name, summary) in zip(pick_colors(len(runs)), runs, strict=True):
                panel(axes, summary, color, name)
            axes.set(title=title, xlabel=x, ylabel=y)
        handles, labels = grid.flat[3].get_legend_handles_labels()
        picture.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))

    return render_picture(draw, (10.5, 6.6))


def _draw_all_pairs(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    structure = summary.get(STRUCTURE)
    _draw_gr(axes, None if structure is None else structure.all_far, color)


def _draw_inter(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    structure = summary.get(STRUCTURE)
    _draw_gr(axes, None if structure is None else structure.inter_all, color)


def _draw_gr(axes: Axes, rdf: RadialDistribution | None, color: str) -> None:
    if rdf is None:
        return
    axes.plot(rdf.r, rdf.g, color=color, linewidth=1.2)
    if rdf.standard_error is not None:
        low, high = (rdf.g + sign * 2 * rdf.standard_error for sign in (-1, 1))
        axes.fill_between(rdf.r, low, high, color=color, alpha=0.2, linewidth=0)


def _draw_bonds(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    bonds = summary.get(BONDS)
    if bonds is not None:
        most = max(bonds.by_types.values(), key=lambda each: each.n_samples)
        axes.stairs(most.density, most.bin_edges, color=color, linewidth=1.2)


def _draw_distances(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    found = summary.get(CHAINS)
    if found is None:
        return
    chains = found.longest
    s = chains.internal.separations
    mean, error = chains.internal.mean / s, chains.internal.standard_error / s
    label = f"{name}: {chains.n_chains} × {chains.n_beads} beads"
    axes.plot(s, mean, color=color, linewidth=1.2, label=label)
    axes.fill_between(s, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    axes.set_xscale("log")


def _draw_msd(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    mobility = summary.get(MOBILITY)
    if mobility is None or mobility.inner_msd is None:
        return
    msd = mobility.inner_msd
    axes.plot(msd.times[1:], msd.msd[1:], color=color, linewidth=1.2)
    if msd.standard_error is not None:
        low, high = (msd.msd + sign * 2 * msd.standard_error for sign in (-1, 1))
        axes.fill_between(
            msd.times[1:], np.maximum(low, 0.2 * msd.msd)[1:], high[1:], color=color, alpha=0.2, linewidth=0
        )
    axes.set(xscale="log", yscale="log")


def _draw_temperature(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    temperature = summary.get(TEMPERATURE)
    if temperature is not None:
        error = 2 * temperature.standard_error
        axes.errorbar([name], [temperature.mean], yerr=[error], color=color, marker="o", capsize=3)
