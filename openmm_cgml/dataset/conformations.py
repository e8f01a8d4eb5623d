"""Local conformations of chains: which angles and torsions their beads take, and how neighboring torsions go together.

What `Conformations` holds is enough to grow chains like those of the data, of any length: bond by bond, with the angle
drawn for its bead types and the torsion drawn given the torsion before it. Torsions are kept in pairs because they are
not independent (two gauche torsions of opposite sign bring beads too close): drawn one by one they give polyethylene
chains that are too short.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import bond_angles, torsion_angles
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

ANGLE_BINS = 60
"""Bins of angles, from 0 to pi."""
TORSION_BINS = 60
"""Bins of torsions, from -pi to pi; trans lies at both ends."""
PAIR_BINS = 20
"""Bins of each torsion of a pair."""
_FRAMES = 200

Histograms = Mapping[tuple[str, ...], NDArray[np.int64]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Conformations:
    """Histograms of angles and torsions by bead types, in the one of the two directions that sorts first.

    Beads know no left and right, so a torsion and its negative count alike.

    Attributes:
        angles: Counts by three types, shape (ANGLE_BINS,).
        torsions: Counts by four types, shape (TORSION_BINS,).
        torsion_pairs: Counts of a torsion and the next one by five types, shape (PAIR_BINS, PAIR_BINS).
    """

    angles: Histograms
    torsions: Histograms
    torsion_pairs: Histograms

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            name: {"-".join(types): counts.tolist() for types, counts in sorted(getattr(self, name).items())}
            for name in _SHAPES
        }

    @classmethod
    def together(cls, parts: Iterable[Conformations]) -> Conformations:
        """The counts of several data together."""
        found: dict[str, dict[tuple[str, ...], NDArray[np.int64]]] = {name: {} for name in _SHAPES}
        for part in parts:
            for name, histograms in found.items():
                for types, counts in getattr(part, name).items():
                    histograms[types] = histograms.get(types, 0) + counts
        return cls(**found)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], type_names: Iterable[str]) -> Conformations:
        """The conformations that `to_dict` wrote.

        Args:
            content: Plain JSON content.
            type_names: Names of the bead types.

        Raises:
            InputError: If a histogram is missing, has the wrong shape or negative counts, or names an unknown type.
        """
        known = set(type_names)
        found: dict[str, dict[tuple[str, ...], NDArray[np.int64]]] = {}
        for name, (length, shape) in _SHAPES.items():
            found[name] = {}
            for key, counts in content.get(name, {}).items():
                types = _split(key, known, length)
                histogram = np.asarray(counts)
                if types is None or histogram.shape != shape or histogram.dtype.kind != "i" or histogram.min() < 0:
                    raise InputError(
                        f"conformations: {name} of {key!r}, shape {histogram.shape}; expected counts of shape {shape} "
                        f"for {length} of the bead types {', '.join(sorted(known))}"
                    )
                found[name][types] = histogram.astype(np.int64)
        return cls(**found)


_SHAPES: Mapping[str, tuple[int, tuple[int, ...]]] = {
    "angles": (3, (ANGLE_BINS,)),
    "torsions": (4, (TORSION_BINS,)),
    "torsion_pairs": (5, (PAIR_BINS, PAIR_BINS)),
}


def compute_conformations(dataset: ForceMatchingDataset, *, n_frames: int = _FRAMES) -> Conformations:
    """Angles and torsions of the molecules of a dataset that have torsions; none in rings.

    Args:
        dataset: The dataset.
        n_frames: Number of frames to take, spread over all.
    """
    chosen = np.unique(np.linspace(0, dataset.n_frames - 1, min(n_frames, dataset.n_frames)).round().astype(int))
    frames = dataset.frames(chosen)
    positions = np.asarray(frames.positions, np.float64)
    if frames.box is not None:
        positions = BondForest.from_topology(dataset.topology).make_whole(positions, np.asarray(frames.box, np.float64))
    return conformations_of(dataset.topology, positions)


def conformations_of(topology: CGTopology, positions: NDArray[np.floating]) -> Conformations:
    """Angles and torsions of molecules with torsions.

    Args:
        topology: The beads.
        positions: Positions with whole molecules [nm], shape (n_frames, n_beads, 3).
    """
    frames = np.asarray(positions, dtype=np.float64)
    with_torsions = np.unique(topology.molecules[topology.dihedrals[:, 0]])
    triples = topology.angles[np.isin(topology.molecules[topology.angles[:, 0]], with_torsions)]
    names = np.asarray(topology.type_names)[topology.bead_types]
    angles = _collect(names, triples, lambda rows: _angle_counts(frames, rows))
    torsions = _collect(names, topology.dihedrals, lambda rows: _torsion_counts(frames, rows))
    pairs = _collect(names, _five_in_a_row(topology), lambda rows: _pair_counts(frames, rows))
    symmetric = {types: (c + c.T if types == types[::-1] else c) for types, c in pairs.items()}
    return Conformations(angles=angles, torsions=torsions, torsion_pairs=symmetric)


def _collect(names: NDArray[np.str_], rows: NDArray[np.int64], count: Any) -> dict[tuple[str, ...], NDArray[np.int64]]:
    """Counts of the rows by their types, each row turned to the direction of its types that sorts first."""
    if not len(rows):
        return {}
    kinds, inverse = np.unique(names[rows], axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    found: dict[tuple[str, ...], NDArray[np.int64]] = {}
    for number, kind in enumerate(kinds.tolist()):
        types = tuple(kind)
        own, backwards = rows[inverse == number], types[::-1] < types
        counts = count(own[:, ::-1] if backwards else own)
        types = types[::-1] if backwards else types
        found[types] = found.get(types, 0) + counts
    return found


def _angle_counts(positions: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.bincount(_bins(bond_angles(positions, None, rows) / np.pi, ANGLE_BINS).ravel(), minlength=ANGLE_BINS)


def _torsion_counts(positions: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    counts = np.bincount(_bins(_turns(positions, rows), TORSION_BINS).ravel(), minlength=TORSION_BINS)
    return np.asarray(counts + counts[::-1])


def _pair_counts(positions: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    first, second = (_bins(_turns(positions, rows[:, part]), PAIR_BINS) for part in (slice(0, 4), slice(1, 5)))
    counts = np.bincount((first * PAIR_BINS + second).ravel(), minlength=PAIR_BINS**2).reshape(PAIR_BINS, PAIR_BINS)
    return np.asarray(counts + counts[::-1, ::-1])


def _turns(positions: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return torsion_angles(positions, None, rows) / (2 * np.pi) + 0.5


def _bins(fractions: NDArray[np.float64], n_bins: int) -> NDArray[np.int64]:
    return np.clip((fractions * n_bins).astype(np.int64), 0, n_bins - 1)


def _five_in_a_row(topology: CGTopology) -> NDArray[np.int64]:
    """Paths of five beads, i < m, shape (n, 5)."""
    paths = np.concatenate([topology.dihedrals, topology.dihedrals[:, ::-1]])
    n = topology.n_beads
    starts, ends = ((part[:, 0] * n + part[:, 1]) * n + part[:, 2] for part in (paths[:, :3], paths[:, 1:]))
    order = np.argsort(starts, kind="stable")
    low = np.searchsorted(starts[order], ends, side="left")
    counts = np.searchsorted(starts[order], ends, side="right") - low
    rank = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    following = paths[order[np.repeat(low, counts) + rank], 3]
    longer = np.column_stack([np.repeat(paths, counts, axis=0), following])
    return longer[longer[:, 0] < longer[:, 4]]


def _split(key: str, known: set[str], length: int) -> tuple[str, ...] | None:
    """The types that a key joins by hyphens, which their names may hold too; None if it is none of `length` types."""
    if length == 1:
        return (key,) if key in known else None
    for name in sorted(known):
        if key.startswith(f"{name}-"):
            rest = _split(key[len(name) + 1 :], known, length - 1)
            if rest is not None:
                return (name, *rest)
    return None
