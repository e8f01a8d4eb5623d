"""Distributions of one kind of coordinate by bead types, as bonds, angles and torsions keep them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from openmm_cgml.analysis.compare import compute_js_divergence
from openmm_cgml.analysis.distributions import Distribution
from openmm_cgml.analysis.result import Result
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.report.pictures import draw_distributions
from openmm_cgml.validation.report.plate import Plate


@dataclass(frozen=True, eq=False, kw_only=True)
class Distributions(Result):
    """Distributions of bond lengths, angles or torsions.

    Attributes:
        by_types: Distributions [nm or rad] by bead types, such as "A-B".
        half_js: Jensen-Shannon divergence between the two halves of the trajectory by bead types [bits]: its own
            statistical error; empty where it was not computed.
    """

    by_types: Mapping[str, Distribution]
    half_js: Mapping[str, float] = field(default_factory=dict)

    def check_ranges(self) -> None:
        """Refuse divergences that are none."""
        known = set(self.half_js) <= set(self.by_types)
        self.require(known and all(0 <= js <= 1 for js in self.half_js.values()), "half_js", "from 0 to 1 by types")


def draw_plate(
    name: str,
    title: str,
    coordinate: tuple[str, str, float],
    theirs: Distributions | None,
    runs: Sequence[tuple[str, Distributions]],
) -> list[Plate]:
    """The picture of distributions, one panel for each kind; none without a reference.

    Args:
        name: File name without its ending.
        title: Title.
        coordinate: What is distributed, its unit in the picture, and the factor to it from the distributions' unit.
        theirs: The reference's.
        runs: Names and distributions of the runs.
    """
    if theirs is None or not theirs.by_types:
        return []
    what, unit, scale = coordinate
    png = draw_distributions(
        title, what, unit, theirs.by_types, [(run, each.by_types) for run, each in runs], scale=scale
    )
    caption = title if name != "torsions" else f"{title}; 180 degrees is trans"
    return [Plate(name=name, png=png, caption=caption, wide=len(theirs.by_types) > 1)]


def compare_shapes(
    kind: str, pairs: Mapping[str, tuple[Distribution, Distribution]], theirs: Distributions
) -> list[Metric]:
    """Divergence over all types, weighted by how many coordinates each has.

    Args:
        kind: What they are: "bond", "angle" or "torsion".
        pairs: The distributions of a simulation and of the reference by bead types.
        theirs: Those of the reference.
    """
    if not pairs:
        return []
    weights = np.array([each.n_samples for _, each in pairs.values()], dtype=np.float64)
    own = [theirs.half_js[name] for name in pairs if name in theirs.half_js]
    return [
        Metric(
            key=f"{kind}_js",
            label=f"{kind}s: Jensen-Shannon divergence",
            unit="bit",
            value=float(np.average([compute_js_divergence(*pair) for pair in pairs.values()], weights=weights)),
            reference_error=float(np.average(own, weights=weights)) if len(own) == len(pairs) else None,
        )
    ]
