"""Frames on disk: immutable HDF5 shards and a manifest, written so that a kill loses at most the open shard.

A shard is written under a temporary name, closed, flushed to disk, checksummed and renamed; then the manifest that
lists it is replaced atomically. What the manifest does not list does not exist.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import PER_FRAME, PER_PARTICLE, Frames
from openmm_cgml.storage import read_object, refusing_damage, sha256_of, sync_directory, write_sealed_json

SCHEMA = "openmm-cgml/frames"
VERSION = 1
_MANIFEST = "manifest.json"
_SHARD_NAME, _SHA256 = re.compile(r"frames-([0-9]{6})\.h5"), re.compile(r"[0-9a-f]{64}")
_MOST_FRAMES = 10**7  # in one shard


class FrameWriter:
    """Writes frames into a folder, shard by shard; use it as a context manager.

    Leaving the context without an error writes the last, shorter shard; after an error it is written too, so that
    nothing recorded is lost.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        metadata: Mapping[str, Any],
        frames_per_shard: int = 50,
        compress: bool = False,
        resume: bool = False,
    ) -> None:
        """Args:
            path: Folder to write; made if missing.
            metadata: JSON content stored beside the frames, fixed for the folder's life.
            frames_per_shard: Frames kept in memory before they go to disk.
            compress: Compress without loss, which is slow and pays only for numbers that were rounded.
            resume: Go on after the frames that are there.

        Raises:
            InputError: If the folder holds frames and `resume` is not set, or resuming with other metadata.
            ArtifactError: If what is there is damaged.
        """
        if frames_per_shard < 1:
            raise InputError(f"frames_per_shard is {frames_per_shard}; at least 1")
        self.path = Path(path)
        self._per_shard, self._compress = frames_per_shard, compress
        self._waiting: list[Frames] = []
        self._n_waiting = 0
        self.removed: list[str] = []
        """Names of unfinished shards of an earlier, killed writer that were deleted."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / _MANIFEST).exists():
            if not resume:
                raise InputError(f"{self.path} holds frames already; resume it or choose another folder")
            self._manifest = _read_manifest(self.path)
            if self._manifest["metadata"] != dict(metadata):
                raise InputError(
                    f"{self.path}: the frames there were recorded with other metadata; resume with the same settings"
                )
        else:
            self._manifest = {
                "schema": SCHEMA,
                "version": VERSION,
                "metadata": dict(metadata),
                "shards": [],
                "n_particles": None,
            }
            write_sealed_json(self.path / _MANIFEST, self._manifest)
        listed = {shard["file"] for shard in self._manifest["shards"]}
        for file in sorted([*self.path.glob("frames-" + "[0-9]" * 6 + ".*"), *self.path.glob(f".{_MANIFEST}.*.tmp")]):
            if file.name not in listed:
                self.removed.append(file.name)
                file.unlink()

    @property
    def metadata(self) -> Mapping[str, Any]:
        """JSON content stored beside the frames."""
        metadata: Mapping[str, Any] = self._manifest["metadata"]
        return metadata

    @property
    def n_frames(self) -> int:
        """Frames so far, those still in memory included."""
        return self.n_stored + self._n_waiting

    @property
    def n_stored(self) -> int:
        """Frames on disk."""
        return sum(shard["n_frames"] for shard in self._manifest["shards"])

    def append(self, frames: Frames) -> None:
        """Add frames; whole shards go to disk at once.

        Raises:
            InputError: If the number of particles or the fields differ from the frames before.
        """
        known = self._manifest["n_particles"]
        if known is not None and frames.n_particles != known:
            raise InputError(f"{frames.n_particles} particles; the frames before have {known}")
        self._manifest["n_particles"] = frames.n_particles
        self._waiting.append(frames)
        self._n_waiting += len(frames)
        if self._n_waiting >= self._per_shard:
            joined = Frames.concatenate(self._waiting)
            whole = len(joined) - len(joined) % self._per_shard
            for start in range(0, whole, self._per_shard):
                self._write_shard(joined[start : start + self._per_shard])
            self._waiting = [joined[whole:]] if whole < len(joined) else []
            self._n_waiting = len(joined) - whole

    def flush(self) -> None:
        """Put everything on disk now, as a shorter shard if need be."""
        if self._n_waiting:
            joined = Frames.concatenate(self._waiting)
            self._waiting, self._n_waiting = [], 0
            self._write_shard(joined)

    def truncate(self, n_frames: int) -> None:
        """Drop frames from the end so that `n_frames` are left, all on disk.

        Raises:
            InputError: If there are fewer.
        """
        self.flush()
        if n_frames > self.n_stored:
            raise InputError(f"{self.path} holds {self.n_stored} frames, fewer than the {n_frames} to keep")
        while self.n_stored > n_frames:
            shard = self._manifest["shards"][-1]
            keep = n_frames - (self.n_stored - shard["n_frames"])
            kept = _read_shard(self.path / shard["file"], 0, keep) if keep > 0 else None
            self._manifest["shards"].pop()
            write_sealed_json(self.path / _MANIFEST, self._manifest)
            (self.path / shard["file"]).unlink()
            if kept is not None:
                self._write_shard(kept)

    def close(self) -> None:
        """Put everything on disk."""
        self.flush()

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_shard(self, frames: Frames) -> None:
        number = int(self._manifest["shards"][-1]["file"][7:13]) + 1 if self._manifest["shards"] else 0
        final = self.path / f"frames-{number:06d}.h5"
        temporary = self.path / f"frames-{number:06d}.tmp"
        image = _to_hdf5(frames, compress=self._compress)
        entry = {"file": final.name, "n_frames": len(frames), "sha256": hashlib.sha256(image).hexdigest()}
        try:
            with open(temporary, "wb") as file:
                file.write(image)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, final)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(self.path)
        self._manifest["shards"].append(entry)
        write_sealed_json(self.path / _MANIFEST, self._manifest)


class FrameStore:
    """Frames in a folder that a `FrameWriter` wrote, or is still writing: what is listed is complete."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """Use `FrameStore.open`."""
        self.path = path
        self._manifest = manifest
        self.metadata: Mapping[str, Any] = manifest["metadata"]
        self.n_frames: int = sum(shard["n_frames"] for shard in manifest["shards"])
        self.n_particles: int = manifest["n_particles"] or 0

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = True) -> FrameStore:
        """The frames in a folder.

        Args:
            path: The folder.
            verify: Compare every shard with its recorded checksum now.

        Raises:
            ArtifactError: If the folder holds no frames, or they are damaged or of a newer version.
        """
        store = cls(Path(path), _read_manifest(Path(path)))
        if verify:
            store.verify()
        return store

    @property
    def checksums(self) -> tuple[str, ...]:
        """Recorded sha256 of every shard."""
        return tuple(shard["sha256"] for shard in self._manifest["shards"])

    def verify(self) -> None:
        """Compare every shard with its recorded size and checksum.

        Raises:
            ArtifactError: Naming the shard and the frames it holds.
        """
        start = 0
        for shard in self._manifest["shards"]:
            file, stop = self.path / shard["file"], start + shard["n_frames"]
            if not file.is_file():
                raise ArtifactError(
                    f"{file}: missing; it held frames {start} to {stop - 1}; restore it or make them again"
                )
            digest = sha256_of(file)
            if digest != shard["sha256"]:
                raise ArtifactError(
                    f"{file}: changed since it was written (sha256 {digest[:12]}, recorded {shard['sha256'][:12]});"
                    f" frames {start} to {stop - 1} are not trustworthy: restore it or make them again"
                )
            start = stop

    def read(self, start: int = 0, stop: int | None = None) -> Frames:
        """Frames `start` to `stop` (exclusive), in memory.

        Raises:
            InputError: If the range is empty or beyond the frames.
        """
        stop = self.n_frames if stop is None else stop
        if not 0 <= start < stop <= self.n_frames:
            raise InputError(f"frames {start} to {stop} asked for; {self.path} holds 0 to {self.n_frames}")
        parts, offset = [], 0
        for shard in self._manifest["shards"]:
            low, high = max(start - offset, 0), min(stop - offset, shard["n_frames"])
            if low < high:
                parts.append(_read_shard(self.path / shard["file"], low, high))
            offset += shard["n_frames"]
        return Frames.concatenate(parts)

    def read_scalars(self) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
        """Times [ps] and energies by name [kJ/mol] of all frames, without reading what is stored per particle."""
        shards = [_read_scalars(self.path / shard["file"]) for shard in self._manifest["shards"]]
        times = [times for times, _ in shards if times is not None]
        names = set(shards[0][1]).intersection(*(energies for _, energies in shards)) if shards else set()
        energies = {name: np.concatenate([energies[name] for _, energies in shards]) for name in sorted(names)}
        return np.concatenate(times) if shards and len(times) == len(shards) else None, energies

    def read_pressures(self) -> np.ndarray | None:
        """Pressures of all frames [bar], shape (n_frames,), NaN where not measured; None if a shard has none."""
        shards = [_read_pressures(self.path / shard["file"]) for shard in self._manifest["shards"]]
        known = [pressures for pressures in shards if pressures is not None]
        return np.concatenate(known) if shards and len(known) == len(shards) else None

    def chunks(self, size: int = 100) -> Iterator[Frames]:
        """All frames in order, at most `size` at a time."""
        for start in range(0, self.n_frames, size):
            yield self.read(start, min(start + size, self.n_frames))


def _to_hdf5(frames: Frames, *, compress: bool) -> bytes:
    """Frames as the content of an HDF5 file, made in memory: HDF5 crashes the process when a disk fills up under it."""
    with h5py.File("shard", "w", driver="core", backing_store=False) as file:
        for name in (*PER_PARTICLE, *PER_FRAME):
            if getattr(frames, name) is not None:
                _store(file, name, getattr(frames, name), compress)
        for name, values in frames.energies.items():
            _store(file, f"energies/{name}", values, compress)
        file.flush()
        return bytes(file.id.get_file_image())


def _store(file: h5py.File, name: str, array: np.ndarray, compress: bool) -> None:
    options: dict[str, Any] = (
        {"fletcher32": True, "chunks": (1, *array.shape[1:])}
        if array.ndim > 1
        else {"fletcher32": True, "chunks": array.shape}
    )
    if compress:
        options |= {"shuffle": True, "compression": "gzip", "compression_opts": 9}
    file.create_dataset(name, data=array, fillvalue=np.nan, **options)


def _read_shard(path: Path, start: int, stop: int) -> Frames:
    with _opened(path) as file:
        arrays = {name: _load(file, name, start, stop) for name in (*PER_PARTICLE, *PER_FRAME) if name in file}
        group = file.get("energies", {})
        energies = {name: _load(file, f"energies/{name}", start, stop) for name in group}
    with refusing_damage(path):
        return Frames(**arrays, energies=energies)


def _read_scalars(path: Path) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    with _opened(path) as file:
        times = _load(file, "times", 0, None) if "times" in file else None
        return times, {name: _load(file, f"energies/{name}", 0, None) for name in file.get("energies", {})}


def _read_pressures(path: Path) -> np.ndarray | None:
    with _opened(path) as file:
        return _load(file, "pressures", 0, None) if "pressures" in file else None


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, ArtifactError):
            raise
        if "lock" in str(error):
            raise ArtifactError(
                f"{path}: cannot be locked ({error}); if the file system has none, set HDF5_USE_FILE_LOCKING=FALSE"
            ) from error
        raise ArtifactError(f"{path}: cannot be read ({error}); restore it or make its frames again") from error


def _load(file: h5py.File, name: str, start: int, stop: int | None) -> np.ndarray:
    link = file.get(name, getlink=True)
    data = file[name]
    if not isinstance(link, h5py.HardLink) or not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise ArtifactError(f"{file.filename}: {name} points outside the file; such files are not read")
    if data.dtype.kind != "f":
        raise ArtifactError(f"{file.filename}: {name} holds {data.dtype}, not floating point numbers")
    if data.ndim == 0 or (stop is not None and len(data) < stop):
        raise ArtifactError(f"{file.filename}: {name} has shape {data.shape}, too few for the {stop} frames recorded")
    return data[start:stop]


def _read_manifest(path: Path) -> dict[str, Any]:
    if not (path / _MANIFEST).is_file():
        raise ArtifactError(f"{path}: no {_MANIFEST}, so this is not a folder of frames")
    manifest = read_object(path / _MANIFEST)
    if manifest.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: not a folder of frames (schema {manifest.get('schema')!r})")
    if manifest.get("version") != VERSION:
        raise ArtifactError(
            f"{path}: frames of version {manifest.get('version')!r}; this release reads {VERSION}: update openmm-cgml"
        )
    with refusing_damage(path / _MANIFEST):
        _check_content(path, manifest)
    return manifest


def _check_content(path: Path, manifest: dict[str, Any]) -> None:
    """Check types and ranges of a manifest, which those of earlier releases have no seal to vouch for."""
    if not isinstance(manifest["metadata"], dict) or not isinstance(manifest["shards"], list):
        raise ArtifactError(f"{path / _MANIFEST}: metadata or shards are of the wrong kind; restore it")
    n_particles, last = manifest["n_particles"], -1
    if not (n_particles is None or (type(n_particles) is int and n_particles > 0)):
        raise ArtifactError(f"{path / _MANIFEST}: n_particles is {n_particles!r}; restore it")
    for shard in manifest["shards"]:
        name = _SHARD_NAME.fullmatch(str(shard["file"]))
        if name is None or int(name[1]) <= last:
            raise ArtifactError(
                f"{path}: the manifest lists {shard['file']!r}, which is no shard of this folder, or not in its place"
            )
        last = int(name[1])
        if not (type(shard["n_frames"]) is int and 1 <= shard["n_frames"] <= _MOST_FRAMES):
            raise ArtifactError(f"{path / _MANIFEST}: {shard['file']} has {shard['n_frames']!r} frames; restore it")
        if not (isinstance(shard["sha256"], str) and _SHA256.fullmatch(shard["sha256"])):
            raise ArtifactError(f"{path / _MANIFEST}: {shard['file']} has sha256 {shard['sha256']!r}; restore it")
