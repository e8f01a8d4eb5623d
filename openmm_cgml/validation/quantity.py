"""Quantity: something that a simulation is compared in, from its computation to its place in the report."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import InputError
from openmm_cgml.validation.limits import ValidationLimits

if TYPE_CHECKING:
    from openmm_cgml.validation.metric import Metric
    from openmm_cgml.validation.reference_summary import ReferenceSummary
    from openmm_cgml.validation.report.plate import Plate
    from openmm_cgml.validation.trajectory import Trajectory
    from openmm_cgml.validation.trajectory_summary import TrajectorySummary

R = TypeVar("R", bound=Result)


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """A simulation beside its reference.

    Attributes:
        summary: The simulation.
        reference: The reference.
        limits: Every limit of the quantities that are compared.
    """

    summary: TrajectorySummary
    reference: ReferenceSummary
    limits: Mapping[str, float]

    @property
    def of_chains(self) -> bool:
        """Whether both have linear chains."""
        return bool(self.summary.chain_lengths and self.reference.trajectory.chain_lengths)


class Quantity(ABC, Generic[R]):
    """Something that simulations are compared in: what is computed, compared, written and drawn of it.

    A quantity is a member of `QUANTITIES`, or is given to the functions of `validation` in a tuple of one's own. Its
    result is its part of a summary. A part that a file lacks is not compared; fields that are added to a result later
    have a default, so that older files are read.

    Attributes:
        key: Name of its part in a summary; never changed, since files carry it.
        result: Class of its result.
        limits: Usual limits of its metrics by name.
    """

    key: ClassVar[str]
    result: ClassVar[type[Result]]
    limits: ClassVar[ValidationLimits] = ValidationLimits()

    @abstractmethod
    def compute(self, trajectory: Trajectory) -> R | None:
        """The quantity of a trajectory; None where it has none, such as chains in a liquid of dumbbells.

        Args:
            trajectory: Frames of a simulation, or mapped frames of a reference.
        """

    @abstractmethod
    def compare(self, ours: R, theirs: R | None, comparison: Comparison) -> list[Metric]:
        """The metrics of a simulation.

        Args:
            ours: The simulation's.
            theirs: The reference's; None where it has none.
            comparison: All else of both, and the limits.

        Raises:
            InputError: If the two are of different systems.
        """

    def collect_notes(self, ours: R, theirs: R | None, comparison: Comparison) -> list[str]:
        """What a reader of the metrics should know; nothing if not overridden."""
        return []

    def compare_runs(self, runs: Sequence[tuple[TrajectorySummary, R]], limits: Mapping[str, float]) -> list[Metric]:
        """Metrics that compare runs with one another; none if not overridden."""
        return []

    def draw(self, runs: Sequence[tuple[str, R]], reference: ReferenceSummary) -> list[Plate]:
        """Pictures of the runs that have the quantity, by name; none if not overridden."""
        return []

    def restore(self, content: Mapping[str, Any]) -> Result:
        """The result that was written as its part of a summary.

        Raises:
            ArtifactError: If it is damaged.
        """
        return self.result.from_dict(content)


def check_same_types(what: str, ours: Mapping[str, object], theirs: Mapping[str, object]) -> None:
    """Refuse a simulation that lacks what the reference has by bead types.

    Raises:
        InputError: If bead types of the reference are missing.
    """
    if not set(theirs) <= set(ours):
        raise InputError(
            f"the reference has {what} of {sorted(theirs)}, the simulation of {sorted(ours)}; they are different "
            "systems: choose the reference of this system"
        )
