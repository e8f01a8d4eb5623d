"""The pair prior as tables, one per pair of bead types.

Where a System holds replicas, OpenMM cannot keep their nonbonded priors apart without giving up its neighbor list, so
the engine evaluates the pair prior on its own pairs. A table makes one kernel serve every analytic form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.engine.pair_kernels import pair_value
from openmm_cgml.potentials import PowerRepulsion
from openmm_cgml.potentials.power_repulsion import switched_power

N_PAIR_KNOTS = 2048
"""Knots per table. Energies are within 1e-8 and forces within 1e-5 of the analytic form, relative to the larger of
theirs and one kJ/mol or kJ/mol/nm, even where the switch takes only 0.02 nm."""

WALL_ENERGY = 1e4
"""Energy at the first knot [kJ/mol], some thousand kT; the energy goes on linearly below."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PairTable:
    """Energies of pairs of beads by type and distance, as cubic Hermite splines.

    Below the first knot the energy goes on linearly, so beads that overlap are driven apart by a finite force. At the
    cutoff and beyond it is zero.

    Attributes:
        start: Distance of the first knot [nm].
        cutoff: Distance of the last knot [nm].
        knots: Energy [kJ/mol] and knot spacing times its derivative [kJ/mol] at each knot, shape
            (n_types, n_types, n_knots, 2).
        bead_types: Table index of every bead, shape (n_beads,).
    """

    start: float
    cutoff: float
    knots: NDArray[np.float64]
    bead_types: NDArray[np.int64]

    def evaluate(
        self, distances: NDArray[np.float64], type_a: int = 0, type_b: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energy [kJ/mol] and its derivative by the distance [kJ/mol/nm] of pairs of two types, each (n_pairs,).

        Args:
            distances: Distances [nm], shape (n_pairs,).
            type_a: Table index of the first type.
            type_b: Of the second.
        """
        knots = self.knots[type_a, type_b]
        values = [pair_value(r, knots, self.start, self.cutoff) for r in np.asarray(distances, dtype=np.float64)]
        energies, slopes = np.array(values, dtype=np.float64).reshape(-1, 2).T
        return np.ascontiguousarray(energies), np.ascontiguousarray(slopes)


def tabulate_pairs(potential: PowerRepulsion, n_knots: int = N_PAIR_KNOTS) -> PairTable:
    """The tables of a bound pair prior.

    Args:
        potential: The prior, bound to the beads of the System.
        n_knots: Knots per table.
    """
    start = _wall(potential)
    distances = torch.linspace(start, potential.cutoff, n_knots, dtype=torch.float64)
    coefficient = torch.tensor(potential.epsilon * potential.sigma ** int(potential.exponent))[:, :, None]
    energies, slopes = switched_power(
        distances, coefficient, float(potential.exponent), potential.switch_distance, potential.cutoff
    )
    spacing = (potential.cutoff - start) / (n_knots - 1)
    knots = torch.stack([energies, spacing * slopes], dim=-1).numpy().copy()
    knots[:, :, -1] = 0.0  # exact at the cutoff, whatever rounding left there
    knots.setflags(write=False)
    return PairTable(start=start, cutoff=potential.cutoff, knots=knots, bead_types=potential.bead_types)


def _wall(potential: PowerRepulsion) -> float:
    """Distance at which the softest pair of types reaches the wall's energy [nm], at most half the switch distance."""
    reached = potential.sigma * (potential.epsilon / WALL_ENERGY) ** (1 / int(potential.exponent))
    return float(min(reached.min(), 0.5 * potential.switch_distance))
