"""Flexible chains: grown from conformations of their residues and torsions of the bonds between them, of one tacticity.

The conformations are those of a short chain that is given in many of them. A residue is placed where the one before it
has its next atom, turned about the bond between the two to a torsion that such a bond has in the short chain, and kept
where it is free of overlaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from openmm_cgml.errors import InputError
from openmm_cgml.periodic import minimum_image, torsion_angles
from openmm_cgml.reference.chain_growth import NextResidue, grow_chains
from openmm_cgml.specification import Tacticity

__all__ = ["FlexibleResidue", "Placement", "collect_torsions", "grow_flexible_chains", "hand_of"]

_CLOSEST = 0.32  # nm between heavy atoms of a chain that are far along it
_CLOSEST_OTHERS = 0.36  # nm between heavy atoms of different chains
_NEAR = 4  # bonds apart up to which atoms of a chain may be closer
_SPREAD = np.radians(10.0)  # of the torsions about one of the short chain
_TRIALS = 12  # conformations tried for a residue before the chain is taken back


@dataclass(frozen=True, eq=False, kw_only=True)
class Placement:
    """One conformation of a residue, and where its neighbors along the chain are.

    Attributes:
        positions: Its atoms [nm], shape (n_atoms, 3).
        before: The atom that its entry atom is bonded to, of the residue before it or of what ends the chain [nm],
            shape (3,).
        after: The atom that its exit atom is bonded to, of the residue after it or of what ends the chain [nm], shape
            (3,).
        hand: +1 or -1 for the two mirror images of its stereocenter, 0 without one.
    """

    positions: NDArray[np.float64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    hand: int

    def mirrored(self) -> Placement:
        """Its mirror image."""
        image = np.array([1.0, 1.0, -1.0])
        return Placement(
            positions=self.positions * image, before=self.before * image, after=self.after * image, hand=-self.hand
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class FlexibleResidue:
    """A residue of a chain in several conformations.

    Attributes:
        placements: The conformations.
        entry: Number of the atom bonded to the residue before.
        exit: Number of the atom bonded to the residue after.
        entry_side: Number of an atom bonded to the entry atom, that torsions are measured with; None if it is alone.
        exit_side: Number of an atom bonded to the exit atom; None if it is alone.
        heavy: Numbers of the atoms that are no hydrogens, shape (n_heavy,).
        to_entry: Bonds from each heavy atom to the entry atom, shape (n_heavy,).
        to_exit: Bonds from each heavy atom to the exit atom, shape (n_heavy,).
    """

    placements: tuple[Placement, ...]
    entry: int
    exit: int
    entry_side: int | None
    exit_side: int | None
    heavy: NDArray[np.int64]
    to_entry: NDArray[np.int64]
    to_exit: NDArray[np.int64]

    @property
    def length(self) -> int:
        """Bonds from the entry atom to the exit atom."""
        return int(self.to_exit[self.heavy == self.entry][0])


def hand_of(center: NDArray[np.float64], neighbors: NDArray[np.float64]) -> int:
    """Which of two mirror images a stereocenter is: the sign of the volume that three neighbors span, in their order.

    Args:
        center: Its position [nm], shape (3,).
        neighbors: Three of its neighbors [nm], shape (3, 3).
    """
    return 1 if np.linalg.det(neighbors - center) > 0.0 else -1


def collect_torsions(
    chains: Sequence[Sequence[tuple[FlexibleResidue, Placement]]],
) -> Mapping[tuple[int, int], NDArray[np.float64]]:
    """Torsions [rad] about the bonds between residues, by the hands of the two.

    Args:
        chains: Short chains, each as its residues in the order that they have, all in one frame of reference.
    """
    found: dict[tuple[int, int], list[float]] = {}
    for chain in chains:
        for (residue, placement), (following, next_placement) in pairwise(chain):
            torsion = _torsion(residue, placement.positions, following, next_placement.positions)
            if torsion is not None:
                found.setdefault((placement.hand, next_placement.hand), []).append(torsion)
    return {hands: np.array(values) for hands, values in found.items()}


def grow_flexible_chains(
    residues: Sequence[FlexibleResidue],
    torsions: Mapping[tuple[int, int], NDArray[np.float64]],
    tacticity: Tacticity | None,
    n_chains: int,
    edge: float,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Atoms of whole chains in a periodic cube [nm], shape (n_atoms, 3).

    Args:
        residues: The residues of one chain in order.
        torsions: Torsions to draw from [rad], by the hands of the two residues; see `collect_torsions`.
        tacticity: How the hands of the stereocenters follow each other; None leaves them as they come.
        n_chains: Number of chains.
        edge: Edge of the cube [nm].
        generator: Source of randomness.

    Raises:
        InputError: No conformation has the hand that is needed.
        SimulationError: The chains do not fit; the density is too high for growth.
    """
    _check_hands(residues, tacticity)
    sizes = [len(residue.placements[0].positions) for residue in residues]
    starts = np.cumsum([0, *sizes[:-1]])
    heavy = np.concatenate([start + residue.heavy for start, residue in zip(starts, residues, strict=True)])

    def start_chain(others: cKDTree) -> NextResidue:
        hands = _hands(len(residues), tacticity, generator)
        growth = _Growth(residues, hands, torsions, edge, others, generator)
        return growth.next_residue

    return grow_chains(start_chain, len(residues), n_chains, edge, generator, seen=lambda atoms: atoms[heavy])


def _hands(n_residues: int, tacticity: Tacticity | None, generator: np.random.Generator) -> NDArray[np.int64]:
    """The hand of each residue, 0 where any will do."""
    if tacticity is None:
        return np.zeros(n_residues, dtype=np.int64)
    first = int(generator.choice([1, -1]))
    if tacticity == "isotactic":
        return np.full(n_residues, first)
    if tacticity == "syndiotactic":
        return np.asarray(first * (-1) ** np.arange(n_residues))
    return generator.choice([1, -1], size=n_residues)


def _check_hands(residues: Sequence[FlexibleResidue], tacticity: Tacticity | None) -> None:
    for number, residue in enumerate(residues):
        missing = {1, -1} - {placement.hand for placement in residue.placements}
        if tacticity is not None and missing:
            raise InputError(
                f"no conformation of residue {number + 1} has a stereocenter of each hand, which chains that are "
                f"{tacticity} need; name the stereocenter, or leave out the tacticity"
            )


class _Growth:
    """Places the residues of one chain."""

    def __init__(
        self,
        residues: Sequence[FlexibleResidue],
        hands: NDArray[np.int64],
        torsions: Mapping[tuple[int, int], NDArray[np.float64]],
        edge: float,
        others: cKDTree,
        generator: np.random.Generator,
    ) -> None:
        self._residues, self._hands, self._torsions = residues, hands, torsions
        self._edge, self._others, self._generator = edge, others, generator
        self._placements: list[Placement] = []

    def next_residue(self, placed: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | None:
        """See `NextResidue`."""
        number = len(placed)
        del self._placements[number:]
        residue, hand = self._residues[number], self._hands[number]
        fitting = [each for each in residue.placements if hand in (0, each.hand)]
        for _ in range(_TRIALS):
            choice = fitting[int(self._generator.integers(len(fitting)))]
            laid = self._first(choice) if number == 0 else self._joined(number, choice)
            if self._is_free(number, laid.positions[residue.heavy], placed):
                self._placements.append(laid)
                return laid.positions
        return None

    def _first(self, placement: Placement) -> Placement:
        rotation = Rotation.random(rng=self._generator)
        shift = self._generator.uniform(0.0, self._edge, 3)
        return _moved(placement, rotation, placement.positions[0], shift)

    def _joined(self, number: int, placement: Placement) -> Placement:
        """A conformation laid on the end of the chain and turned about the bond between the two."""
        residue, before = self._residues[number], self._residues[number - 1]
        last = self._placements[number - 1]
        axis = _unit(last.after - last.positions[before.exit])
        along = _unit(placement.positions[residue.entry] - placement.before)
        rotation = Rotation.align_vectors([axis], [along])[0]
        laid = _moved(placement, rotation, placement.positions[residue.entry], last.after)
        wanted = self._draw_torsion(last.hand, laid.hand)
        found = _torsion(before, last.positions, residue, laid.positions)
        return _moved(laid, Rotation.from_rotvec((wanted - (found or 0.0)) * axis), last.after, last.after)

    def _draw_torsion(self, hand: int, next_hand: int) -> float:
        known = self._torsions.get((hand, next_hand))
        if known is None:
            return float(self._generator.uniform(-np.pi, np.pi))
        return float(self._generator.choice(known) + _SPREAD * self._generator.normal())

    def _is_free(self, number: int, heavy: NDArray[np.float64], placed: Sequence[NDArray[np.float64]]) -> bool:
        """Whether the heavy atoms of a residue keep their distance."""
        if (
            self._others.n
            and self._others.query_ball_point(heavy % self._edge, _CLOSEST_OTHERS, return_length=True).any()
        ):
            return False
        residue, apart = self._residues[number], 1
        for before in range(number - 1, -1, -1):
            own = self._residues[before]
            bonds = own.to_exit[:, None] + apart + residue.to_entry[None]
            vectors = placed[before][own.heavy][:, None] - heavy[None]
            nearest = minimum_image(vectors, self._edge * np.eye(3))
            is_far = (bonds > _NEAR) | (nearest != vectors).any(axis=2)
            if (is_far & ((nearest**2).sum(axis=2) < _CLOSEST**2)).any():
                return False
            apart += own.length + 1
        return True


def _moved(
    placement: Placement, rotation: Rotation, pivot: NDArray[np.float64], target: NDArray[np.float64]
) -> Placement:
    """A placement turned about a point that is then brought to another."""
    return Placement(
        positions=rotation.apply(placement.positions - pivot) + target,
        before=rotation.apply(placement.before - pivot) + target,
        after=rotation.apply(placement.after - pivot) + target,
        hand=placement.hand,
    )


def _torsion(
    before: FlexibleResidue, positions: NDArray[np.float64], after: FlexibleResidue, following: NDArray[np.float64]
) -> float | None:
    """Torsion [rad] about the bond between two residues; None where an end of it has no other atom in its residue."""
    if before.exit_side is None or after.entry_side is None:
        return None
    four = np.stack(
        [positions[before.exit_side], positions[before.exit], following[after.entry], following[after.entry_side]]
    )
    return float(torsion_angles(four, None, np.arange(4)[None])[0])


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / np.linalg.norm(vector))
