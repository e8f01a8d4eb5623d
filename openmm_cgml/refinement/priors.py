"""Bonded and pair priors adjusted together, in the same simulations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.refinement.bonded import BondedTarget
from openmm_cgml.refinement.config import PriorsRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.pair import PairTarget
from openmm_cgml.refinement.target import Row, Target, with_refined_priors


class PriorsTarget(Target):
    """All priors. Its rows are those of `BondedTarget` and then those of `PairTarget`.

    Args:
        force_field: A fitted force field; it is not changed.
        ensemble: The reference.
        config: Settings.

    Raises:
        InputError: If the force field has no bonded or no pair priors.
    """

    provenance_key: ClassVar[str] = "priors_refinement"
    description: ClassVar[str] = (
        "Bonded and pair priors refined in simulations after the fit towards one half of the reference; the structure "
        'of the other half is an independent test. Errors of forces under "Training" are those before this step.'
    )

    def __init__(self, force_field: ForceField, ensemble: Ensemble, config: PriorsRefinementConfig) -> None:
        self.force_field = force_field
        self._bonded = BondedTarget(force_field, ensemble, config.bonded)
        self._pairs = PairTarget(force_field, ensemble, config)

    @property
    def _targets(self) -> tuple[Target, ...]:
        return self._bonded, self._pairs

    def measure(self, frames: Frames, number: int) -> list[Row]:
        """See `Target.measure`."""
        return [row for target in self._targets for row in target.measure(frames, number)]

    def change(self, frames: Frames, number: int) -> None:
        """See `Target.change`."""
        for target in self._targets:
            target.force_field = self.force_field
            target.change(frames, number)
            self.force_field = target.force_field
        self._pass_on()

    def _pass_on(self) -> None:
        for target in self._targets:
            target.force_field = self.force_field

    def is_converged(self, rows: Sequence[Row]) -> bool:
        """See `Target.is_converged`."""
        return all(row["converged"] for row in rows)

    def progress_of(self, rows: Sequence[Row]) -> float:
        """See `PairTarget.progress_of`."""
        return self._pairs.progress_of([row for row in rows if "all_gr_judged" in row])

    def finished(self, record: Mapping[str, Any]) -> ForceField:
        """See `Target.finished`; the priors say so too."""
        return with_refined_priors(self.force_field, record)

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `Target.state`."""
        return {}, {key: value for target in self._targets for key, value in target.state()[1].items()}

    def restore(self, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
        """See `Target.restore`."""
        for target in self._targets:
            target.restore(tensors, content)
        self.force_field = self._pairs.force_field

    def draw(self, path: Path) -> bool:
        """See `BondedTarget.draw`."""
        return self._bonded.draw(path)
