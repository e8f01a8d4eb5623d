"""Where a reference comes from: a summary, its file, a shipped system, or a mapped dataset that is summarized now."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
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
    source = {**dataset.source, "dataset": dataset.fingerprint}
    return summarize_reference(
        _take_frames(dataset, _MAX_FRAMES),
        dataset.topology,
        system=system or str(dataset.source.get("system", dataset.path.name)),
        temperature=dataset.temperature,
        limits=limits,
        source=source,
        quantities=quantities,
    )


def summarize_boxes(
    datasets: Sequence[ForceMatchingDataset],
    *,
    system: str | None = None,
    limits: Mapping[str, float] | None = None,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> ReferenceSummary:
    """The reference summary of independent boxes of the same beads together.

    Distributions and averages are those of all boxes, and errors include how these differ; what needs a course of time
    (displacements) is that of the first box.

    Args:
        datasets: Mapped frames of each box.
        system: As of `summarize_dataset`.
        limits: As of `summarize_dataset`.
        quantities: What to compute.

    Raises:
        ArtifactError: As `summarize_dataset`.
        InputError: If the boxes differ in beads or temperature.
    """
    settings: dict[str, Any] = {"system": system, "limits": limits, "quantities": quantities}
    one = datasets[0]
    first = summarize_dataset(one, **settings)
    if len(datasets) == 1:
        return first
    for other in datasets[1:]:
        if (other.topology.fingerprint, other.temperature) != (one.topology.fingerprint, one.temperature):
            raise InputError(f"{other.path} and {one.path} differ in beads or temperature; give boxes of one system")
    parts = [_take_frames(dataset, _MAX_FRAMES // len(datasets)) for dataset in datasets]
    together = summarize_reference(
        _join(parts),
        one.topology,
        system=first.system,
        temperature=one.temperature,
        limits=limits,
        source={**first.source, "dataset": ", ".join(dataset.fingerprint for dataset in datasets)},
        max_structure_frames=_MAX_FRAMES,
        quantities=quantities,
    )
    durations = [float(part.times[-1] - part.times[0]) for part in parts if part.times is not None]
    trajectory = replace(
        together.trajectory,
        parts={**first.trajectory.parts, **together.trajectory.parts},
        duration=sum(durations) if len(durations) == len(parts) else None,
    )
    return replace(together, trajectory=trajectory)


def _take_frames(dataset: ForceMatchingDataset, most: int) -> Frames:
    return dataset.frames(slice(None, None, -(-dataset.n_frames // most)))


def _join(parts: Sequence[Frames]) -> Frames:
    """Frames of several boxes, with what all of them have and without times, which go on in none of the others."""
    names = set.intersection(*(set(part.energies) for part in parts))
    with_pressures = all(part.pressures is not None for part in parts)
    return Frames.concatenate(
        [
            Frames(
                positions=part.positions,
                box=part.box,
                energies={name: part.energies[name] for name in sorted(names)},
                pressures=part.pressures if with_pressures else None,
            )
            for part in parts
        ]
    )
