"""Pair priors adjusted until a simulation has the right pressure, and changed as little as that takes.

Among all changes of the coefficients that bring the pressure, the one with the smallest relative entropy to the
ensemble before is taken: the step of `refinement.pair_step` without its part that follows the structure. What force
matching found of the forces stays, where a refinement of the pairs would follow each kind of pair by itself.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.refinement.pair import PairTarget
from openmm_cgml.refinement.pair_step import PairStep


class PressureTarget(PairTarget):
    """The pair priors, for the sake of the pressure alone. Rows and arguments are those of `PairTarget`."""

    provenance_key: ClassVar[str] = "pressure_refinement"
    description: ClassVar[str] = (
        "Pair priors changed as little as it took to give simulations the right pressure. Structure was not adjusted; "
        'errors of forces under "Training" are those before this step.'
    )

    def _excess(self, step: PairStep) -> NDArray[np.float64]:
        """Nothing: the structure is left to itself."""
        return np.zeros(step.n)

    def _is_at_floor(self, floor: float) -> bool:
        """Whether the pressure of the last simulations is right within its error."""
        wanted, (pressure, error) = self._config.pressure, self._ensemble.pressure
        return wanted is not None and abs(pressure - wanted) < max(error, _CLOSE)


_CLOSE = 5.0
"""Difference of a pressure that is not worth a change [bar]."""
