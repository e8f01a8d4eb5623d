"""Distributions of beads: how many maxima bonds, angles and torsions have, and how far beads are from round."""

from __future__ import annotations

import math
from collections.abc import Mapping as Dictionary

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.frames import Frames
from openmm_cgml.mapping import Mapping
from openmm_cgml.potentials import COORDINATES, group_by_types
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest

LEAST_SAMPLES = 100
_BINS = 400
_PROMINENCE = 0.05  # of the highest maximum, below which one is taken for noise
_MOST_SAMPLES = 400_000


def count_maxima(samples: NDArray[np.float64], *, period: float | None = None) -> int:
    """Number of maxima of the smoothed density of samples.

    A Gaussian kernel of Silverman's width (Density Estimation for Statistics and Data Analysis (1986), eq. 3.31), and
    maxima that rise at least 5 % of the highest above the valleys beside them.

    Args:
        samples: In any unit, shape (n_samples,).
        period: The samples are equal modulo this; None for none.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    spread = _robust_spread(samples)
    if spread < 1e-7 * max(1.0, abs(float(samples.mean()))):
        return 1
    wraps = period is not None
    low, high = (-period / 2, period / 2) if period is not None else (float(samples.min()), float(samples.max()))
    width = 0.9 * min(spread, math.inf if period is None else period / 12) * len(samples) ** -0.2
    pad = 0.0 if wraps else 4 * width
    n_bins = max(_BINS, math.ceil(4 * (high - low) / width))
    counts, edges = np.histogram(samples, bins=n_bins, range=(low - pad, high + pad))
    mode = "wrap" if wraps else "constant"
    density = gaussian_filter1d(counts.astype(float), width / (edges[1] - edges[0]), mode=mode)
    if wraps:  # from one minimum around to the next, so that no maximum is at an end
        density = np.roll(density, -int(np.argmin(density)))
    edge = float(density.min()) if wraps else 0.0
    density = np.concatenate([[edge], density, [edge]])
    return max(1, len(find_peaks(density, prominence=_PROMINENCE * density.max())[0]))


def _robust_spread(samples: NDArray[np.float64]) -> float:
    """The smaller of the standard deviation and of that of a normal distribution with the same quartiles."""
    low, high = np.quantile(samples, [0.25, 0.75])
    return min(float(samples.std()), float(high - low) / 1.34) or float(samples.std())


def maxima_of(topology: CGTopology, frames: Frames) -> dict[str, dict[str, int]]:
    """Number of maxima of each kind of bond, angle and torsion, by "bonds", "angles", "torsions" and bead types.

    Args:
        topology: The beads; kinds with fewer than 100 samples are left out.
        frames: Mapped frames, molecules whole.
    """
    found: dict[str, dict[str, int]] = {}
    for coordinate in COORDINATES:
        kinds = group_by_types(topology, coordinate.members(topology))
        values: dict[str, int] = {}
        for types, members in kinds.items():
            most = max(1, _MOST_SAMPLES // len(frames))
            chosen = members[np.linspace(0, len(members) - 1, min(len(members), most)).astype(int)]
            samples = coordinate.samples(frames, chosen)
            if len(samples) >= LEAST_SAMPLES:
                period = 2 * math.pi if coordinate.kind == "torsion" else None
                values["-".join(types)] = count_maxima(samples, period=period)
        found[coordinate.section] = values
    return found


def shape_anisotropy(mapping: Mapping, atom_masses: NDArray[np.float64], frames: Frames) -> Dictionary[str, float]:
    """Mean relative shape anisotropy of the beads of each type: 0 for a sphere, 1/4 for a flat disk, 1 for a rod.

    1 - 3 (l1 l2 + l2 l3 + l3 l1) / (l1 + l2 + l3)^2 with the principal moments l of the gyration tensor, weighted by
    mass (Theodorou and Suter, Macromolecules 18, 1206 (1985)). Beads of one atom are spheres.

    Args:
        mapping: The mapping.
        atom_masses: Masses of the atoms [Da], shape (n_atoms,).
        frames: Frames of the atoms.
    """
    beads = np.repeat(np.arange(mapping.n_beads), np.diff(mapping.position_weights.indptr))
    atoms = mapping.position_weights.indices
    forest = BondForest.from_bonds(mapping.source_bonds, mapping.n_atoms)
    sums, topology = np.zeros(mapping.n_beads), mapping.target
    for index in range(len(frames)):
        positions = np.asarray(frames.positions[index : index + 1], np.float64)
        if frames.box is not None:
            positions = forest.make_whole(positions, np.asarray(frames.box[index : index + 1], np.float64))
        own = positions[0, atoms]
        center = np.stack([np.bincount(beads, weights=mapping.position_weights.data * x) for x in own.T], axis=1)
        sums += _anisotropies(own - center[beads], mapping.position_weights.data, beads, mapping.n_beads)
    means = sums / len(frames)
    return {
        topology.type_names[t]: float(means[topology.bead_types == t].mean()) for t in np.unique(topology.bead_types)
    }


def _anisotropies(
    offsets: NDArray[np.float64], weights: NDArray[np.float64], beads: NDArray[np.int64], n_beads: int
) -> NDArray[np.float64]:
    """Relative shape anisotropy of each bead, shape (n_beads,), from offsets of its atoms [nm], shape (n, 3)."""
    tensors = np.empty((n_beads, 3, 3))
    for a in range(3):
        for b in range(3):
            tensors[:, a, b] = np.bincount(beads, weights=weights * offsets[:, a] * offsets[:, b], minlength=n_beads)
    trace = np.trace(tensors, axis1=1, axis2=2)
    second = (trace**2 - np.einsum("nij,nji->n", tensors, tensors)) / 2  # l1 l2 + l2 l3 + l3 l1
    safe = np.where(trace > 1e-12, trace, 1.0)
    return np.where(trace > 1e-12, np.clip(1 - 3 * second / safe**2, 0.0, 1.0), 0.0)
