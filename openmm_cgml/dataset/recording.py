"""From an atomistic recording to a dataset: mapped in chunks, resumable, with memory bounded by a chunk."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as Dictionary
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.dataset.force_matching import (
    ForceMatchingDataset,
    dataset_metadata,
    dataset_writer,
    prepare_frames,
    register_of,
)
from openmm_cgml.dataset.recording_checks import check_temperature, check_times
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.mapping import (
    ForceMapReport,
    Mapping,
    TooFewSamplesError,
    center_of_mass_mapping,
    mapping_from_specification,
    optimal_force_weights,
    templates_of_masses,
)
from openmm_cgml.residues.names import residue_name_in_files
from openmm_cgml.shards import FrameStore
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.storage import read_json, read_object, refusing_damage, write_sealed_json
from openmm_cgml.topology import AtomTopology

logger = logging.getLogger(__name__)

RECORDING_KIND = "openmm-cgml/recording"
FORCE_MAPS = ("uniform", "optimal")
MAPPING_FILE = "mapping.json"
REPORT_FILE = "force_map.json"
_MOST_FRAMES = 1000  # that force weights are made from
Progress = Callable[[int, int], None]


def map_recording(
    recording: str | os.PathLike[str],
    specification: SystemSpecification,
    output: str | os.PathLike[str],
    *,
    force_map: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    chunk_frames: int = 50,
    progress: Progress | None = None,
) -> ForceMatchingDataset:
    """Map an atomistic recording to beads and return the dataset.

    Residues that the specification leaves unmapped, such as solvent, are in no bead: what they do to beads stays in the
    forces on these, total and intermolecular, and energies, which would count them too, are left out.

    The mapping goes into the dataset's folder too (`mapping.json`). A killed run is finished with `resume`, which also
    adds the frames that a growing recording has gained since.

    Args:
        recording: Folder that `run_reference` or a `ForceRecorder` wrote, or is still writing.
        specification: The system, with its beads.
        output: Folder of the dataset.
        force_map: "optimal" weights, with the least noise, or "uniform" sums. None for optimal ones where there are
            enough frames to tell them or constraints ask for them, else uniform; with `resume` those that are there.
        resume: Go on with what is there.
        overwrite: Replace what is there.
        chunk_frames: Frames in memory at a time.
        progress: Called with the frames done and the frames in all.

    Raises:
        InputError: A recording without forces, of another system, with frames that are there twice, at another
            temperature than it declares, or mapped in another way before.
        ArtifactError: No recording there, or a damaged one.
        OutputExistsError: The output is not empty and neither flag is set, or is no dataset of this verb.
    """
    if force_map not in (None, *FORCE_MAPS):
        raise InputError(f"force map {force_map!r}; known are {', '.join(FORCE_MAPS)}")
    store = _checked_recording(recording, specification)
    kept = _kept_mapping(Path(output) / MAPPING_FILE) if resume else None
    mapping, reports = _mapping(store, specification, force_map, kept)
    unmapped = _unmapped(store, specification)
    metadata = dataset_metadata(
        topology=mapping.target,
        temperature=store.metadata["temperature"],
        mapping_fingerprint=mapping.fingerprint,
        source=_source(store, mapping, unmapped),
        templates=templates_of_masses(specification.templates(), mapping.target),
        chains=specification.chain_templates(),
        kind="instantaneous",
    )
    with dataset_writer(output, metadata, overwrite=overwrite, resume=resume, inputs=[recording, store.path]) as writer:
        _check_growing(writer.n_frames, store.n_frames, output)
        _write_mapping(Path(output), mapping, reports)
        register = register_of(writer)
        for mapped in _mapped(store, mapping, writer.n_frames, chunk_frames):
            mapped = mapped.replace(energies={}) if unmapped else mapped
            prepared = prepare_frames(mapped, metadata, first=writer.n_frames)
            register.require_new(prepared)
            writer.append(prepared)
            if progress is not None:
                progress(writer.n_frames, store.n_frames)
    return ForceMatchingDataset.open(output, verify=False)


def _check_growing(n_mapped: int, n_recorded: int, output: str | os.PathLike[str]) -> None:
    if n_mapped > n_recorded:
        raise InputError(
            f"{output} holds {n_mapped} frames, the recording {n_recorded}: it is not the one that was mapped before. "
            "Give that one, or use --overwrite to start again"
        )


def _write_mapping(folder: Path, mapping: Mapping, reports: Sequence[ForceMapReport]) -> None:
    """Write the mapping, unless it is there already, and what optimal weights gained."""
    if not (folder / MAPPING_FILE).exists():
        write_sealed_json(folder / MAPPING_FILE, mapping.to_dict())
    if reports:
        write_sealed_json(folder / REPORT_FILE, {"reports": [report.to_dict() for report in reports]})


def read_force_map_reports(output: str | os.PathLike[str]) -> tuple[ForceMapReport, ...]:
    """What the optimal force map of a dataset gained, for each kind of residue; empty for uniform sums."""
    path = Path(output) / REPORT_FILE
    if not path.exists():
        return ()
    content = read_json(path)
    with refusing_damage(path):
        entries = content["reports"] if isinstance(content, dict) else content  # earlier releases wrote the list alone
        return tuple(ForceMapReport.from_dict(entry) for entry in entries)


def open_recording(path: str | os.PathLike[str]) -> FrameStore:
    """The frames of an atomistic recording: the folder itself, or its subfolder `recording`.

    Raises:
        ArtifactError: There is no recording, or it is damaged, empty or of another kind.
    """
    path = Path(path)
    if not (path / "manifest.json").exists() and (path / "recording" / "manifest.json").exists():
        path = path / "recording"
    store = FrameStore.open(path)
    if store.metadata.get("kind") != RECORDING_KIND:
        raise ArtifactError(
            f"{path}: holds {store.metadata.get('kind')!r}, not an atomistic recording; make one with "
            f"`openmm-cgml reference`"
        )
    if store.n_frames == 0:
        raise ArtifactError(f"{path}: the recording holds no finished frames yet; wait, or resume it")
    return store


def spread_frames(store: FrameStore, n_frames: int) -> Frames:
    """So many frames of a recording, or all, evenly from the first to the last."""
    chosen = np.unique(np.linspace(0, store.n_frames - 1, min(store.n_frames, n_frames)).round().astype(int))
    return Frames.concatenate([store.read(index, index + 1) for index in chosen.tolist()])


def _checked_recording(path: str | os.PathLike[str], specification: SystemSpecification) -> FrameStore:
    store = open_recording(path)
    check_temperature(store, specification.temperature)
    check_times(store)
    return store


def _mapping(
    store: FrameStore, specification: SystemSpecification, force_map: str | None, kept: Mapping | None
) -> tuple[Mapping, tuple[ForceMapReport, ...]]:
    """The mapping with the force weights asked for, and what optimal ones gained; those of before where they fit."""
    atoms = AtomTopology.from_dict(store.metadata["atoms"])
    plain = center_of_mass_mapping(specification, atoms)
    if kept is not None and _is_same_but_for_forces(kept, plain):
        force_map = force_map or kept.provenance["forces"]
        if force_map == kept.provenance["forces"] == "optimal":
            return kept, ()
    if force_map == "uniform":
        return mapping_from_specification(specification, atoms), ()
    try:
        return optimal_mapping(plain, _some_frames(store), atoms)
    except TooFewSamplesError as error:
        if force_map == "optimal":
            raise
        logger.warning("%s Uniform weights are taken.", error)
        return mapping_from_specification(specification, atoms), ()


def optimal_mapping(
    mapping: Mapping, frames: Iterable[Frames], atoms: AtomTopology
) -> tuple[Mapping, tuple[ForceMapReport, ...]]:
    """The mapping with the force weights of least noise for these frames, and what they gain."""
    weights, reports = optimal_force_weights(mapping, frames, atoms)
    changed = Mapping(
        target=mapping.target, position_weights=mapping.position_weights, force_weights=weights,
        source_bonds=mapping.source_bonds, provenance={**mapping.provenance, "forces": "optimal"},
    )  # fmt: skip
    return changed, reports


def _some_frames(store: FrameStore) -> Iterator[Frames]:
    """Frames that force weights are made from, one at a time: all, or as many as are enough, evenly over the run."""
    chosen = np.linspace(0, store.n_frames - 1, min(store.n_frames, _MOST_FRAMES)).round().astype(int)
    for index in chosen.tolist():
        yield store.read(index, index + 1)


def _mapped(store: FrameStore, mapping: Mapping, start: int, size: int) -> Iterator[Frames]:
    for first in range(start, store.n_frames, size):
        last = min(first + size, store.n_frames)
        try:
            yield mapping(store.read(first, last))
        except InputError as error:
            raise InputError(f"{store.path}, frames {first} to {last - 1}, counted from {first}: {error}") from error


def _kept_mapping(path: Path) -> Mapping | None:
    """The mapping of an earlier run, whose optimal weights came from the frames there were then."""
    if not path.exists():
        return None
    content = read_object(path)
    with refusing_damage(path):
        return Mapping.from_dict(content)


def _is_same_but_for_forces(kept: Mapping, mapping: Mapping) -> bool:
    if kept.force_weights.shape != mapping.force_weights.shape:
        return False
    uniform = Mapping(
        target=kept.target, position_weights=kept.position_weights, force_weights=mapping.force_weights,
        source_bonds=kept.source_bonds, provenance=mapping.provenance,
    )  # fmt: skip
    return uniform.fingerprint == mapping.fingerprint and kept.provenance.get("forces") in FORCE_MAPS


def _unmapped(store: FrameStore, specification: SystemSpecification) -> dict[str, int]:
    """How many residues of each kind the recording has that the specification leaves without beads."""
    names = [residue_name_in_files(name) for name in store.metadata["atoms"]["residue_names"]]
    return {name: names.count(name) for name in specification.unmapped if name in names}


def _source(store: FrameStore, mapping: Mapping, unmapped: Dictionary[str, int]) -> dict[str, Any]:
    return {
        "recording": store.metadata.get("source", {}),
        "density": store.metadata.get("density"),
        "mapping": dict(mapping.provenance),
        **({"unmapped": dict(unmapped)} if unmapped else {}),  # as in datasets made before there were such residues
    }
