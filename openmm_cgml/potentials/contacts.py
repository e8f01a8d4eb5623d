"""How close beads come to each other in frames, by pair of bead types."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs, pair_distances
from openmm_cgml.potentials.coordinate import type_key
from openmm_cgml.potentials.pair import PairData
from openmm_cgml.potentials.rare_pairs import SHELL, Contact
from openmm_cgml.topology import CGTopology

_FIRST_LOOK = 20  # frames that set the search radius for the closest approach


def closest_approach(
    topology: CGTopology, frames: Frames, *, cutoff: float, exclude_bonds: int = 2, contacts_per_bead: float = 0.0
) -> dict[tuple[str, ...], float]:
    """Closest approach [nm] of each pair of bead types; types that do not come that close within the cutoff are absent.

    Args:
        topology: Beads and bonds.
        frames: Mapped frames.
        cutoff: Search radius [nm].
        exclude_bonds: Beads up to this many bonds apart do not count.
        contacts_per_bead: The distance at which a bead (of the rarer type) has this many neighbors on average, which
            depends neither on the size of the system nor on the number of frames; 0 for the one smallest distance.

    Raises:
        InputError: If a box is below twice the cutoff.
    """
    data = PairData(topology=topology, frames=frames, kt=math.nan, exclude_bonds=exclude_bonds)
    found = find_contacts(data, cutoff=cutoff, contacts_per_bead=contacts_per_bead)
    return {types: contact.distance for types, contact in found.items()}


def find_contacts(data: PairData, *, cutoff: float, contacts_per_bead: float = 0.0) -> dict[tuple[str, ...], Contact]:
    """Closest approaches as in `closest_approach`, of beads or sites, with how many pairs they rest on."""
    everything = data.choose_frames()
    first = np.unique(np.linspace(0, len(everything) - 1, min(_FIRST_LOOK, len(everything))).astype(int))
    look = _contacts(data, everything[first], cutoff, contacts_per_bead)
    # Farther pairs cannot matter, which makes all but the first frames cheap.
    reached = [contact.distance for contact in look.values() if contact is not None]
    radius = cutoff if None in look.values() else min(cutoff, SHELL * max(reached, default=cutoff))
    found = _contacts(data, everything, radius, contacts_per_bead)
    if radius < cutoff and None in found.values():
        found = _contacts(data, everything, cutoff, contacts_per_bead)
    return {types: contact for types, contact in found.items() if contact is not None}


def _contacts(
    data: PairData, chosen: NDArray[np.int64], radius: float, contacts_per_bead: float
) -> dict[tuple[str, ...], Contact | None]:
    """The closest approach of each pair of types that occur, None where it lies beyond the radius."""
    points = data.points
    n_types = len(points.type_names)
    keys, distances = [np.zeros(0, np.int64)], [np.zeros(0)]
    for index in chosen.tolist():
        positions, box = data.place(index), data.box(index)
        i, j = find_pairs(positions, box, radius, exclusions=points.exclusions)
        low, high = np.sort(points.types[np.stack([i, j])], axis=0)
        keys.append(low * n_types + high)
        distances.append(pair_distances(positions, box, i, j))
    key, distance = np.concatenate(keys), np.concatenate(distances)
    counts = np.bincount(points.types, minlength=n_types)
    present = np.flatnonzero(counts)
    result: dict[tuple[str, ...], Contact | None] = {}
    for a, b in ((a, b) for k, a in enumerate(present) for b in present[k:]):
        found = np.sort(distance[key == a * n_types + b])
        beads = len(chosen) * (counts[a] / 2 if a == b else min(counts[a], counts[b]))
        rank = max(math.ceil(contacts_per_bead * beads) - 1, 0)
        types = type_key((points.type_names[a], points.type_names[b]))
        result[types] = _contact(found, rank, radius) if rank < len(found) else None
    return result


def _contact(distances: NDArray[np.float64], rank: int, radius: float) -> Contact:
    shell = min(SHELL * float(distances[rank]), radius)
    near = int(np.searchsorted(distances, shell, side="right"))
    return Contact(distance=float(distances[rank]), rank=rank, n_near=near, shell=shell)
