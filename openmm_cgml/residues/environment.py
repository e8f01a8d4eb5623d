"""The environment of a residue: which residues it is bonded to, and by which beads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Joint = tuple[int, int, int, int]
"""A bond between residues: a residue's number and its bead's, the other residue's number and its bead's."""

Links = tuple[tuple[int, int], ...]
"""Bonds from one residue to another: pairs of bead numbers, one in each, counted from 0."""

Environment = tuple[tuple[str, Links], ...]
"""For every residue bonded to one, its name and the bonds to it, sorted."""


def environments(names: Sequence[str], joints: Iterable[Joint]) -> list[Environment]:
    """The environment of every residue, in order.

    Args:
        names: Name of each residue.
        joints: All bonds between residues.
    """
    links: list[dict[int, list[tuple[int, int]]]] = [{} for _ in names]
    for a, i, b, j in joints:
        links[a].setdefault(b, []).append((i, j))
        links[b].setdefault(a, []).append((j, i))
    return [tuple(sorted((names[other], tuple(sorted(pairs))) for other, pairs in around.items())) for around in links]
