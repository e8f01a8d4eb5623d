"""The files that hold a network: `network.json` for its architecture, `weights.safetensors` for its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.networks import NETWORKS, SchNet, build_network
from openmm_cgml.networks.schnet import SchNetConfig
from openmm_cgml.storage import parse_json


def write_network(network: SchNet) -> dict[str, bytes]:
    """Content of both files, by name.

    Raises:
        InputError: If a weight is not finite.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    broken = [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise InputError(f"weight {broken[0]!r} holds values that are not finite; this network is not saved")
    settings = json.dumps(network.config.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"
    return {"network.json": settings.encode(), "weights.safetensors": safetensors.torch.save(weights)}


def read_network(files: Mapping[str, bytes], n_types: int, path: Path) -> SchNet | None:
    """The network of a force field's files, with every weight checked; None if it has none.

    Args:
        files: Content by file name.
        n_types: Number of bead types.
        path: The folder, for error messages.

    Raises:
        InputError: If its settings do not fit its kind.
        ArtifactError: If its kind is unknown, or the weights do not fit the settings or are not finite.
    """
    present = [name for name in ("network.json", "weights.safetensors") if name in files]
    if not present:
        return None
    if len(present) == 1:
        raise ArtifactError(
            f"{path}: {present[0]} alone; network.json and weights.safetensors go together: restore both"
        )
    settings = parse_json(files["network.json"], name=str(path / "network.json"))
    if not isinstance(settings, dict) or settings.get("kind") not in NETWORKS:
        kind = settings.get("kind") if isinstance(settings, dict) else None
        raise ArtifactError(f"{path / 'network.json'}: network {kind!r} is unknown; known are {', '.join(NETWORKS)}")
    weights = read_tensors(safetensors.torch.load, files["weights.safetensors"], path / "weights.safetensors")
    _check_size(SchNetConfig(**settings), weights, path / "network.json")
    network = build_network(settings["kind"], settings, n_types)
    _check_weights(network.state_dict(), weights, path / "weights.safetensors")
    dtypes = {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()}
    if dtypes == {torch.float64}:
        network = network.double()
    network.load_state_dict(weights, strict=True)
    return network.eval().requires_grad_(False)


def read_tensors(load: Any, data: bytes, name: Path) -> dict[str, Any]:
    """Tensors of a safetensors file.

    Args:
        load: `safetensors.torch.load` or `safetensors.numpy.load`.
        data: Content of the file.
        name: Its path, for error messages.

    Raises:
        ArtifactError: If it is not readable.
    """
    try:
        return dict(load(data))
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{name}: not readable as safetensors ({error}); restore the original") from error


def copy_in_float64(network: SchNet) -> SchNet:
    """The same network in float64, ready to be evaluated."""
    copy = build_network(network.config.kind, network.config.model_dump(), network.n_types).double()
    copy.load_state_dict(network.state_dict())
    return copy.eval().requires_grad_(False)


def _check_size(config: SchNetConfig, weights: Mapping[str, torch.Tensor], name: Path) -> None:
    """Refuse settings that ask for more weights than there are, before the network is built and takes the memory."""
    n_blocks = config.n_inter_blocks + config.n_intra_blocks
    least, found = n_blocks * (config.n_filters**2 + config.n_features**2), sum(t.numel() for t in weights.values())
    if least > found:
        raise ArtifactError(
            f"{name}: {n_blocks} blocks of {config.n_filters} filters and {config.n_features} features need more than "
            f"{least} weights, weights.safetensors holds {found}; they do not belong together: restore both"
        )


def _check_weights(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor], name: Path) -> None:
    problems = [f"{key} is missing" for key in expected if key not in found]
    problems += [f"{key} is unknown" for key in found if key not in expected]
    common = [(key, expected[key], tensor) for key, tensor in found.items() if key in expected]
    problems += [
        f"{key} has shape {tuple(tensor.shape)}, not {tuple(wanted.shape)}"
        for key, wanted, tensor in common
        if tensor.shape != wanted.shape
    ]
    problems += [
        f"{key} is {tensor.dtype}"
        for key, wanted, tensor in common
        if tensor.dtype not in ((torch.float32, torch.float64) if wanted.is_floating_point() else (wanted.dtype,))
    ]
    if len({tensor.dtype for _, wanted, tensor in common if wanted.is_floating_point()}) > 1:
        problems.append("float32 and float64 are mixed")
    problems += [f"{key} holds NaN or infinity" for key, _, tensor in common if not torch.isfinite(tensor).all()]
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ArtifactError(f"{name}: {shown}; weights and network.json do not belong together: restore both")
