"""Checkpoints that notice damage: OpenMM's own bytes inside an envelope of checksums and portable arrays.

OpenMM loads truncated, bit-flipped and foreign checkpoints without a word, so nothing reaches it here before every
byte has been verified. A checkpoint is a folder `step-<n>`:

    state.safetensors   positions [nm], velocities [nm/ps], box [nm], all float64: readable anywhere
    context.chk         OpenMM's own checkpoint, exact where platform and version agree
    meta.json           step, fingerprints, versions, offsets and digests of the output files
    SHA256SUMS          digests of the three (`sha256sum -c SHA256SUMS` reads it)

It is written under a temporary name, flushed to disk and renamed; the two newest are kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from openmm_cgml.errors import ArtifactError
from openmm_cgml.storage import read_object, refusing_damage, sha256_of, sync_directory

SCHEMA = "openmm-cgml/checkpoint/1"
GENERATIONS = 2
_STATE, _CONTEXT, _META, _SUMS = "state.safetensors", "context.chk", "meta.json", "SHA256SUMS"


@dataclass(frozen=True, eq=False, kw_only=True)
class Checkpoint:
    """A point from which a simulation goes on.

    Attributes:
        step: Steps done.
        positions: Bead positions, unwrapped [nm], shape (n_beads, 3), float64.
        velocities: Bead velocities as the integrator keeps them [nm/ps], shape (n_beads, 3), float64.
        box: Box vectors [nm], shape (3, 3), or None without periodic boundaries.
        context: OpenMM's own checkpoint.
        meta: Everything else: fingerprints, versions, and where the output files stood.
    """

    step: int
    positions: np.ndarray
    velocities: np.ndarray
    box: np.ndarray | None
    context: bytes
    meta: Mapping[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into `folder`, drop all but the newest two, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{checkpoint.step:012d}"
    temporary = folder / f".{target.name}.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        _write_members(temporary, checkpoint)
        if target.exists():  # the same step again, after falling back to an older generation
            shutil.rmtree(target)
        os.replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_directory(folder)
    for old in _generations(folder)[GENERATIONS:]:
        shutil.rmtree(old)
    return target


def _write_members(folder: Path, checkpoint: Checkpoint) -> None:
    arrays = {"positions": checkpoint.positions, "velocities": checkpoint.velocities}
    if checkpoint.box is not None:
        arrays["box"] = checkpoint.box
    meta = {**checkpoint.meta, "schema": SCHEMA, "step": checkpoint.step}
    _write(folder / _STATE, save({k: np.ascontiguousarray(v, dtype=np.float64) for k, v in arrays.items()}))
    _write(folder / _CONTEXT, checkpoint.context)
    _write(folder / _META, json.dumps(meta, indent=2, sort_keys=True, allow_nan=False).encode())
    _write(folder / _SUMS, _checksums(folder).encode())


def _write(path: Path, data: bytes) -> None:
    """Write a file and flush it to disk; the rename of its folder makes it appear."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _checksums(folder: Path) -> str:
    return "".join(f"{sha256_of(folder / name)}  {name}\n" for name in (_CONTEXT, _META, _STATE))


def discard_newer(folder: Path, step: int) -> None:
    """Delete the checkpoints after `step`, which no longer fit the files of a run that goes on from there."""
    for path in _generations(folder):
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)


def _generations(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob("step-" + "[0-9]" * 12) if path.is_dir()), reverse=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in the folder `path`, after every byte of it was verified.

    Raises:
        ArtifactError: If a file is missing or differs from what was written.
    """
    try:
        if (path / _SUMS).read_bytes() != _checksums(path).encode():
            raise ArtifactError(f"{path}: a checksum does not match {_SUMS}; the checkpoint is damaged")
        meta = read_object(path / _META)
        if meta.get("schema") != SCHEMA:
            raise ArtifactError(f"{path}: schema {meta.get('schema')!r}, this version reads {SCHEMA!r}")
        arrays = load_file(path / _STATE)
        context = (path / _CONTEXT).read_bytes()
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: incomplete ({error})") from error
    with refusing_damage(path):
        _check_content(path, meta, arrays)
        return Checkpoint(
            step=meta["step"],
            positions=arrays["positions"],
            velocities=arrays["velocities"],
            box=arrays.get("box"),
            context=context,
            meta=meta,
        )


def _check_content(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Check that a checkpoint is that of its folder's name, and that its numbers are numbers."""
    if type(meta["step"]) is not int or meta["step"] != int(path.name.removeprefix("step-")):
        raise ArtifactError(f"{path}: holds step {meta['step']!r}; the folder was renamed or damaged")
    shapes = {name: array.shape for name, array in arrays.items()}
    n = shapes["positions"][0]
    if {**shapes, "box": (3, 3)} != {"positions": (n, 3), "velocities": (n, 3), "box": (3, 3)}:
        raise ArtifactError(f"{path}: arrays of shapes {shapes}; it is damaged")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ArtifactError(f"{path}: {name} hold NaN or infinity; it is damaged")


def find_checkpoint(
    folder: Path, check: Callable[[Checkpoint], None] = lambda checkpoint: None
) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole and passes `check`, and why newer ones were passed over.

    Args:
        folder: The folder of checkpoints.
        check: Raises `ArtifactError` for a checkpoint that does not fit the output files.

    Returns:
        The checkpoint, or None if the folder holds none; and one message per rejected generation.

    Raises:
        ArtifactError: If there are checkpoints and none can be used.
    """
    rejected: list[str] = []
    for path in _generations(folder):
        try:
            checkpoint = read_checkpoint(path)
            check(checkpoint)
        except ArtifactError as error:
            rejected.append(str(error))
        else:
            return checkpoint, rejected
    if rejected:
        raise ArtifactError(f"{folder}: no usable checkpoint; start again with --overwrite. " + "; ".join(rejected))
    return None, rejected
