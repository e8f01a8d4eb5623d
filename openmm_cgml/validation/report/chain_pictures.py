"""Pictures of chains: internal distances and relaxation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture

from openmm_cgml.analysis.conformation import ChainStatistics
from openmm_cgml.validation.report.pictures import REFERENCE_COLOR, REFERENCE_LABEL, pick_colors, render_picture

Chains = Sequence[tuple[str, ChainStatistics]]
"""Names and chain statistics of runs."""


def draw_internal_distances(reference: ChainStatistics | None, runs: Chains) -> bytes:
    """Mean squared internal distances per bond, with bands of two standard errors; equal chains collapse.

    Args:
        reference: The reference's chains, if there is one.
        runs: Chains of the runs.
    """

    def draw(picture: Picture) -> None:
        axes = picture.subplots()
        if reference is not None:
            _draw_distances(axes, reference, REFERENCE_COLOR, f"{REFERENCE_LABEL}, {reference.n_beads} beads", 4.5, 0.3)
        for color, (name, chains) in zip(pick_colors(len(runs)), runs, strict=True):
            _draw_distances(axes, chains, color, f"{name}, {chains.n_chains} × {chains.n_beads} beads", 1.3, 1.0)
        axes.set(xscale="log", xlabel="distance along the chain s [bonds]", ylabel="⟨R²(s)⟩ / s [nm²]", ylim=(0, None))
        axes.set_title("Internal distances of chains")
        axes.legend(loc="lower right")

    return render_picture(draw, (6.4, 4.0))


def draw_relaxation(reference: ChainStatistics | None, runs: Chains) -> bytes:
    """Autocorrelation of end-to-end vectors, with bands of two standard errors.

    Args:
        reference: The reference's chains, if there is one.
        runs: Chains of the runs.
    """

    def draw(picture: Picture) -> None:
        axes = picture.subplots()
        if reference is not None and reference.relaxation is not None:
            label = f"{REFERENCE_LABEL} ({reference.relaxation.time_scale})"
            _draw_correlation(axes, reference, REFERENCE_COLOR, label, 4.5, 0.3)
        for color, (name, chains) in zip(pick_colors(len(runs)), runs, strict=True):
            if chains.relaxation is not None:
                _draw_correlation(axes, chains, color, f"{name} ({chains.relaxation.time_scale})", 1.3, 1.0)
        axes.axhline(1 / np.e, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set(xlabel="lag time [ps]", ylabel="⟨R(t₀) R(t₀ + t)⟩ / ⟨R²⟩", xlim=(0, None), ylim=(None, 1.03))
        axes.set_title("Relaxation of end-to-end vectors; dashed: 1/e")
        axes.legend(loc="best")

    return render_picture(draw, (6.4, 4.0))


def _draw_distances(axes: Axes, chains: ChainStatistics, color: str, label: str, width: float, alpha: float) -> None:
    curve = chains.internal
    per_bond, error = curve.mean / curve.separations, curve.standard_error / curve.separations
    axes.plot(curve.separations, per_bond, color=color, linewidth=width, alpha=alpha, label=label)
    axes.fill_between(
        curve.separations, per_bond - 2 * error, per_bond + 2 * error, color=color, alpha=0.18, linewidth=0
    )


def _draw_correlation(axes: Axes, chains: ChainStatistics, color: str, label: str, width: float, alpha: float) -> None:
    found = chains.relaxation
    assert found is not None
    axes.plot(found.times, found.correlation, color=color, linewidth=width, alpha=alpha, label=label)
    if found.standard_error is not None:
        low, high = (found.correlation + sign * 2 * found.standard_error for sign in (-1, 1))
        axes.fill_between(found.times, low, high, color=color, alpha=0.18, linewidth=0)
