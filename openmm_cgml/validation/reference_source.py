"""Where a reference comes from: a summary, its file, a shipped system, or a mapped dataset that is summarized now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.shipped import find_system
from openmm_cgml.validation.quantities import QUANTITIES
from openmm_cgml.validation.quantity import Quantity
from openmm_cgml.validation.reference_summary import ReferenceSummary, read_reference_summary, summarize_reference

REFERENCE = "reference.json"
MODEL_REFERENCE = "card/reference.json"
"""Where a model keeps one: beside its card, since a force field's own folder holds nothing else."""
_MAX_FRAMES = 20_000


def load_reference(
    source: ReferenceSummary | str | os.PathLike[str],
    *,
    limits: Mapping[str, float] | None = None,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> ReferenceSummary:
    """The reference that a name, a file or a folder means.

    Args:
        source: A summary, a `reference.json`, a folder with one, a model with `card/reference.json`, a mapped dataset,
            or the name of a shipped system.
        limits: Limits to keep in a summary that is made now from a dataset.
        quantities: What to read, or to compute from a dataset.

    Raises:
        InputError: If there is no such system, or it has no reference yet.
        ArtifactError: If the file is damaged or something else.
    """
    if isinstance(source, ReferenceSummary):
        return source
    path = Path(source)
    if path.is_file() and path.name != "system.yaml":
        return read_reference_summary(path, quantities=quantities)
    for name in (REFERENCE, MODEL_REFERENCE):
        if (path / name).is_file():
            return read_reference_summary(path / name, quantities=quantities)
    if (path / "manifest.json").is_file():
        return summarize_dataset(ForceMatchingDataset.open(path), limits=limits, quantities=quantities)
    folder = find_system(source)
    if not (folder / REFERENCE).is_file():
        raise InputError(
            f"system {folder.name!r} has no {REFERENCE}; give a mapped dataset as the reference, or write the "
            "file with `openmm-cgml validate --reference DATASET --write-reference`"
        )
    return read_reference_summary(folder / REFERENCE, quantities=quantities)


def summarize_dataset(
    dataset: ForceMatchingDataset,
    *,
    system: str | None = None,
    limits: Mapping[str, float] | None = None,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> ReferenceSummary:
    """The reference summary of a mapped dataset.

    Args:
        dataset: Mapped frames of an ordinary run.
        system: Name of the system; by default the one that the dataset names, or its folder.
        limits: Limits for simulations of this system, where they are others than the usual.
        quantities: What to compute.

    Raises:
        ArtifactError: If the dataset holds mean forces, whose frames are not a trajectory.
    """
    if dataset.kind != "instantaneous":
        raise ArtifactError(
            f"{dataset.path}: holds {dataset.kind} labels of a few restrained frames; a reference needs an ordinary run"
        )
    stride = -(-dataset.n_frames // _MAX_FRAMES)
    source = {**dataset.source, "dataset": dataset.fingerprint}
    return summarize_reference(
        dataset.frames(slice(None, None, stride)),
        dataset.topology,
        system=system or str(dataset.source.get("system", dataset.path.name)),
        temperature=dataset.temperature,
        limits=limits,
        source=source,
        quantities=quantities,
    )
