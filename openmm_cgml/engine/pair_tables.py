"""Pair potentials as tables, one per pair of bead types.

On the CPU platform OpenMM takes longer for them than the network does, and where a System holds replicas, OpenMM
cannot keep their nonbonded priors apart without giving up its neighbor list. So the engine evaluates the pair
potentials on its own pairs. A table makes one kernel serve every analytic form.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.engine.listing import PriorPairs
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import PairPotential

N_PAIR_KNOTS = 2048
"""Knots per table. Energies are within 1e-8 and forces within 1e-5 of the analytic form, relative to the larger of
theirs and one kJ/mol or kJ/mol/nm, even where the switch takes only 0.02 nm."""

WALL_ENERGY = 1e4
"""Energy at the first knot [kJ/mol], some thousand kT; the energy goes on linearly below."""

_INNERMOST = 0.05  # of the cutoff, where the first knot of a potential without such a wall is
_WALL_POINTS = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class PairTable:
    """Energies of pairs of beads by type and distance, as cubic Hermite splines.

    Below the first knot the energy goes on linearly, so beads that overlap are driven apart by a finite force. At the
    cutoff and beyond it is zero.

    Attributes:
        start: Distance of the first knot [nm].
        cutoff: Distance of the last knot [nm].
        cutoffs: Distance from which the energy is zero, at most `cutoff` [nm], shape (n_types, n_types).
        knots: Energy [kJ/mol] and knot spacing times its derivative [kJ/mol] at each knot, shape
            (n_types, n_types, n_knots, 2).
        bead_types: Table index of every bead, shape (n_beads,).
        exclusions: Pairs that do not interact, i < j, shape (n_exclusions, 2).
    """

    start: float
    cutoff: float
    cutoffs: NDArray[np.float64]
    knots: NDArray[np.float64]
    bead_types: NDArray[np.int64]
    exclusions: NDArray[np.int64]

    def evaluate(
        self, distances: NDArray[np.float64], type_a: int = 0, type_b: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energy [kJ/mol] and its derivative by the distance [kJ/mol/nm] of pairs of two types, each (n_pairs,).

        Args:
            distances: Distances [nm], shape (n_pairs,).
            type_a: Table index of the first type.
            type_b: Of the second.
        """
        from openmm_cgml.engine.pair_kernels import evaluate_table  # numba is loaded where it computes

        r = np.asarray(distances, dtype=np.float64)
        energies, slopes = np.empty_like(r), np.empty_like(r)
        table = self.polynomials()[type_a, type_b]
        evaluate_table(r, table, self.start, self.scale, self.cutoffs[type_a, type_b], energies, slopes)
        return energies, slopes

    @property
    def scale(self) -> float:
        """Intervals between knots per distance [1/nm]."""
        return (self.knots.shape[2] - 1) / (self.cutoff - self.start)

    def pairs(self) -> PriorPairs:
        """The pairs that interact."""
        return PriorPairs(cutoff=self.cutoff, exclusions=self.exclusions)

    def square_tables(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same energies as cubic polynomials of the squared distance, each from the first knot to its own cutoff.

        Returns:
            Coefficients as of `polynomials`, types a and b at row a * n_types + b, shape (n_types^2, n_knots - 1, 4);
            and first knot [nm^2], intervals per squared distance [1/nm^2], squared cutoff [nm^2] and first knot [nm],
            shape (n_types^2, 4).
        """
        n_types, n_knots = self.knots.shape[0], self.knots.shape[2]
        knots, ranges = np.zeros_like(self.knots), np.zeros((n_types, n_types, 4))
        for a in range(n_types):
            for b in range(n_types):
                cutoff = float(self.cutoffs[a, b])
                squares, step = np.linspace(self.start**2, cutoff**2, n_knots, retstep=True)
                distances = np.sqrt(squares)
                energies, slopes = self.evaluate(distances, a, b)
                knots[a, b] = np.stack([energies, step * slopes / (2 * distances)], axis=-1)
                ranges[a, b] = self.start**2, 1 / step, cutoff**2, self.start
        knots[:, :, -1] = 0.0
        polynomials = dataclasses.replace(self, knots=knots).polynomials()
        return polynomials.reshape(n_types**2, n_knots - 1, 4), ranges.reshape(-1, 4)

    def ranges(self) -> NDArray[np.float64]:
        """First knot [nm], intervals per distance [1/nm] and cutoff [nm] of types a and b at row a * n_types + b."""
        cutoffs = self.cutoffs.ravel()
        return np.stack([np.full_like(cutoffs, self.start), np.full_like(cutoffs, self.scale), cutoffs], axis=1)

    def polynomials(self) -> NDArray[np.float64]:
        """Coefficients of the splines [kJ/mol], shape (n_types, n_types, n_knots - 1, 4).

        They are those of 1, t, t^2 and t^3, where t goes from 0 to 1 between two knots.
        """
        low, low_slope = self.knots[:, :, :-1, 0], self.knots[:, :, :-1, 1]
        high, high_slope = self.knots[:, :, 1:, 0], self.knots[:, :, 1:, 1]
        rise = high - low
        return np.stack(
            [low, low_slope, 3 * rise - 2 * low_slope - high_slope, low_slope + high_slope - 2 * rise], axis=-1
        )


def tabulate_pairs(potentials: Sequence[PairPotential], n_knots: int = N_PAIR_KNOTS) -> PairTable | None:
    """The tables of the sum of bound pair potentials; None if there are none.

    Args:
        potentials: They are bound to the same beads, with the same exclusions.
        n_knots: Knots per table.

    Raises:
        InputError: If beads or exclusions of two of them differ.
    """
    if not potentials:
        return None
    first = potentials[0]
    for other in potentials[1:]:
        if not (
            np.array_equal(first.bead_types, other.bead_types) and np.array_equal(first.exclusions, other.exclusions)
        ):
            raise InputError(
                f"the {first.name} and the {other.name} are bound to other beads or exclusions; bind them together"
            )
    cutoff = max(potential.cutoff for potential in potentials)
    n_types = int(first.bead_types.max(initial=-1)) + 1
    start = _wall(potentials, n_types, cutoff)
    distances = torch.linspace(start, cutoff, n_knots, dtype=torch.float64)
    spacing = (cutoff - start) / (n_knots - 1)
    knots, cutoffs = np.zeros((n_types, n_types, n_knots, 2)), np.zeros((n_types, n_types))
    for a in range(n_types):
        for b in range(n_types):
            energies, slopes = _evaluate(potentials, distances, a, b)
            knots[a, b] = np.stack([energies, spacing * slopes], axis=-1)
            cutoffs[a, b] = max(potential.cutoff_of(a, b) for potential in potentials)
    knots[:, :, -1] = 0.0  # exact at the cutoff, whatever rounding left there
    knots.setflags(write=False)
    return PairTable(
        start=start,
        cutoff=cutoff,
        cutoffs=cutoffs,
        knots=knots,
        bead_types=first.bead_types,
        exclusions=first.exclusions,
    )


def _evaluate(
    potentials: Sequence[PairPotential], distances: torch.Tensor, a: int, b: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Energies [kJ/mol] of two types and their derivatives by the distance [kJ/mol/nm], shape (n,) each."""
    with torch.enable_grad():
        r = distances.detach().requires_grad_()
        energies = torch.stack([potential.pair_energy(r, a, b) for potential in potentials]).sum(dim=0)
        (slopes,) = torch.autograd.grad(energies.sum(), r)
    return energies.detach().numpy(), slopes.numpy()


def _wall(potentials: Sequence[PairPotential], n_types: int, cutoff: float) -> float:
    """The largest distance up to which all pairs of types are above the wall's energy [nm], at most half the cutoff."""
    distances = torch.linspace(0.5 * cutoff, _INNERMOST * cutoff, _WALL_POINTS, dtype=torch.float64)
    lowest = np.min([_evaluate(potentials, distances, a, b)[0] for a in range(n_types) for b in range(a + 1)], axis=0)
    above = np.flatnonzero(lowest >= WALL_ENERGY)
    return float(distances[above[0] if len(above) else -1])
