"""Pictures of mappings: the bonds of each kind of molecule in the plane, its atoms in the colors of their beads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from openmm_cgml.mapping.heavy_atoms import HYDROGENS, HeavyAtoms
from openmm_cgml.mapping.labels import AtomGroup, residue_groups
from openmm_cgml.topology import AtomTopology

_MOST_ATOMS = 60  # heavy atoms drawn; of longer chains the beginning
_MOST_KINDS = 4
_ROUNDS = 300


def draw_mapping(atoms: AtomTopology, labels: ArrayLike, *, title: str = "") -> Any:
    """A matplotlib figure with a panel for each kind of residue: heavy atoms with their hydrogens, colored by bead.

    Bonds that are cut are dashed. Of residues with more than 60 heavy atoms the first 60 are drawn, of more than four
    kinds of residues the largest part of the system.

    Args:
        atoms: The atoms.
        labels: The bead of each atom; negative for none, drawn gray, shape (n_atoms,).
        title: Heading.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    beads = np.asarray(labels, dtype=np.int64)
    groups = sorted(residue_groups(atoms), key=lambda group: -group.atoms.size)[:_MOST_KINDS]
    figure = Figure(figsize=(4.2 * len(groups), 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    for place, group in enumerate(groups, 1):
        axes = figure.add_subplot(1, len(groups), place)
        _draw(axes, group, beads[group.atoms[0]])
        axes.set_title(f"{group.name} ({len(group.atoms)} times)", fontsize=9)
    figure.suptitle(title, fontsize=11)
    return figure


def flat_layout(adjacency: NDArray[np.bool_], distances: NDArray[np.int64]) -> NDArray[np.float64]:
    """Places in the plane, shape (n, 2), that are as far from each other as bonds along the shortest path, nearly.

    Classical scaling, then stress majorization with weights that fall with the square of the distance (Gansner, Koren
    and North, Graph Drawing 2004, 239).

    Args:
        adjacency: Whether two atoms are bonded, shape (n, n).
        distances: Number of bonds between them, shape (n, n).
    """
    n = len(adjacency)
    if n == 1:
        return np.zeros((1, 2))
    wanted = distances.astype(np.float64) ** 0.9  # chains bend a little, so that side groups find room
    center = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-center @ wanted**2 @ center / 2)
    places = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 1e-3))  # the longest extent lies flat
    places = places * (-1.0 if places[0, 0] > 0 else 1.0)  # and begins at the left
    places += 0.05 * np.random.default_rng(0).normal(size=places.shape)
    weights = np.where(distances > 0, 1.0 / np.maximum(wanted, 1e-9) ** 2, 0.0)
    laplacian = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    for _ in range(_ROUNDS):
        apart = np.linalg.norm(places[:, None] - places, axis=2)
        ratio = np.divide(weights * wanted, apart, out=np.zeros_like(apart), where=apart > 1e-9)
        places = laplacian @ (np.diag(ratio.sum(axis=1)) - ratio) @ places
    return places


def _draw(axes: Any, group: AtomGroup, beads: NDArray[np.int64]) -> None:
    from matplotlib import colormaps

    heavy = HeavyAtoms.from_molecule(group.masses, group.elements, group.bonds)
    shown = np.argsort(heavy.atoms)[:_MOST_ATOMS]
    inside = heavy.adjacency[np.ix_(shown, shown)]
    places = flat_layout(inside, heavy.distances[np.ix_(shown, shown)])
    own = beads[heavy.atoms[shown]]
    order = {bead: number for number, bead in enumerate(dict.fromkeys(own.tolist()))}
    colors = ["0.8" if b < 0 else colormaps["tab10"](order[b] % 10) for b in own.tolist()]
    for i, j in np.argwhere(np.triu(inside)).tolist():
        style = "-" if own[i] == own[j] else "--"
        axes.plot(*places[[i, j]].T, style, color="0.35", linewidth=1.6, zorder=1)
    size = float(np.clip(9000 / max(len(shown), 6), 110, 900))
    axes.scatter(*places.T, s=size, c=colors, edgecolors="0.2", linewidths=0.8, zorder=2)
    for place, text in zip(places, _texts(group, heavy, shown.tolist()), strict=True):
        axes.annotate(text, place, ha="center", va="center", fontsize=7 if len(shown) < 40 else 5, zorder=3)
    low, high = places.min(axis=0), places.max(axis=0)
    middle, reach = (low + high) / 2, 0.6 * max(float((high - low).max()), 3.0)
    axes.set_xlim(middle[0] - reach, middle[0] + reach)
    axes.set_ylim(middle[1] - reach, middle[1] + reach)
    axes.set_aspect("equal")
    axes.set_axis_off()


def _texts(group: AtomGroup, heavy: HeavyAtoms, shown: Sequence[int]) -> list[str]:
    """The element of each heavy atom with its hydrogens, as CH2."""
    texts = []
    for number in shown:
        count = sum(group.elements[i] in HYDROGENS for i in np.flatnonzero(heavy.owners == number)) - (
            group.elements[heavy.atoms[number]] in HYDROGENS
        )
        hydrogens = "" if not count else "H" if count == 1 else f"H$_{{{count}}}$"
        texts.append((group.elements[heavy.atoms[number]] or "?") + hydrogens)
    return texts
