"""The data that a coarse-grained force field is fitted to: mapped frames on disk, with what belongs to them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset.repeated_frames import FrameRegister
from openmm_cgml.dataset.splits import split_blocks
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import PER_PARTICLE, Frames
from openmm_cgml.shards import FrameStore, FrameWriter
from openmm_cgml.storage import OutputKind, hold_output, read_json, refusing_damage
from openmm_cgml.topology import CGTopology, ChainTemplate, ResidueTemplate
from openmm_cgml.wholeness import BondForest

logger = logging.getLogger(__name__)

KIND = "openmm-cgml/dataset"
LABEL_KINDS = ("instantaneous", "mean-force")
FRAMES_PER_SHARD = 100


def _holds(labels: str, manifest: Path) -> bool:
    """Whether a manifest is that of a dataset with such labels; one that cannot be read is none."""
    try:
        metadata = read_json(manifest)["metadata"]
        return bool(metadata["kind"] == KIND and metadata["labels"] == labels)
    except (ArtifactError, KeyError, TypeError):
        return False


_FRAMES = ("manifest.json", "frames-*.h5", "frames-*.tmp")
OUTPUTS: Mapping[str, OutputKind] = {
    "instantaneous": OutputKind(
        verb="map",
        marker="manifest.json",
        members=(*_FRAMES, "mapping.json", "force_map.json", "summary.json"),
        recognizes=partial(_holds, "instantaneous"),
    ),
    "mean-force": OutputKind(
        verb="reference",
        marker="manifest.json",
        members=(*_FRAMES, "noise_floor.json"),
        recognizes=partial(_holds, "mean-force"),
    ),
}
"""What a dataset's folder holds, by the kind of its labels."""


class ForceMatchingDataset:
    """Mapped positions, total mapped forces, boxes and energies, with their topology and temperature.

    Forces are never prior-subtracted: the part of the priors is computed from the prior set in use, so it cannot go
    stale. Positions and forces are kept in single precision [nm, kJ/mol/nm].

    Attributes:
        path: The folder.
        topology: The beads.
        templates: The kinds of residues.
        chains: The polymers that the residues form.
        temperature: Temperature of the reference [K].
        kind: "instantaneous" forces, or "mean-force" averages with their standard error in `force_error`.
        mapping_fingerprint: Fingerprint of the mapping that made the frames.
        source: Provenance: the atomistic force field, protocol, versions.
    """

    def __init__(self, store: FrameStore, *, memory_limit: float = 4e9) -> None:
        """Use `ForceMatchingDataset.open` or `.create`."""
        metadata = store.metadata
        if metadata.get("kind") != KIND:
            raise ArtifactError(
                f"{store.path}: holds {metadata.get('kind')!r}, not a dataset; make one with `openmm-cgml map`"
            )
        self.path = store.path
        with refusing_damage(store.path / "manifest.json"):
            self.topology = CGTopology.from_dict(metadata["topology"])
            self.templates = tuple(ResidueTemplate.from_dict(template) for template in metadata["templates"])
            self.chains = tuple(ChainTemplate.from_dict(chain) for chain in metadata.get("chains", ()))
            self.temperature = float(metadata["temperature"])
            self.kind: str = metadata["labels"]
            self.mapping_fingerprint: str = metadata["mapping_fingerprint"]
            self.source: Mapping[str, Any] = dict(metadata["source"])
            if self.kind not in LABEL_KINDS or not (np.isfinite(self.temperature) and self.temperature > 0):
                raise ValueError(f"labels {self.kind!r} at {self.temperature} K")
        self._store = store
        self._memory_limit = memory_limit
        if store.n_frames and store.n_particles != self.topology.n_beads:
            raise ArtifactError(
                f"{store.path}: frames of {store.n_particles} beads, but a topology of {self.topology.n_beads}"
            )

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, verify: bool = True, memory_limit: float = 4e9
    ) -> ForceMatchingDataset:
        """The dataset in a folder.

        Args:
            path: The folder.
            verify: Compare every file with its recorded checksum now.
            memory_limit: Datasets up to this size [bytes] are read into memory at first use, larger ones on demand.

        Raises:
            ArtifactError: There is no dataset, or it is damaged, empty or of a newer version.
        """
        dataset = cls(FrameStore.open(path, verify=verify), memory_limit=memory_limit)
        if dataset.n_frames == 0:
            raise ArtifactError(
                f"{path}: the dataset holds no frames yet; finish it with `openmm-cgml map ... --resume`"
            )
        return dataset

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        frames: Iterable[Frames],
        *,
        topology: CGTopology,
        temperature: float,
        mapping_fingerprint: str,
        source: Mapping[str, Any],
        templates: Sequence[ResidueTemplate],
        chains: Sequence[ChainTemplate] = (),
        kind: str = "instantaneous",
        compress: bool = False,
        overwrite: bool = False,
        resume: bool = False,
    ) -> ForceMatchingDataset:
        """Write a dataset and return it.

        Args:
            path: Folder to make.
            frames: Mapped frames in chunks, from the first one on, wrapped or whole; with `resume`, those already
                stored are skipped.
            topology: The beads.
            temperature: Temperature of the reference [K].
            mapping_fingerprint: Fingerprint of the mapping.
            source: Provenance, JSON content.
            templates: The kinds of residues.
            chains: The polymers that the residues form.
            kind: "instantaneous" or "mean-force"; the latter needs `force_error`.
            compress: Compress the files; see `thin_dataset`.
            overwrite: Replace what is there.
            resume: Go on with what is there.

        Raises:
            InputError: Frames without forces, with all-zero forces, of another system or there twice, or a molecule
                that cannot be made whole.
            OutputExistsError: The folder is not empty and neither flag is set, or another process writes it.
        """
        metadata = dataset_metadata(
            topology=topology, temperature=temperature, mapping_fingerprint=mapping_fingerprint, source=source,
            templates=templates, chains=chains, kind=kind,
        )  # fmt: skip
        with dataset_writer(path, metadata, compress=compress, overwrite=overwrite, resume=resume) as writer:
            skip, register, forest = writer.n_frames, register_of(writer), BondForest.from_topology(topology)
            for chunk in frames:
                if skip < len(chunk):
                    prepared = _whole(prepare_frames(chunk[skip:], metadata, first=writer.n_frames), forest)
                    register.require_new(prepared)
                    writer.append(prepared)
                skip = max(0, skip - len(chunk))
        return cls.open(path, verify=False)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self._store.n_frames

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return self.topology.n_beads

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over what the dataset is (topology, mapping, temperature, kind) and the checksums of its frames."""
        identity = {"metadata": dict(self._store.metadata), "shards": self._store.checksums}
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()

    def frames(self, indices: Sequence[int] | NDArray[np.integer] | slice | None = None) -> Frames:
        """Frames by number, all by default; repeated and unordered numbers are kept as given.

        Raises:
            InputError: A number beyond the frames.
        """
        if isinstance(indices, slice):
            indices = np.arange(*indices.indices(self.n_frames))
        if self._fits_memory:
            return self._all if indices is None else self._all[self._checked(indices)]
        return self._read(np.arange(self.n_frames) if indices is None else self._checked(indices))

    def chunks(self, size: int = 100) -> Iterator[Frames]:
        """All frames in order, at most `size` at a time."""
        for start in range(0, self.n_frames, size):
            yield (
                self._all[start : start + size]
                if self._fits_memory
                else self._store.read(start, min(start + size, self.n_frames))
            )

    def split(
        self, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, n_blocks: int = 20, seed: int = 0, gap: int | None = None
    ) -> dict[str, NDArray[np.int64]]:
        """Disjoint, ascending frame numbers for "train", "validation" and "test", by blocks in time.

        Args:
            fractions: Share of each part.
            n_blocks: Number of blocks.
            seed: Seed of the random assignment.
            gap: Frames left out between parts; by default 1, and 0 for mean forces, whose frames are independent.

        Raises:
            InputError: Too few frames for one block per part.
        """
        gap = (0 if self.kind == "mean-force" else 1) if gap is None else gap
        return split_blocks(self.n_frames, fractions, n_blocks=n_blocks, seed=seed, gap=gap)

    @cached_property
    def _fits_memory(self) -> bool:
        one = self._store.read(0, 1)
        arrays = [getattr(one, name) for name in (*PER_PARTICLE, "box", "times")] + list(one.energies.values())
        return self.n_frames * sum(array.nbytes for array in arrays if array is not None) <= self._memory_limit

    @cached_property
    def _all(self) -> Frames:
        return self._store.read()

    def _checked(self, indices: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
        given = np.asarray(indices, dtype=np.int64).ravel()
        beyond = given[(given < 0) | (given >= self.n_frames)]
        if len(beyond):
            raise InputError(f"frame {beyond[0]} asked for; {self.path} holds 0 to {self.n_frames - 1}")
        return given

    def _read(self, indices: NDArray[np.int64]) -> Frames:
        unique, inverse = np.unique(indices, return_inverse=True)
        runs = np.split(unique, np.flatnonzero(np.diff(unique) > 1) + 1)
        return Frames.concatenate([self._store.read(int(run[0]), int(run[-1]) + 1) for run in runs])[inverse]


def dataset_metadata(
    *,
    topology: CGTopology,
    temperature: float,
    mapping_fingerprint: str,
    source: Mapping[str, Any],
    templates: Sequence[ResidueTemplate],
    chains: Sequence[ChainTemplate] = (),
    kind: str,
) -> dict[str, Any]:
    """The JSON content that identifies a dataset.

    Raises:
        InputError: An unknown kind of labels, or a temperature that is none.
    """
    if kind not in LABEL_KINDS:
        raise InputError(f"labels of kind {kind!r}; known kinds are {', '.join(LABEL_KINDS)}")
    if not (np.isfinite(temperature) and temperature > 0):
        raise InputError(f"temperature {temperature} K; it must be positive")
    polymers = {"chains": [chain.to_dict() for chain in chains]} if chains else {}  # as in datasets made before them
    return {
        "kind": KIND,
        "labels": kind,
        "temperature": float(temperature),
        "mapping_fingerprint": mapping_fingerprint,
        "topology": topology.to_dict(),
        "templates": [template.to_dict() for template in templates],
        "source": json.loads(json.dumps(dict(source))),
        **polymers,
    }


@contextmanager
def dataset_writer(
    path: str | os.PathLike[str],
    metadata: Mapping[str, Any],
    *,
    compress: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    inputs: Sequence[str | os.PathLike[str]] = (),
) -> Iterator[FrameWriter]:
    """Opens a dataset folder for writing, locked against other writers.

    Args:
        path: The folder.
        metadata: As `dataset_metadata` gives it.
        compress: Compress the files.
        overwrite: Replace the dataset that is there.
        resume: Go on with the dataset that is there.
        inputs: What the frames are made from, which is never deleted.

    Raises:
        OutputExistsError: The folder is not empty and neither flag is set, or holds something that is no such dataset,
            or another process writes it.
        InputError: Resuming with another mapping, topology, temperature or source; the message names which. Or
            overwriting would delete an input.
        ArtifactError: What is there is damaged.
    """
    path = Path(path)
    if resume and (path / "manifest.json").exists():
        _check_same(path, FrameStore.open(path).metadata, metadata)
    with (
        hold_output(path, OUTPUTS[metadata["labels"]], overwrite=overwrite, resume=resume, inputs=inputs),
        FrameWriter(
            path, metadata=metadata, frames_per_shard=FRAMES_PER_SHARD, compress=compress, resume=resume
        ) as writer,
    ):
        if writer.removed:
            logger.warning("%s: deleted what a killed writer left unfinished: %s", path, ", ".join(writer.removed))
        yield writer


def register_of(writer: FrameWriter) -> FrameRegister:
    """A register of the frames that a writer goes on from."""
    register = FrameRegister()
    if writer.n_stored:
        for chunk in FrameStore.open(writer.path, verify=False).chunks():
            register.add(chunk)
    return register


def _whole(frames: Frames, forest: BondForest) -> Frames:
    if frames.box is None or not forest.has_bonds:
        return frames
    positions = forest.make_whole(np.asarray(frames.positions, np.float64), np.asarray(frames.box, np.float64))
    return frames.replace(positions=positions.astype(np.float32))


def prepare_frames(frames: Frames, metadata: Mapping[str, Any], *, first: int = 0) -> Frames:
    """The frames in single precision, after checking that they can be matched.

    Args:
        frames: Mapped frames.
        metadata: The dataset's metadata.
        first: Number of the first frame, for error texts.

    Raises:
        InputError: Forces or their errors missing, forces all zero, or another number of beads.
    """
    n_beads = len(metadata["topology"]["bead_names"])
    if frames.n_particles != n_beads:
        raise InputError(
            f"frames of {frames.n_particles} beads, but a topology of {n_beads}; use the one they were mapped to"
        )
    if frames.forces is None:
        raise InputError("the frames hold no forces, and force matching needs them; record them with the trajectory")
    if metadata["labels"] == "mean-force" and frames.force_error is None:
        raise InputError("mean forces need their standard error (force_error); give it, or call them instantaneous")
    zero = np.flatnonzero(~frames.forces.any(axis=(1, 2)))
    if len(zero):
        raise InputError(
            f"all forces are zero in {len(zero)} of {len(frames)} frames, the first is frame {first + zero[0]}; "
            f"they were probably not written when the trajectory was made"
        )
    return frames.replace(
        **{name: getattr(frames, name).astype(np.float32) for name in PER_PARTICLE if getattr(frames, name) is not None}
    )


def _check_same(path: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    different = sorted(key for key in {*stored, *given} if stored.get(key) != given.get(key))
    if different:
        shown = [f"{key} {stored.get(key)!s:.40} there, {given.get(key)!s:.40} now" for key in different]
        raise InputError(
            f"{path} cannot be resumed: it was made with another {', another '.join(different)} ({'; '.join(shown)}). "
            f"Use the same system.yaml, recording and options, or --overwrite to start again"
        )
