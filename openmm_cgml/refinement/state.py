"""Where a refinement stands, on disk: tensors and numbers sealed in one file, and the file of the round before."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from openmm_cgml.errors import ArtifactError
from openmm_cgml.storage import parse_json, refusing_damage, seal, unseal, write_atomically

STATE, PREVIOUS = "state.safetensors", "state-previous.safetensors"
_SEALED = "sealed_content"
_UNSEALED = {"history", "priors", "first"}  # what earlier releases wrote


def write_state(folder: Path, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
    """Write the state after a round, and keep that of the round before.

    Args:
        folder: Output folder of the refinement.
        tensors: Weights, positions, velocities and the like.
        content: JSON content beside them.
    """
    sealed = seal({**content, "tensors": _digests(tensors)})
    data = safetensors.torch.save(dict(tensors), {_SEALED: json.dumps(sealed, allow_nan=False)})
    if (folder / STATE).exists():
        os.replace(folder / STATE, folder / PREVIOUS)
    write_atomically(folder / STATE, data)


def read_state(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """Tensors and content of the newest state that is whole, or None if there is none.

    States of earlier releases, which have no seal, are read too.

    Raises:
        ArtifactError: If there are states and all are damaged.
    """
    rejected = []
    for path in (folder / STATE, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            found = _read(path)
        except ArtifactError as error:
            rejected.append(str(error))
        else:
            for message in rejected:
                warnings.warn(f"the state of the round before is used: {message}", stacklevel=3)
            return found
    if rejected:
        raise ArtifactError(f"{folder}: no usable state; start again with --overwrite. {'; '.join(rejected)}")
    return None


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in list(file.keys())}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(f"{path}: not readable as safetensors ({error})") from error
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise ArtifactError(f"{path}: {broken[0]} holds NaN or infinity")
    with refusing_damage(path):
        if _SEALED not in metadata:
            if not {"history"} <= set(metadata) <= _UNSEALED:
                raise ArtifactError(
                    f"{path}: holds {', '.join(metadata) or 'nothing'} beside its numbers; it is damaged"
                )
            return tensors, {key: parse_json(text, name=str(path)) for key, text in metadata.items()}
        content = dict(unseal(parse_json(metadata[_SEALED], name=str(path)), name=str(path)))
        if content.pop("tensors") != _digests(tensors):
            raise ArtifactError(f"{path}: its numbers are not those that were written; it is damaged")
        return tensors, content


def _digests(tensors: Mapping[str, torch.Tensor]) -> dict[str, list[Any]]:
    return {
        name: [str(tensor.dtype), list(tensor.shape), hashlib.sha256(tensor.numpy().tobytes()).hexdigest()]
        for name, tensor in tensors.items()
    }
