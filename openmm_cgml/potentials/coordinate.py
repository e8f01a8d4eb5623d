"""The internal coordinates that bonded potentials act on: what they are, who has them, and how they are measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.periodic import bond_angles, bond_lengths, torsion_angles

if TYPE_CHECKING:
    from openmm_cgml.frames import Frames
    from openmm_cgml.topology import CGTopology

Lengths = Mapping[frozenset[int], float]
"""Equilibrium length [nm] of every bond, by its two beads."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Coordinate:
    """One kind of internal coordinate.

    Attributes:
        kind: "bond", "angle" or "torsion".
        section: Its key in a configuration of priors.
        n_beads: Number of beads that define it.
        unit: "nm" or "rad".
        required: Whether every member of a topology needs a term.
        limits: Lowest and highest value it can have.
        members: Its members in a topology, shape (n, n_beads).
        measure: Its values, shape (..., n), from positions, a box and members, as `periodic.bond_lengths`.
        jacobian: Density of its values without energy, up to a factor.
        inverse_mass: One over the mass that moves along it [1/Da or 1/(Da nm^2)], from the beads, its equilibrium
            value, the masses of all beads and the lengths of all bonds; 0 where none of its beads moves, and None for
            a coordinate that is soft beside the bonds that it turns about, or whose bonds have no length.
    """

    kind: str
    section: str
    n_beads: int
    unit: str
    required: bool
    limits: tuple[float, float]
    members: Callable[[CGTopology], NDArray[np.int64]]
    measure: Callable[[NDArray[Any], NDArray[Any] | None, NDArray[np.int64]], NDArray[np.float64]]
    jacobian: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    inverse_mass: Callable[[tuple[int, ...], float, NDArray[np.float64], Lengths], float | None]

    def samples(self, frames: Frames, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Values of members, shape (n, n_beads), in all frames [nm or rad], flat."""
        return self.measure(frames.positions, frames.box, members).ravel()


def invert_masses(masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse masses [1/Da], of the shape of the masses [Da]; 0 for a bead of mass 0, which OpenMM holds in place."""
    masses = np.asarray(masses, dtype=np.float64)
    return np.divide(1.0, masses, out=np.zeros_like(masses), where=masses > 0)


def _mass_of_bond(beads: tuple[int, ...], length: float, masses: NDArray[np.float64], lengths: Lengths) -> float | None:
    return float(invert_masses(masses[list(beads)]).sum())


def _mass_of_angle(beads: tuple[int, ...], angle: float, masses: NDArray[np.float64], lengths: Lengths) -> float | None:
    """The diagonal element of Wilson's G matrix, at most that of the coupled motion.

    Wilson, Decius and Cross, Molecular Vibrations (1955), chapter 4.
    """
    i, j, k = beads
    first, second = lengths.get(frozenset((i, j))), lengths.get(frozenset((j, k)))
    if first is None or second is None:
        return None
    middle = 1 / first**2 + 1 / second**2 - 2 * math.cos(angle) / (first * second)
    of_i, of_j, of_k = invert_masses(masses[[i, j, k]])
    return float(of_i / first**2 + of_k / second**2 + middle * of_j)


BOND = Coordinate(
    kind="bond",
    section="bonds",
    n_beads=2,
    unit="nm",
    required=True,
    limits=(0.0, math.inf),
    members=lambda topology: topology.bonds,
    measure=bond_lengths,
    jacobian=lambda values: values**2,  # the surface of a sphere
    inverse_mass=_mass_of_bond,
)
ANGLE = Coordinate(
    kind="angle",
    section="angles",
    n_beads=3,
    unit="rad",
    required=False,
    limits=(0.0, math.pi),
    members=lambda topology: topology.angles,
    measure=bond_angles,
    jacobian=np.sin,
    inverse_mass=_mass_of_angle,
)
TORSION = Coordinate(
    kind="torsion",
    section="torsions",
    n_beads=4,
    unit="rad",
    required=False,
    limits=(-math.pi, math.pi),
    members=lambda topology: topology.dihedrals,
    measure=torsion_angles,
    jacobian=np.ones_like,
    inverse_mass=lambda beads, value, masses, lengths: None,
)
COORDINATES = (BOND, ANGLE, TORSION)
"""Every kind of internal coordinate, in the order in which priors are bound."""


def group_by_types(topology: CGTopology, indices: NDArray[np.int64]) -> dict[tuple[str, ...], NDArray[np.int64]]:
    """Rows of beads by their bead types, read in the direction that sorts first.

    Args:
        topology: The beads.
        indices: Beads of each bond, angle or torsion, shape (n, k).
    """
    if not len(indices):
        return {}
    kinds, kind_of = np.unique(topology.bead_types[indices], axis=0, return_inverse=True)
    rows: dict[tuple[str, ...], list[int]] = {}
    for number, kind in enumerate(kinds.tolist()):
        rows.setdefault(type_key(tuple(topology.type_names[t] for t in kind)), []).append(number)
    return {types: indices[np.isin(kind_of.ravel(), rows[types])] for types in sorted(rows)}


def type_key(types: tuple[str, ...]) -> tuple[str, ...]:
    """The bead types in the one of their two directions that sorts first."""
    return min(types, types[::-1])
