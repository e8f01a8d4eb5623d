"""What a force field says about itself: `manifest.json`, its schema version, and upgrades of older ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field, field_validator

from openmm_cgml.config import Config, Density, Temperature, Time
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.storage import digest_of_content

SCHEMA = "openmm-cgml/force-field"
VERSION = (1, 1)
"""Major and minor version of the format written here; a reader refuses a newer major and ignores newer additions."""
CHAINS = "chains"
_LONGEST_NAME = 200
ARCHITECTURES = "architectures"
KNOWN_FEATURES = frozenset({CHAINS, ARCHITECTURES})
"""What an artifact may require a reader to understand: molecules of several residues, and others than chains."""

Document = dict[str, Any]
UPGRADES: Mapping[int, Callable[[Document, dict[str, bytes]], tuple[Document, dict[str, bytes]]]] = MappingProxyType({})
"""Major version n -> function from (manifest, files by name) of format n to those of format n + 1."""


class TrainingSummary(Config):
    """Where a force field comes from: the data behind it and the settings it was trained with."""

    temperature: Temperature
    """Temperature of the reference [K]; forces at another temperature are an extrapolation."""
    density: Density | None = None
    """Density of the reference [g/cm^3], of several boxes the mean; the default for new boxes."""
    dataset: str = ""
    """Fingerprint of the dataset; of several separated by commas."""
    n_frames: int = Field(default=0, ge=0)
    """Frames trained on."""
    n_molecules: int = Field(default=0, ge=0)
    """Molecules per frame."""
    closest_approach: dict[str, float] = Field(default_factory=dict)
    """Smallest intermolecular distance seen for each pair of bead types, key "A-B", [nm]."""
    conformations: dict[str, Any] = Field(default_factory=dict)
    """Histograms of angles and torsions of the chains in the data, as `dataset.Conformations` writes them."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The resolved training configuration."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """Errors on held-out data."""


class RecommendedSteps(Config):
    """The time steps that a force field was seen to hold, in simulations at the temperature of its data."""

    time_step: Time = Field(gt=0)
    """Integration step of the priors [ps], and of everything else unless `network_interval` says otherwise."""
    network_interval: int = Field(default=1, ge=1)
    """Steps of the priors per evaluation of the network."""
    temperature: Temperature | None = None
    """Mean temperature of those simulations [K]."""
    stable: str = ""
    """How many of them were stable, and for how long."""


class Manifest(Config):
    """Name, origin and validation of a force field, and the conventions a reader must share.

    Raises:
        InputError: On construction with a value that does not fit.
    """

    name: str = Field(min_length=1)
    description: str = ""
    license: str = ""
    limitations: str = ""
    """What the force field is not good for."""
    training: TrainingSummary | None = None
    validation: dict[str, Any] | None = None
    """Metrics of simulations with this force field; None means that it was trained but not validated."""
    recommended_steps: RecommendedSteps | None = None
    """Time steps from simulations; None leaves them to the stiffest prior."""
    energy_offsets: dict[str, float] = Field(default_factory=dict)
    """Energy per bead removed in training, by bead type [kJ/mol]; not part of the energies in OpenMM."""
    prior_location: Literal["native"] = "native"
    """Priors are native OpenMM forces and never inside the network, so each is counted once."""
    provenance: dict[str, Any] = Field(default_factory=dict)
    """Versions of the software that wrote it, and anything else worth keeping."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name.isprintable() or len(name) > _LONGEST_NAME:
            raise ValueError(f"{name[:40]!r} is no name: one line of at most {_LONGEST_NAME} printable characters is")
        return name


def write_document(
    manifest: Manifest, content: Mapping[str, Any], files: Mapping[str, bytes], *, features: Sequence[str] = ()
) -> bytes:
    """Text of `manifest.json`.

    Args:
        manifest: The description.
        content: Further entries (bead types, residue and chain templates).
        files: Content of the files beside it; their sizes and checksums are recorded.
        features: Those of `KNOWN_FEATURES` that a reader needs.

    Raises:
        InputError: If a value is not finite or has no place in JSON.
    """
    document: Document = {
        "schema": SCHEMA,
        "version": list(VERSION),
        "required_features": list(features),
        "files": {
            name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
        },
        **manifest.model_dump(exclude={} if manifest.recommended_steps else {"recommended_steps"}),
        **content,
    }
    try:
        document["digest"] = digest_of(document)
    except (TypeError, ValueError) as error:
        raise InputError(f"manifest of {manifest.name!r}: {error}; give texts and finite numbers only") from error
    return (json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def digest_of(document: Mapping[str, Any]) -> str:
    """Sha256 of a manifest's content without its own digest."""
    return digest_of_content({key: value for key, value in document.items() if key != "digest"})


def check_version(document: object, *, name: str) -> int:
    """The major version of a manifest that this package can read or upgrade.

    Raises:
        ArtifactError: If it is no manifest of ours, newer, or requires a feature unknown here.
    """
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise ArtifactError(f"{name}: schema is {found!r}, not {SCHEMA!r}; this is not a force field of openmm_cgml")
    version = document.get("version")
    if not (isinstance(version, list) and len(version) == 2 and all(type(v) is int and v >= 0 for v in version)):
        raise ArtifactError(f"{name}: version is {version!r}, not [major, minor]; the file was edited or damaged")
    if version[0] > VERSION[0]:
        raise ArtifactError(
            f"{name}: written in format {version[0]}.{version[1]}, this version reads up to {VERSION[0]}.x; "
            "upgrade with `pip install --upgrade openmm-cgml`"
        )
    features = document.get("required_features", [])
    unknown = sorted(set(map(str, features)) - KNOWN_FEATURES) if isinstance(features, list) else [str(features)]
    if unknown:
        raise ArtifactError(
            f"{name}: needs {', '.join(unknown)}, which this version does not know; "
            "upgrade with `pip install --upgrade openmm-cgml`"
        )
    return int(version[0])


def upgrade(document: Document, files: dict[str, bytes], *, name: str) -> tuple[Document, dict[str, bytes]]:
    """Manifest and files brought to the present major version by the functions of `UPGRADES`.

    Raises:
        ArtifactError: If no function leads from the version found.
    """
    for major in range(int(document["version"][0]), VERSION[0]):
        if major not in UPGRADES:
            raise ArtifactError(f"{name}: format {major} is older than any this version can upgrade; fit it again")
        document, files = UPGRADES[major](document, files)
    return document, files


def read_manifest(document: Mapping[str, Any], *, name: str) -> Manifest:
    """The `Manifest` in the content of a `manifest.json`; entries of a newer minor version are left out.

    Raises:
        ArtifactError: If a value does not fit.
    """
    values = _known(Manifest, document)
    if isinstance(values.get("name"), str):
        values["name"] = _printable(values["name"])
    if isinstance(values.get("training"), dict):
        values["training"] = _known(TrainingSummary, values["training"])
    try:
        return Manifest(**values)
    except (InputError, TypeError) as error:
        raise ArtifactError(f"{name}: {error}") from error


def _printable(name: str) -> str:
    """A name in one line of printable characters; releases before names were checked may have written others."""
    shown = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return shown[:_LONGEST_NAME] or "unnamed"


def _known(cls: type[Config], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in cls.model_fields}
