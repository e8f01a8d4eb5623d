"""A picture of a periodic box: bonds as sticks and beads as balls, one color per molecule, paler with depth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import box_widths, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection, PatchCollection

__all__ = ["draw_box", "write_box_picture"]

_TILT, _TURN = np.radians([18.0, 24.0])
_FADE = 0.75  # share of white at the far side
_COLORS = 20


def write_box_picture(
    path: str | Path,
    positions: ArrayLike,
    box: ArrayLike,
    *,
    bonds: ArrayLike = (),
    molecules: ArrayLike | None = None,
    diameter: float = 0.3,
    title: str = "",
) -> None:
    """Write a picture (PNG, PDF or SVG by the ending of the path). See `draw_box`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 6.0), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    draw_box(axes, positions, box, bonds=bonds, molecules=molecules, diameter=diameter)
    axes.set_title(title)
    figure.savefig(Path(path))


def draw_box(
    axes: Axes,
    positions: ArrayLike,
    box: ArrayLike,
    *,
    bonds: ArrayLike = (),
    molecules: ArrayLike | None = None,
    diameter: float = 0.3,
) -> None:
    """Draw one frame, wrapped into the box particle by particle, seen from the front, a little from above and aside.

    Args:
        axes: Where to draw.
        positions: Positions [nm], shape (n, 3).
        box: Box vectors as rows [nm], shape (3, 3).
        bonds: Bonded pairs, shape (n_bonds, 2); those that cross the boundary are left out.
        molecules: Molecule of each particle, shape (n,); by default every particle is one.
        diameter: Diameter of the balls [nm].

    Raises:
        InputError: Shapes disagree, or a position is not finite.
    """
    points, cell = np.asarray(positions, dtype=float), np.asarray(box, dtype=float)
    owners = np.arange(len(points)) if molecules is None else np.asarray(molecules)
    _check(points, cell, owners)
    points = wrap(points, cell)
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    pairs = pairs[np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1) < 0.45 * box_widths(cell).min()]
    view = _rotation()
    seen, corners = points @ view.T, _corners(cell) @ view.T
    near = (seen[:, 1] - corners[:, 1].min()) / np.ptp(corners[:, 1])  # 0 in front, 1 at the back
    colors = _paler(_palette(owners), near)
    order = np.argsort(-near, kind="stable")
    axes.add_collection(_edges(corners))
    axes.add_collection(_sticks(seen, pairs, colors))
    axes.add_collection(_balls(seen[order], colors[order], diameter))
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.autoscale_view()


def _check(points: NDArray[np.float64], cell: NDArray[np.float64], owners: NDArray[np.integer]) -> None:
    if points.ndim != 2 or points.shape[1] != 3 or cell.shape != (3, 3) or len(owners) != len(points):
        raise InputError(
            f"positions of shape {points.shape}, box of shape {cell.shape} and {len(owners)} molecule numbers; give "
            "(n, 3), (3, 3) and n"
        )
    if not np.isfinite(points).all():
        raise InputError("positions are not all finite; a picture needs a frame from before the run became unstable")


def _sticks(seen: NDArray[np.float64], pairs: NDArray[np.int64], colors: NDArray[np.float64]) -> LineCollection:
    """Lines along the bonds."""
    from matplotlib.collections import LineCollection

    return LineCollection(
        [seen[pair][:, [0, 2]] for pair in pairs],
        colors=colors[pairs[:, 0]] * 0.85 if len(pairs) else None,
        linewidths=1.5,
        zorder=1,
        capstyle="round",
    )


def _balls(seen: NDArray[np.float64], colors: NDArray[np.float64], diameter: float) -> PatchCollection:
    """Disks of particles, those at the back first."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Circle

    return PatchCollection(
        [Circle((x, z), diameter / 2) for x, _, z in seen],
        facecolors=colors,
        edgecolors=colors * 0.6,
        linewidths=0.3,
        zorder=2,
    )


def _rotation() -> NDArray[np.float64]:
    """Turned about z, then tilted about x."""
    turn = np.array([[np.cos(_TURN), -np.sin(_TURN), 0.0], [np.sin(_TURN), np.cos(_TURN), 0.0], [0.0, 0.0, 1.0]])
    tilt = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(_TILT), -np.sin(_TILT)], [0.0, np.sin(_TILT), np.cos(_TILT)]])
    return np.asarray(tilt @ turn)


def _corners(cell: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], dtype=float) @ cell


def _edges(corners: NDArray[np.float64]) -> LineCollection:
    from matplotlib.collections import LineCollection

    ends = [(a, b) for a in range(8) for b in range(a) if bin(a ^ b).count("1") == 1]
    segments = [corners[[a, b]][:, [0, 2]] for a, b in ends]
    return LineCollection(segments, colors="0.6", linewidths=0.8, zorder=0)


def _palette(owners: NDArray[np.int64]) -> NDArray[np.float64]:
    from matplotlib import colormaps

    palette = np.asarray(colormaps["tab20"](np.arange(_COLORS)))[:, :3]
    return np.asarray(palette[owners % _COLORS])


def _paler(colors: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    share = (_FADE * np.clip(depth, 0.0, 1.0))[:, None]
    return np.asarray(colors * (1.0 - share) + share)
