"""Does the energy of a pair rise all the way in, below the distances that the data hold?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

PairEnergy = Callable[[str, str, NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False, kw_only=True)
class RepulsionScan:
    """Energy of one pair of bead types below its closest approach in the data.

    Attributes:
        types: The two bead types.
        distances: Distances from the closest approach inwards [nm], shape (n,).
        energies: Energies [kJ/mol], shape (n,).
        hole: The outermost distance inside of which the energy falls [nm], or None if it rises throughout.
    """

    types: tuple[str, ...]
    distances: NDArray[np.float64]
    energies: NDArray[np.float64]
    hole: float | None

    @property
    def is_monotonic(self) -> bool:
        """Whether the energy rises at every step inwards."""
        return self.hole is None


def scan_repulsion(
    pair_energy: PairEnergy,
    closest: Mapping[tuple[str, ...], float],
    *,
    lowest_fraction: float = 0.5,
    n_points: int = 200,
) -> tuple[RepulsionScan, ...]:
    """Energy of every pair of bead types from its closest approach down to a fraction of it.

    A network can do anything where it saw no data; where prior and network together do not rise, beads fall into the
    hole (the published benzene models show one as a false peak at 0.23 nm).

    Args:
        pair_energy: Energy [kJ/mol] of two beads of given types at given distances [nm], shape (n,) -> (n,); for the
            priors alone `PriorSet.pair_energy`.
        closest: Closest approach in the data [nm] by pair of bead types, as from `closest_approach`.
        lowest_fraction: Innermost distance as a fraction of the closest approach.
        n_points: Number of distances.
    """
    scans = []
    for types, contact in closest.items():
        distances = np.linspace(contact, lowest_fraction * contact, n_points)
        first, second = types
        energies = np.asarray(pair_energy(first, second, distances), np.float64)
        falls = np.flatnonzero(~(np.diff(energies) > 0))
        hole = float(distances[falls[0]]) if len(falls) else None
        scans.append(RepulsionScan(types=types, distances=distances, energies=energies, hole=hole))
    return tuple(scans)


def check_repulsion(pair_energy: PairEnergy, closest: Mapping[tuple[str, ...], float]) -> None:
    """Raise unless every pair of bead types repels all the way in. See `scan_repulsion`.

    Raises:
        InputError: Naming each pair of types and the distance inside of which its energy falls.
    """
    holes = [
        f"{'-'.join(scan.types)} inside {scan.hole:.3f} nm"
        for scan in scan_repulsion(pair_energy, closest)
        if scan.hole
    ]
    if holes:
        raise InputError(
            f"the energy of a pair falls instead of rising below the data: {', '.join(holes)}. Beads would drop into "
            "that hole; take a larger sigma, epsilon or exponent for the excluded volume"
        )
