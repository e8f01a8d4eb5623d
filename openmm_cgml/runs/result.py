"""What a finished simulation reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError
from openmm_cgml.storage import read_object, write_sealed_json

RESULT = "result.json"
SCHEMA = "openmm-cgml/simulation-result/1"
COMPLETE, INTERRUPTED, UNSTABLE = "complete", "interrupted", "unstable"
UNFINISHED = "unfinished"
"""Status of a run that was killed, which left no result."""


@dataclass(frozen=True, kw_only=True)
class SimulationResult:
    """The outcome of a simulation.

    Attributes:
        output: Folder of the run.
        status: "complete", "interrupted" or "unstable".
        steps: Steps done.
        time: Simulated time ("CG time") [ps].
        n_frames: Recorded frames, of each replica.
        wall_time: Time spent in steps and output, over all resumed parts [s].
        steps_per_second: Mean speed.
        ns_per_day: Mean speed [ns/day], of all replicas together.
        mean_temperature: Mean over the last four fifths of the frames [K]; None without frames.
        temperature_error: Standard error of that mean, from its correlation time [K]; None with too few frames.
        mean_potential_energy: Mean per bead over the same frames [kJ/mol]; None without frames.
        largest_bond_deviation: Largest relative deviation of a bond from its reference length; None without bonds.
        mean_density: Mean over those frames [g/cm^3]; None without a box.
        density_error: Standard error of that mean; None with too few frames.
        mean_pressure: Mean over those frames [bar]; None without a box and with beads that do not move.
        pressure_error: Standard error of that mean; None with too few frames.
        closest_contact: Smallest distance between molecules as a fraction of the closest approach in the training data,
            1 if none was smaller; None where that approach is not known.
        reason: What was seen if the simulation is unstable, else None.
        notes: Remarks worth a reader's time.
        n_replicas: Independent copies that ran together; the numbers are over all of them.
    """

    output: Path
    status: str
    steps: int
    time: float
    n_frames: int
    wall_time: float
    steps_per_second: float
    ns_per_day: float
    mean_temperature: float | None
    temperature_error: float | None
    mean_potential_energy: float | None
    largest_bond_deviation: float | None
    closest_contact: float | None
    mean_density: float | None = None
    density_error: float | None = None
    mean_pressure: float | None = None
    pressure_error: float | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    n_replicas: int = 1

    def write(self) -> None:
        """Write `result.json` into the run's folder."""
        content = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "output"}
        write_sealed_json(self.output / RESULT, {**content, "notes": list(self.notes), "schema": SCHEMA})

    @classmethod
    def read(cls, output: Path) -> SimulationResult:
        """The result in a run's folder.

        Raises:
            ArtifactError: If there is none, or it is damaged.
        """
        content: dict[str, Any] = read_object(output / RESULT)
        if content.pop("schema", None) != SCHEMA:
            raise ArtifactError(f"{output / RESULT}: not a result of schema {SCHEMA!r}")
        try:
            return cls(output=output, **{**content, "notes": tuple(content["notes"])})
        except (TypeError, KeyError) as error:
            raise ArtifactError(f"{output / RESULT}: fields are missing or unknown ({error})") from error


def combine_replicas(output: Path, results: Sequence[SimulationResult]) -> SimulationResult:
    """The result of a run from those of its replicas.

    Args:
        output: Folder of the run.
        results: One of each replica.
    """
    return replace(
        results[0],
        output=output,
        ns_per_day=sum(result.ns_per_day for result in results),
        mean_temperature=_mean(_known(result.mean_temperature for result in results)),
        temperature_error=_error(_known(result.temperature_error for result in results)),
        mean_potential_energy=_mean(_known(result.mean_potential_energy for result in results)),
        mean_density=_mean(_known(result.mean_density for result in results)),
        density_error=_error(_known(result.density_error for result in results)),
        mean_pressure=_mean(_known(result.mean_pressure for result in results)),
        pressure_error=_error(_known(result.pressure_error for result in results)),
        largest_bond_deviation=max(_known(result.largest_bond_deviation for result in results), default=None),
        closest_contact=min(_known(result.closest_contact for result in results), default=None),
        n_replicas=len(results),
    )


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _error(errors: list[float]) -> float | None:
    """Error of the mean of independent values with these errors."""
    return math.hypot(*errors) / len(errors) if errors else None
