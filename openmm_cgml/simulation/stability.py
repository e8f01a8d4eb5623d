"""Detection of simulations that have become unstable, as numbers that can be reported.

After "Forces are not enough" (Fu et al., arXiv 2210.07237): a value that is not finite; a temperature outside
[0.7, 1.5] of its target over 10 ps, or threefold at any moment; a bond further than 25 % from its reference length,
or from the range of the data where its prior is a spline;
a contact at less than half the closest approach in the training data. Each limit is widened where so few beads or so
soft a bond would reach it by thermal noise alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from openmm_cgml.errors import SimulationError
from openmm_cgml.periodic import bond_lengths, find_pairs, pair_distances
from openmm_cgml.units import BOLTZMANN
from openmm_cgml.wholeness import BondForest

TEMPERATURE_RANGE = (0.7, 1.5)
TEMPERATURE_WINDOW = 10.0
"""Time over which the temperature is averaged [ps]."""
MOMENTARY_TEMPERATURE = 3.0
BOND_DEVIATION = 0.25
COLLAPSED_CONTACT = 0.5
"""Distance as a fraction of the closest approach in the training data below which beads have fallen into a hole."""
_NOISE = 8.0
"""Standard deviations of thermal noise that any limit leaves room for."""
_HINT = "Try a smaller time step; if that does not help, the model leaves the region it was trained on"


class UnstableSimulationError(SimulationError):
    """A simulation became unstable.

    Attributes:
        step: Step at which it was noticed.
        reason: What was seen.
        hint: What may help.
    """

    def __init__(self, step: int, reason: str, hint: str = "") -> None:
        super().__init__(f"unstable after {step} steps: {reason}{'. ' + hint if hint else ''}")
        self.step = step
        self.reason = reason
        self.hint = hint


@dataclass(frozen=True, eq=False, kw_only=True)
class BondReferences:
    """Reference geometry of bonds.

    Attributes:
        indices: Beads, shape (n_bonds, 2).
        length: Reference lengths [nm], shape (n_bonds,).
        stiffness: k of 1/2 k (r - r0)^2 [kJ/mol/nm^2], shape (n_bonds,); the largest where it varies.
        shortest: Lengths down to which a bond has not left [nm], shape (n_bonds,), for one that has a range of them; by
            default the reference.
        longest: Lengths up to which it has not, likewise.
    """

    indices: np.ndarray
    length: np.ndarray
    stiffness: np.ndarray
    shortest: np.ndarray | None = None
    longest: np.ndarray | None = None

    def nearest(self, lengths: np.ndarray) -> np.ndarray:
        """The lengths nearest to given ones [nm], shape (n_bonds,), of those that are where the bonds belong."""
        shortest = self.length if self.shortest is None else self.shortest
        longest = self.length if self.longest is None else self.longest
        return np.clip(lengths, shortest, longest)


@dataclass(frozen=True, eq=False, kw_only=True)
class ContactReferences:
    """How close beads of different molecules, or different images of one, came in the data that a model was trained on.

    Attributes:
        bead_types: Bead types, shape (n_beads,).
        forest: The molecules.
        closest: Closest approach of each pair of types [nm], shape (n_types, n_types); 0 where unknown.
    """

    bead_types: np.ndarray
    forest: BondForest
    closest: np.ndarray

    def closest_contact(self, positions: np.ndarray, box: np.ndarray | None) -> tuple[float, int, int, float] | None:
        """The contact furthest below the closest approach: their ratio, the two beads, and the distance [nm].

        None if no pair is closer than in the data.
        """
        # Beyond half the box a pair has no one nearest image.
        reach = np.inf if box is None else np.diag(box).min() / 2
        pairs = find_pairs(positions, box, min(float(self.closest.max()), float(reach)))
        pairs = pairs[:, ~self.forest.is_intra(positions, box, pairs)]
        distances = pair_distances(positions, box, *pairs)
        limits = self.closest[self.bead_types[pairs[0]], self.bead_types[pairs[1]]]
        below = distances < limits
        if not below.any():
            return None
        ratios = np.where(below, distances / np.where(below, limits, 1.0), np.inf)
        worst = int(np.argmin(ratios))
        return float(ratios[worst]), int(pairs[0, worst]), int(pairs[1, worst]), float(distances[worst])


class StabilityMonitor:
    """Judges states as a simulation produces them.

    Args:
        temperature: Target temperature [K].
        degrees_of_freedom: Degrees of freedom that carry kinetic energy.
        bonds: Reference lengths, or None.
        contacts: Closest approaches in the training data, or None.
        relaxation_time: Time after which the thermostat holds the temperature [ps]; the mean temperature is not judged
            before, and never if it is infinite.
    """

    def __init__(
        self,
        temperature: float,
        degrees_of_freedom: int,
        bonds: BondReferences | None = None,
        contacts: ContactReferences | None = None,
        relaxation_time: float = 0.0,
    ) -> None:
        self._relaxation_time = relaxation_time
        self._temperature = temperature
        self._degrees_of_freedom = max(1, degrees_of_freedom)
        self._bonds = bonds if bonds is not None and len(bonds.indices) else None
        self._history: deque[tuple[float, float]] = deque()
        self._contacts = contacts if contacts is not None and contacts.closest.max() > 0 else None
        self.largest_bond_deviation: float | None = None if self._bonds is None else 0.0
        self.closest_contact: float | None = None if self._contacts is None else 1.0
        """Smallest distance / closest approach in the training data; 1 if nothing came closer."""
        if self._bonds is not None:
            thermal = np.sqrt(BOLTZMANN * temperature / np.maximum(self._bonds.stiffness, 1e-12))
            self._bond_limit = np.maximum(BOND_DEVIATION * self._bonds.length, _NOISE * thermal)

    @property
    def history(self) -> list[list[float]]:
        """(time [ps], temperature [K]) of the states in the present window."""
        return [list(entry) for entry in self._history]

    def restore(self, history: list[list[float]]) -> None:
        """Take up the window of an earlier run."""
        self._history = deque((float(time), float(temperature)) for time, temperature in history)

    def check(
        self,
        step: int,
        time: float,
        positions: np.ndarray,
        box: np.ndarray | None,
        potential_energy: float,
        temperature: float,
    ) -> None:
        """Raise if this state shows that the simulation is unstable.

        Args:
            step: Steps done.
            time: Simulated time [ps].
            positions: Bead positions [nm], shape (n_beads, 3).
            box: Box vectors [nm], shape (3, 3), or None.
            potential_energy: Potential energy [kJ/mol].
            temperature: Momentary temperature [K].

        Raises:
            UnstableSimulationError: Naming the step and what was seen.
        """
        self._check_finite(step, positions, potential_energy, temperature)
        self._check_temperature(step, time, temperature)
        if self._bonds is not None:
            self._check_bonds(step, positions, box)
        if self._contacts is not None:
            self._check_contacts(step, positions, box)

    def _check_finite(self, step: int, positions: np.ndarray, potential_energy: float, temperature: float) -> None:
        bad = np.flatnonzero(~np.isfinite(positions).all(axis=1))
        if len(bad):
            raise UnstableSimulationError(step, f"{len(bad)} beads have no finite position, first bead {bad[0]}", _HINT)
        for name, value in (("potential energy", potential_energy), ("temperature", temperature)):
            if not np.isfinite(value):
                raise UnstableSimulationError(step, f"the {name} is {value}", _HINT)

    def _check_temperature(self, step: int, time: float, temperature: float) -> None:
        target = self._temperature
        noise = _NOISE * np.sqrt(2 / self._degrees_of_freedom)
        if temperature > max(MOMENTARY_TEMPERATURE, 1 + noise) * target:
            raise UnstableSimulationError(step, f"temperature {temperature:.4g} K, target {target:g} K", _HINT)
        self._history.append((time, temperature))
        while time - self._history[0][0] > TEMPERATURE_WINDOW * (1 + 1e-9):
            self._history.popleft()
        if time < self._relaxation_time or time - self._history[0][0] < 0.9 * TEMPERATURE_WINDOW:
            return
        mean = float(np.mean([value for _, value in self._history]))
        noise /= np.sqrt(len(self._history))
        low, high = min(TEMPERATURE_RANGE[0], 1 - noise), max(TEMPERATURE_RANGE[1], 1 + noise)
        if not low * target <= mean <= high * target:
            span = time - self._history[0][0]
            raise UnstableSimulationError(
                step, f"mean temperature {mean:.4g} K over the last {span:.3g} ps, target {target:g} K", _HINT
            )

    def _check_bonds(self, step: int, positions: np.ndarray, box: np.ndarray | None) -> None:
        assert self._bonds is not None
        lengths = bond_lengths(positions, box, self._bonds.indices)
        nearest = self._bonds.nearest(lengths)
        deviation = np.abs(lengths - nearest)
        largest = float((deviation / self._bonds.length).max())
        self.largest_bond_deviation = max(self.largest_bond_deviation or 0.0, largest)
        worst = int(np.argmax(deviation / self._bond_limit))
        if deviation[worst] > self._bond_limit[worst]:
            i, j = self._bonds.indices[worst]
            raise UnstableSimulationError(
                step,
                f"the bond between beads {i} and {j} is {lengths[worst]:.4g} nm long, "
                f"{deviation[worst] / self._bonds.length[worst]:.0%} off its {nearest[worst]:.4g} nm",
                _HINT,
            )

    def _check_contacts(self, step: int, positions: np.ndarray, box: np.ndarray | None) -> None:
        assert self._contacts is not None
        contact = self._contacts.closest_contact(positions, box)
        if contact is None:
            return
        ratio, i, j, distance = contact
        self.closest_contact = min(self.closest_contact or 1.0, ratio)
        if ratio < COLLAPSED_CONTACT:
            raise UnstableSimulationError(
                step,
                f"beads {i} and {j} are {distance:.4g} nm apart, {ratio:.2f} of the data's closest approach",
                "The model has a hole at short distances: give its priors a harder repulsion",
            )
