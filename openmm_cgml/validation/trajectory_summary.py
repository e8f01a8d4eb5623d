"""TrajectorySummary: every quantity of one trajectory of beads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast

from openmm_cgml.analysis.diffusion import CG_TIME
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology
from openmm_cgml.validation.quantities import QUANTITIES
from openmm_cgml.validation.quantity import Quantity, R
from openmm_cgml.validation.trajectory import take_trajectory


@dataclass(frozen=True, eq=False, kw_only=True)
class TrajectorySummary(Result):
    """One trajectory, summarized.

    Attributes:
        n_frames: Frames of the trajectory.
        n_structure_frames: Frames used for distributions, evenly taken from the trajectory.
        n_beads: Beads.
        n_molecules: Molecules.
        chain_lengths: Numbers of beads of the linear chains, rising; empty without chains.
        duration: Time from the first to the last frame [ps]; None without times.
        parts: Results of the quantities by their keys, without those that the trajectory does not have.
        unread: Parts of a file, as they are there, of quantities that are not known here.
    """

    n_frames: int
    n_structure_frames: int
    n_beads: int
    n_molecules: int
    chain_lengths: tuple[int, ...]
    duration: float | None
    parts: Mapping[str, Result]
    unread: Mapping[str, Any] = field(default_factory=dict)

    def get(self, quantity: Quantity[R]) -> R | None:
        """The result of a quantity; None where the trajectory, or an older file, does not have it."""
        return cast("R | None", self.parts.get(quantity.key))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers, texts and dicts; parts that were not understood as they were read."""
        content = super().to_dict()
        unread = content.pop("unread")
        return {**content, "parts": {**unread, **content["parts"]}}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], quantities: Sequence[Quantity[Any]] = QUANTITIES) -> Self:
        """The summary that `to_dict` wrote.

        Args:
            content: What was written; parts of unknown quantities are kept as they are.
            quantities: Quantities whose parts are read.

        Raises:
            ArtifactError: If an entry is missing, unknown, of another kind, or out of its range.
        """
        stored = content.get("parts") if isinstance(content, Mapping) else None
        if not isinstance(stored, Mapping) or "unread" in content:
            raise ArtifactError(f"{cls.__name__}: no parts by their keys; the file was edited or damaged")
        known = {quantity.key: quantity for quantity in quantities}
        facts = super().from_dict({**content, "parts": {}})
        parts = {key: known[key].restore(part) for key, part in stored.items() if key in known}
        unread = {key: part for key, part in stored.items() if key not in known}
        return cls(**{**vars(facts), "parts": parts, "unread": unread})

    def check_ranges(self) -> None:
        """Refuse counts that contradict one another."""
        self.require(self.n_frames >= 2, "n_frames", "two or more")
        self.require(1 <= self.n_structure_frames <= self.n_frames, "n_structure_frames", f"1 to {self.n_frames}")
        self.require(self.n_beads >= 1, "n_beads", "one or more")
        self.require(1 <= self.n_molecules <= self.n_beads, "n_molecules", f"1 to {self.n_beads}")
        within = all(2 <= length <= self.n_beads for length in self.chain_lengths)
        rising = list(self.chain_lengths) == sorted(set(self.chain_lengths))
        self.require(within and rising, "chain_lengths", f"rising numbers from 2 to {self.n_beads}")
        self.require(self.duration is None or self.duration > 0, "duration", "positive")


def summarize_trajectory(
    frames: Frames,
    topology: CGTopology,
    *,
    time_scale: str = CG_TIME,
    degrees_of_freedom: int | None = None,
    max_structure_frames: int = 1000,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> TrajectorySummary:
    """Every quantity of a trajectory.

    Args:
        frames: Frames of beads in a periodic box, positions unwrapped and molecules whole.
        topology: The beads.
        time_scale: "CG time", or "atomistic time" for a mapped reference.
        degrees_of_freedom: Degrees of freedom behind the energy "kinetic"; None leaves the temperature out.
        max_structure_frames: Most frames used for the distributions; large boxes use fewer.
        quantities: What to compute.

    Raises:
        InputError: If there is no box, the beads differ from the topology's, there are fewer than two frames, the
            positions were wrapped, or two quantities have one key.
    """
    trajectory = take_trajectory(
        frames,
        topology,
        time_scale=time_scale,
        degrees_of_freedom=degrees_of_freedom,
        max_structure_frames=max_structure_frames,
    )
    found: dict[str, Result | None] = {}
    for quantity in quantities:
        if quantity.key in found:
            raise InputError(f"two quantities named {quantity.key!r}; give one of them another key, or leave it out")
        found[quantity.key] = quantity.compute(trajectory)
    return TrajectorySummary(
        n_frames=len(frames),
        n_structure_frames=len(trajectory.sample),
        n_beads=topology.n_beads,
        n_molecules=topology.n_molecules,
        chain_lengths=trajectory.chain_lengths,
        duration=None if frames.times is None else float(frames.times[-1] - frames.times[0]),
        parts={key: part for key, part in found.items() if part is not None},
    )
