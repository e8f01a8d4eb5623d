"""`simulation.json`: what a run was asked to do, with what, and the parts that it was done in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError
from openmm_cgml.storage import read_object, write_sealed_json
from openmm_cgml.versions import versions_of

RECORD = "simulation.json"
SCHEMA = "openmm-cgml/simulation/1"
_KIND = SCHEMA.rpartition("/")[0]
_PACKAGES = ("openmm-cgml", "openmm", "torch", "openmmtorch", "numpy")


@dataclass(frozen=True, eq=False, kw_only=True)
class RunRecord:
    """What a run was asked to do, and with what.

    Attributes:
        config: Settings by name.
        n_steps: Steps of the whole run.
        steps_per_frame: Steps between frames.
        n_beads: Beads of one replica.
        degrees_of_freedom: Of one replica, those that carry kinetic energy.
        box: Box vectors at the start [nm], three rows, or None.
        topology_fingerprint: Of the beads.
        system_fingerprint: Of the System.
        segments: One entry for the start and each resumed part: step, mode, platform and versions.
        notes: Remarks worth a reader's time.
        replica: Number of the replica whose record this is; None for that of a whole run.
        force_field: Name of the force field.
        ml_backend: How its network is evaluated.
        others: Further entries.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    n_steps: int | None = None
    steps_per_frame: int | None = None
    n_beads: int | None = None
    degrees_of_freedom: int | None = None
    box: list[list[float]] | None = None
    topology_fingerprint: str | None = None
    system_fingerprint: str | None = None
    segments: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    replica: int | None = None
    force_field: str | None = None
    ml_backend: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replicas(self) -> int:
        """Independent copies that run together."""
        return int(self.config.get("replicas", 1))

    @property
    def last_segment(self) -> Mapping[str, Any]:
        """The entry of the last part; empty if there is none."""
        return self.segments[-1] if self.segments else {}

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the packages that the last part ran with."""
        versions: Mapping[str, str] = self.last_segment.get("versions", {})
        return versions

    @property
    def platform(self) -> str | None:
        """OpenMM platform of the last part."""
        return self.last_segment.get("platform")

    def to_dict(self) -> dict[str, Any]:
        """The content of the file."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "others"}
        optional = {name: known.pop(name) for name in ("replica", "force_field", "ml_backend")}
        present = {name: value for name, value in optional.items() if value is not None}
        lists = {"segments": [dict(entry) for entry in self.segments], "notes": list(self.notes)}
        return {**self.others, **known, **present, **lists, "config": dict(self.config), "schema": SCHEMA}

    def write(self, path: Path) -> None:
        """Write `simulation.json`."""
        write_sealed_json(path, self.to_dict())

    @classmethod
    def read(cls, path: Path) -> RunRecord:
        """The record in the file `path`.

        Raises:
            ArtifactError: If it is missing, damaged or something else.
        """
        content = read_object(path)
        schema = content.pop("schema", SCHEMA)
        if not str(schema).startswith(_KIND + "/"):
            raise ArtifactError(f"{path}: schema {schema!r} is none of this program's")
        names = {f.name for f in fields(cls)} - {"others"}
        known = {name: content.pop(name) for name in names & content.keys()}
        known |= {name: tuple(known[name]) for name in ("segments", "notes") if name in known}
        if not isinstance(known.get("config", {}), dict):
            raise ArtifactError(f"{path}: config is {known['config']!r}; settings by name are needed")
        return cls(**known, others=content)


def collect_versions() -> dict[str, str]:
    """Versions of the packages that decide what a run computes, by name."""
    return versions_of(_PACKAGES)
