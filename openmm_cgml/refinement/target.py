"""What a refinement needs to know of the part of a force field that it adjusts."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames

Row = Mapping[str, Any]
"""One line of the history: "round", the number of changes before, and what was measured."""


class Target(abc.ABC):
    """A part of a force field that changes from round to round.

    Attributes:
        force_field: With the present values.
    """

    provenance_key: ClassVar[str]
    """Where the manifest says that it was refined."""
    description: ClassVar[str]
    """What the description of a refined force field says."""
    force_field: ForceField

    @abc.abstractmethod
    def measure(self, frames: Frames, number: int) -> list[Row]:
        """Lines of the history for frames of a simulation after `number` changes, all with the same keys."""

    @abc.abstractmethod
    def change(self, frames: Frames, number: int) -> None:
        """Adjust `force_field` so that the next simulation is nearer to the reference.

        Raises:
            TrainingError: If the change is not finite.
        """

    @abc.abstractmethod
    def is_converged(self, rows: Sequence[Row]) -> bool:
        """Whether the lines of a round show that nothing is left to change."""

    @abc.abstractmethod
    def progress_of(self, rows: Sequence[Row]) -> float:
        """The number of a round's lines that progress shows."""

    @abc.abstractmethod
    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Tensors and plain JSON content from which `restore` goes on."""

    @abc.abstractmethod
    def restore(self, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
        """Take up what `state` returned."""

    def finished(self, record: Mapping[str, Any]) -> ForceField:
        """The force field with what is to be known of its refinement beside the values that were changed."""
        return self.force_field

    def draw(self, path: Path) -> bool:
        """Write a picture of before and after, and return whether there is one."""
        return False


def with_refined_priors(force_field: ForceField, record: Mapping[str, Any]) -> ForceField:
    """The force field whose priors carry the record of their refinement."""
    priors = force_field.priors
    priors = replace(priors, provenance={**priors.provenance, "refinement": dict(record)})
    return replace(force_field, priors=priors)
