"""The time step of a simulation where none is asked for. Imports nothing heavy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openmm_cgml.force_field.manifest import RecommendedSteps
    from openmm_cgml.system import TimeStep

_LONGEST_TIME_STEP = 0.005  # ps: what published models of this package are validated with


def choose_time_step(allowed: TimeStep | None, recommended: RecommendedSteps | None = None) -> float:
    """The time step used where none is asked for [ps].

    That is the one that the force field recommends, if it does so for all forces alike; else what the stiffest prior
    allows, but at most 5 fs.

    Args:
        allowed: What the stiffest prior allows.
        recommended: What simulations have shown.
    """
    if recommended is not None and recommended.network_interval == 1:
        return recommended.time_step
    return _round_down(min(allowed.time_step if allowed else math.inf, _LONGEST_TIME_STEP))


def _round_down(time_step: float) -> float:
    """The time step in full femtoseconds, below 3 fs in tenths, and finer where it is shorter still."""
    for unit, least in ((1e-3, 3e-3), (1e-4, 1e-4), (1e-5, 1e-5)):
        if time_step >= least:
            return round(int(time_step / unit + 1e-9) * unit, 9)
    return time_step
