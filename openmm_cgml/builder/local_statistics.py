"""What a force field knows about the local shape of its chains: bond lengths, angles and torsions by bead types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.dataset.conformations import ANGLE_BINS, PAIR_BINS, TORSION_BINS, Conformations
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.potentials import BondedPotential, Potential
from openmm_cgml.priors import PriorSet
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

DEFAULT_DISTANCE = 0.25
"""Where a force field does not say how close its beads come [nm]."""
_LINKED = 1.6  # no two beads are kept further apart around a third one than this many bonds' lengths

Types = tuple[str, ...]
Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LocalStatistics:
    """Distributions of bond lengths, angles and torsions of a force field's chains.

    Angles and torsions come from the histograms of its training data, else from its priors by Boltzmann's factor, else
    they are free, except that next-nearest beads keep the distance that other beads keep.

    Attributes:
        priors: Its priors; every bond needs one.
        type_names: Its bead types.
        conformations: Histograms of the training data; may be empty.
        temperature: Temperature of bond lengths, and of angles and torsions taken from priors [K].
        distance: How close unbonded beads come [nm].
    """

    priors: PriorSet
    type_names: tuple[str, ...]
    conformations: Conformations
    temperature: float
    distance: float = DEFAULT_DISTANCE
    _tables: dict[tuple[str, Types], Weights] = field(default_factory=dict, repr=False)
    _bonds: dict[Types, tuple[float, float]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, force_field: ForceField, temperature: float) -> LocalStatistics:
        """The statistics of a force field at a temperature [K]."""
        training = force_field.manifest.training
        closest = list(training.closest_approach.values()) if training else []
        return cls(
            priors=force_field.priors,
            type_names=force_field.type_names,
            conformations=Conformations.from_dict(training.conformations if training else {}, force_field.type_names),
            temperature=temperature,
            distance=min(closest, default=DEFAULT_DISTANCE),
        )

    def bond(self, types: Types) -> tuple[float, float]:
        """Mean and standard deviation of a bond's length [nm].

        Raises:
            InputError: If the priors have no bond of these types.
        """
        if types not in self._bonds:
            self._bonds[types] = self.priors.bond_moments(types, BOLTZMANN * self.temperature)
        return self._bonds[types]

    def angle(self, types: Types) -> Weights:
        """Probabilities of an angle's bins, shape (ANGLE_BINS,)."""
        return self._table("angle", types, self._angle)

    def torsion(self, types: Types) -> Weights:
        """Probabilities of a torsion's bins, shape (TORSION_BINS,)."""
        return self._table("torsion", types, self._torsion)

    def next_torsion(self, types: Types) -> Weights:
        """Probabilities of a torsion's bins given the coarse bin of the torsion before it.

        Args:
            types: Types of the five beads of both, in order.

        Returns:
            Shape (PAIR_BINS, TORSION_BINS); rows are the coarse bins of the torsion before.
        """
        return self._table("next torsion", types, self._next_torsion)

    def bonded(self, molecule: CGTopology) -> list[Potential]:
        """The priors of a molecule's bonds, angles and torsions."""
        return [potential for potential in self.priors.bind(molecule) if _width(potential)]

    def has_angle(self, types: Types) -> bool:
        """Whether the distribution of this angle is known."""
        return self.angle_is_recorded(types) or bool(self._potentials(types, 3))

    def angle_is_recorded(self, types: Types) -> bool:
        """Whether the training data has this angle."""
        return _directed(types) in self.conformations.angles

    def torsion_is_recorded(self, types: Types) -> bool:
        """Whether the training data has this torsion."""
        return _directed(types) in self.conformations.torsions

    def _table(self, kind: str, types: Types, make: Callable[[Types], Weights]) -> Weights:
        if (kind, types) not in self._tables:
            weights = make(types)
            total = weights.sum(axis=-1, keepdims=True)
            self._tables[kind, types] = weights / total
        return self._tables[kind, types]

    def _angle(self, types: Types) -> Weights:
        counts = self.conformations.angles.get(_directed(types))
        if counts is not None and counts.any():
            return counts.astype(np.float64)
        centers = _centers(ANGLE_BINS, 0.0, np.pi)
        energies = self._energies(types, np.array([[*_unit_chain(angle, None)] for angle in centers]))
        if energies is not None:
            return np.asarray(np.sin(centers) * np.exp(-energies))
        first, second = self.bond(types[:2])[0], self.bond(types[1:])[0]
        apart = np.sqrt(first**2 + second**2 - 2 * first * second * np.cos(centers))
        wanted = min(self.distance, _LINKED * min(first, second))
        return np.asarray(np.sin(centers) * (apart >= wanted))

    def _torsion(self, types: Types) -> Weights:
        counts = self.conformations.torsions.get(_directed(types))
        if counts is not None and counts.any():
            return counts.astype(np.float64)
        centers = _centers(TORSION_BINS, -np.pi, np.pi)
        energies = self._energies(types, np.array([[*_unit_chain(np.pi / 2, turn)] for turn in centers]))
        return np.ones(TORSION_BINS) if energies is None else np.asarray(np.exp(-energies))

    def _next_torsion(self, types: Types) -> Weights:
        fine = self.torsion(types[1:])
        counts = self.conformations.torsion_pairs.get(_directed(types))
        if counts is None or not counts.any():
            return np.tile(fine, (PAIR_BINS, 1))
        pairs = (counts if _directed(types) == types else counts.T).astype(np.float64)
        expected = np.outer(pairs.sum(axis=1), pairs.sum(axis=0)) / pairs.sum()
        # One more observation per row, spread as if the torsions were independent, keeps rare rows from being empty.
        smooth = pairs + expected / np.maximum(expected.sum(axis=1, keepdims=True), 1e-300)
        empty = smooth.sum(axis=1) == 0
        smooth[empty] = pairs.sum(axis=0)
        coarse = np.arange(TORSION_BINS) * PAIR_BINS // TORSION_BINS
        within = fine / np.maximum(np.bincount(coarse, weights=fine, minlength=PAIR_BINS), 1e-300)[coarse]
        return np.asarray(smooth[:, coarse] * within)

    def _bound(self, types: Types) -> tuple[Potential, ...]:
        """The priors of a molecule of a few beads of these types in a row."""
        n = len(types)
        chain = CGTopology(
            type_names=self.type_names,
            bead_types=np.array([self.type_names.index(name) for name in types]),
            bead_names=tuple(f"B{i}" for i in range(n)),
            masses=np.ones(n),
            molecules=np.zeros(n, dtype=np.int64),
            residues=np.zeros(n, dtype=np.int64),
            residue_names=("ROW",),
            bonds=np.stack([np.arange(n - 1), np.arange(1, n)], axis=1),
        )
        return self.priors.bind(chain)

    def _potentials(self, types: Types, n_beads: int) -> list[Potential]:
        return [p for p in self._bound(types) if _width(p) == n_beads]

    def _energies(self, types: Types, positions: NDArray[np.float64]) -> Weights | None:
        """Energies [kT] of the priors that act on just so many beads, above their minimum; None without any."""
        potentials = self._potentials(types, len(types))
        if not potentials:
            return None
        given = torch.from_numpy(positions)
        energy = torch.stack([potential.energy(given) for potential in potentials]).sum(dim=0)
        reduced = energy.numpy() / (BOLTZMANN * self.temperature)
        return np.asarray(reduced - reduced.min())

    @cached_property
    def is_recorded(self) -> bool:
        """Whether the training data's angles are known."""
        return bool(self.conformations.angles)


def check_bonds(statistics: LocalStatistics, topology: CGTopology) -> None:
    """Refuse bonds between bead types that the priors do not bond.

    Raises:
        InputError: Naming the types.
    """
    names = np.asarray(topology.type_names)[topology.bead_types]
    for pair in {tuple(sorted(row)) for row in np.unique(names[topology.bonds], axis=0).tolist()}:
        try:
            statistics.bond(pair)
        except (InputError, ValueError) as error:
            raise InputError(f"no bond of bead types {'-'.join(pair)} in this force field: {error}") from error


def _width(potential: Potential) -> int:
    return potential.coordinate.n_beads if isinstance(potential, BondedPotential) else 0


def _directed(types: Types) -> Types:
    return min(types, types[::-1])


def _centers(n_bins: int, low: float, high: float) -> NDArray[np.float64]:
    return low + (np.arange(n_bins) + 0.5) * (high - low) / n_bins


def _unit_chain(angle: float, torsion: float | None) -> NDArray[np.float64]:
    """Three beads with an angle, or four with a torsion too, with bonds of unit length."""
    three = np.array([[np.cos(angle), np.sin(angle), 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    if torsion is None:
        return three
    last = [1.0 - np.cos(angle), np.sin(angle) * np.cos(torsion), np.sin(angle) * np.sin(torsion)]
    return np.concatenate([three, [last]])
