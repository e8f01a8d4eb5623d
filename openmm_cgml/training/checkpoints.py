"""Checkpoints of a training: written whole or not at all, verified before they are read, the two newest kept.

A checkpoint is a pair of files: `step-<n>.ckpt`, Lightning's own format (private to this machine, read with
`weights_only=True`), and `step-<n>.json` with its sha256, the step, and digests of everything that must not change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.storage import read_object, refusing_damage, sha256_of, sync_directory, sync_file, write_sealed_json

SCHEMA = "openmm-cgml/training-checkpoint/1"
GENERATIONS = 2


@dataclass(frozen=True, kw_only=True)
class TrainingCheckpoint:
    """A verified checkpoint.

    Attributes:
        path: Lightning's file.
        step: Optimizer steps done.
        rejected: Why newer checkpoints were passed over, one message each.
    """

    path: Path
    step: int
    rejected: tuple[str, ...]


def write_checkpoint(folder: Path, step: int, identity: Mapping[str, str], save: Callable[[str], None]) -> None:
    """Write a checkpoint and drop all but the newest two.

    Args:
        folder: Folder of the checkpoints.
        step: Optimizer steps done.
        identity: Digests of everything that must not change on resuming.
        save: Writes Lightning's checkpoint to a path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{step:09d}.ckpt"
    temporary = folder / f".{target.name}.tmp"
    try:
        save(str(temporary))
        sync_file(temporary)
        digest = sha256_of(temporary)
        # The description goes last: without it the file is not a checkpoint, and with another one's it fails the sum.
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(folder)
    write_sealed_json(
        target.with_suffix(".json"), {"schema": SCHEMA, "sha256": digest, "step": step, "identity": dict(identity)}
    )
    for old in _generations(folder)[GENERATIONS:]:
        old.unlink(missing_ok=True)
        old.with_suffix(".ckpt").unlink(missing_ok=True)


def find_checkpoint(folder: Path, identity: Mapping[str, str]) -> TrainingCheckpoint | None:
    """The newest whole checkpoint, or None if there is none.

    Args:
        folder: Folder of the checkpoints.
        identity: Digests of the fit that wants to go on.

    Raises:
        InputError: If the checkpoint belongs to other data, priors or settings; the message is a table.
        ArtifactError: If there are checkpoints and none is whole.
    """
    rejected: list[str] = []
    for description in _generations(folder):
        try:
            content = _verified(description)
        except ArtifactError as error:
            rejected.append(str(error))
            continue
        _check_identity(content["identity"], identity, description.parent)
        return TrainingCheckpoint(
            path=description.with_suffix(".ckpt"), step=int(content["step"]), rejected=tuple(rejected)
        )
    if rejected:
        raise ArtifactError(f"{folder}: no usable checkpoint; start again with --overwrite. " + "; ".join(rejected))
    return None


def _generations(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.json"), reverse=True)


def _step_of(description: Path) -> int:
    return int(description.stem.removeprefix("step-"))


def _verified(description: Path) -> dict[str, Any]:
    content = read_object(description)
    if content.get("schema") != SCHEMA:
        raise ArtifactError(f"{description}: schema {content.get('schema')!r}, this version reads {SCHEMA!r}")
    with refusing_damage(description):
        if not isinstance(content["identity"], dict) or int(content["step"]) != _step_of(description):
            raise ValueError(f"step {content['step']!r} in a file of that name")
    path = description.with_suffix(".ckpt")
    if not path.is_file():
        raise ArtifactError(f"{path} is missing")
    digest = sha256_of(path)
    if digest != content.get("sha256"):
        raise ArtifactError(
            f"{path}: sha256 is {digest[:12]}..., recorded is {str(content.get('sha256'))[:12]}...; it is damaged"
        )
    return content


def _check_identity(stored: Mapping[str, str], given: Mapping[str, str], folder: Path) -> None:
    different = sorted(key for key in {*stored, *given} if stored.get(key) != given.get(key))
    if not different:
        return
    rows = [("", "checkpoint", "now"), *((key, stored.get(key, "-"), given.get(key, "-")) for key in different)]
    widths = [max(len(row[i][:40]) for row in rows) for i in range(3)]
    table = "\n".join("  " + "  ".join(cell[:40].ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
    raise InputError(
        f"{folder}: the checkpoint belongs to another fit; it differs in\n{table}\n"
        "Restore these to resume, or start again with --overwrite"
    )
