"""The picture of a transfer: curves of all runs on one another, which they are where the statistics are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from openmm_cgml.analysis.diffusion import MeanSquareDisplacement
from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.validation.report.pictures import pick_colors, render_picture
from openmm_cgml.validation.trajectory_summary import TrajectorySummary
from openmm_cgml.validation.transfer import combine_pairs, longest_chains

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
    _draw_gr(axes, combine_pairs(summary), color)


def _draw_inter(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    if summary.inter_all is not None:
        _draw_gr(axes, summary.inter_all, color)


def _draw_gr(axes: Axes, rdf: RadialDistribution, color: str) -> None:
    axes.plot(rdf.r, rdf.g, color=color, linewidth=1.2)
    if rdf.standard_error is not None:
        low, high = (rdf.g + sign * 2 * rdf.standard_error for sign in (-1, 1))
        axes.fill_between(rdf.r, low, high, color=color, alpha=0.2, linewidth=0)


def _draw_bonds(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    bonds: Distribution = max(summary.bonds.values(), key=lambda each: each.n_samples)
    axes.stairs(bonds.density, bonds.bin_edges, color=color, linewidth=1.2)


def _draw_distances(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    chains = longest_chains(summary)
    assert chains is not None
    s = chains.internal.separations
    mean, error = chains.internal.mean / s, chains.internal.standard_error / s
    label = f"{name}: {chains.n_chains} × {chains.n_beads} beads"
    axes.plot(s, mean, color=color, linewidth=1.2, label=label)
    axes.fill_between(s, mean - 2 * error, mean + 2 * error, color=color, alpha=0.2, linewidth=0)
    axes.set_xscale("log")


def _draw_msd(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    msd: MeanSquareDisplacement | None = summary.inner_msd
    if msd is None:
        return
    axes.plot(msd.times[1:], msd.msd[1:], color=color, linewidth=1.2)
    if msd.standard_error is not None:
        low, high = (msd.msd + sign * 2 * msd.standard_error for sign in (-1, 1))
        axes.fill_between(
            msd.times[1:], np.maximum(low, 0.2 * msd.msd)[1:], high[1:], color=color, alpha=0.2, linewidth=0
        )
    axes.set(xscale="log", yscale="log")


def _draw_temperature(axes: Axes, summary: TrajectorySummary, color: str, name: str) -> None:
    if summary.temperature is not None:
        error = 2 * summary.temperature.standard_error
        axes.errorbar([name], [summary.temperature.mean], yerr=[error], color=color, marker="o", capsize=3)
