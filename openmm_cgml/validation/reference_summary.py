"""ReferenceSummary: what is kept of a mapped atomistic run to validate simulations against."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from openmm_cgml.analysis.diffusion import ATOMISTIC_TIME
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.storage import digest_of_content, read_json, write_atomically
from openmm_cgml.topology import CGTopology
from openmm_cgml.validation.limits import ValidationLimits, check_limits, collect_limits
from openmm_cgml.validation.quantities import ENERGY, QUANTITIES
from openmm_cgml.validation.quantity import Quantity
from openmm_cgml.validation.reference_upgrades import upgrade_from_1, upgrade_from_2
from openmm_cgml.validation.trajectory_summary import TrajectorySummary, summarize_trajectory

SCHEMA = "openmm-cgml/reference-summary"
VERSION = 3
_ENTRIES = {"digest", "limits", "schema", "source", "system", "temperature", "trajectory", "version"}
_HOTTEST = 1e5


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceSummary(Result):
    """A mapped atomistic run, summarized.

    Attributes:
        system: Name of the system.
        temperature: Temperature of the run's thermostat [K].
        trajectory: Its quantities.
        limits: Limits for simulations of this system.
        source: Where the run comes from.
    """

    system: str
    temperature: float
    trajectory: TrajectorySummary
    limits: ValidationLimits
    source: Mapping[str, Any]

    @property
    def effective_samples(self) -> float | None:
        """Independent samples of the intermolecular energy in the run; None without energies."""
        energies = self.trajectory.get(ENERGY)
        known = {} if energies is None else energies.per_bead
        return next((known[name].n_effective for name in ("inter", "potential") if name in known), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain content with kind, version, and the digest of all of it."""
        content = {"schema": SCHEMA, "version": VERSION, **super().to_dict()}
        return {**content, "digest": _compute_digest(content)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], quantities: Sequence[Quantity[Any]] = QUANTITIES) -> Self:
        """The summary that `to_dict` wrote, or that an earlier release wrote without a digest.

        Args:
            content: What was written.
            quantities: Quantities whose parts are read; others are kept as they are.

        Raises:
            ArtifactError: If it is damaged, of another kind, or of a newer version.
        """
        if not isinstance(content, Mapping) or content.get("schema") != SCHEMA:
            schema = content.get("schema") if isinstance(content, Mapping) else None
            raise ArtifactError(f"not a reference summary (schema {str(schema)[:60]!r}, expected {SCHEMA!r})")
        current = _upgrade(content)
        found = cls(
            system=_read_system(current["system"]),
            temperature=_read_temperature(current["temperature"]),
            trajectory=TrajectorySummary.from_dict(current["trajectory"], quantities),
            limits=_read_limits(current["limits"]),
            source=_read_source(current["source"]),
        )
        found.check_ranges()
        return found


def summarize_reference(
    frames: Frames,
    topology: CGTopology,
    *,
    system: str,
    temperature: float,
    degrees_of_freedom: int | None = None,
    limits: Mapping[str, float] | None = None,
    source: Mapping[str, Any] | None = None,
    max_structure_frames: int = 2000,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> ReferenceSummary:
    """The summary of a mapped atomistic run.

    Args:
        frames: Mapped frames, with times and energies.
        topology: The beads.
        system: Name of the system.
        temperature: Temperature of the run's thermostat [K].
        degrees_of_freedom: Degrees of freedom of the *atoms* behind the energy "kinetic"; None if unknown.
        limits: Limits for simulations of this system, where they are others than the usual.
        source: Provenance: force field, protocol, versions.
        max_structure_frames: Most frames used for the distributions.
        quantities: What to compute.

    Raises:
        InputError: As `summarize_trajectory`, or if a limit is unknown.
    """
    check_limits(limits or (), quantities)
    return ReferenceSummary(
        system=system,
        temperature=temperature,
        trajectory=summarize_trajectory(
            frames,
            topology,
            time_scale=ATOMISTIC_TIME,
            degrees_of_freedom=degrees_of_freedom,
            max_structure_frames=max_structure_frames,
            quantities=quantities,
        ),
        limits=ValidationLimits(**{**collect_limits(quantities), **(limits or {})}),
        source=dict(source or {}),
    )


def write_reference_summary(path: str | os.PathLike[str], summary: ReferenceSummary) -> None:
    """Write a summary as JSON, `systems/<name>/reference.json`, replacing an older one atomically."""
    write_atomically(path, summary.to_json())


def read_reference_summary(
    path: str | os.PathLike[str], *, quantities: Sequence[Quantity[Any]] = QUANTITIES
) -> ReferenceSummary:
    """The summary that `write_reference_summary` wrote.

    Args:
        path: The file.
        quantities: Quantities whose parts are read; others are kept as they are.

    Raises:
        ArtifactError: If the file is missing, damaged, of another kind, or of a newer version.
    """
    content = read_json(path)
    try:
        return ReferenceSummary.from_dict(content, quantities)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error


def _upgrade(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Content of this version, whose digest is right; earlier versions have none."""
    version = content.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ArtifactError(
            f"version {str(version)[:20]!r}, and this release reads 1 to {VERSION}; update openmm-cgml, or write the "
            "file again"
        )
    if version < VERSION:
        return upgrade_from_2(upgrade_from_1(content) if version == 1 else content)
    if set(content) != _ENTRIES:
        off = ", ".join(sorted(set(content) ^ _ENTRIES))
        raise ArtifactError(f"entries missing or unknown: {off[:80]}; the file was edited or damaged")
    sealed = {key: value for key, value in content.items() if key != "digest"}
    if not _is_plain(sealed) or content["digest"] != _compute_digest(sealed):
        raise ArtifactError(
            "the content does not have the digest that was written with it; the file was edited or damaged: restore it "
            "or write it again"
        )
    return content


def _compute_digest(content: Mapping[str, Any]) -> str:
    """Sha256 of content as it is when it was read back."""
    return digest_of_content(json.loads(json.dumps(content, allow_nan=False)))


def _is_plain(value: Any) -> bool:
    """Whether content that was read can be written again: 1e999 is read as infinity, half a character as text."""
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return True


def _read_system(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise ArtifactError(f"system {str(value)[:60]!r} is not a name; the file was edited or damaged")
    return value


def _read_temperature(value: Any) -> float:
    if type(value) not in (int, float) or not 0 < value < _HOTTEST:
        raise ArtifactError(f"temperature {str(value)[:60]} is none in K; the file was edited or damaged")
    return float(value)


def _read_limits(value: Any) -> ValidationLimits:
    if not isinstance(value, Mapping):
        raise ArtifactError("limits are not numbers by name; the file was edited or damaged")
    try:
        return ValidationLimits(**value)
    except InputError as error:
        raise ArtifactError(f"{error}; the file was edited or damaged") from error


def _read_source(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not _is_plain(value):
        raise ArtifactError("source is not an object of texts and numbers; the file was edited or damaged")
    return dict(value)
