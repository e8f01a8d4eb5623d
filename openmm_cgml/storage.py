"""Files and folders that survive a kill: atomic replacement, checksums, strict JSON, locks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError

_JSON_LIMIT = 256 * 1024 * 1024
LOCK = ".lock"
"""Name of the file that holds a folder for one process."""
VERB_RECORD = "run.json"
"""Name of the file in which a verb of the command line notes what it was asked to do."""


def write_atomically(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Write `data` to `path` so that a kill or a full disk leaves either the old file or the new one."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the renames inside a folder durable, where the platform can."""
    with contextlib.suppress(OSError):  # some network file systems and Windows refuse; the rename is still atomic
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_file(path: str | os.PathLike[str]) -> None:
    """Flush a closed file's content to disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal sha256 digest of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file)


def _digest(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def parse_json(text: str | bytes, *, name: str) -> Any:
    """Strict JSON: duplicate keys, NaN and infinities are errors.

    Args:
        text: The document.
        name: What to call it in an error, usually its path.

    Raises:
        ArtifactError: If the text is not strict JSON.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise ArtifactError(f"{name}: key {twice!r} appears twice; the file was edited or damaged")
        return result

    def refuse(constant: str) -> Any:
        raise ArtifactError(f"{name}: contains {constant}, which is not a number; the file was edited or damaged")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArtifactError(f"{name}: not readable as JSON ({error}); restore it from the original") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """Content of a JSON file, read strictly.

    Raises:
        ArtifactError: If the file is missing, too large or not strict JSON.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise ArtifactError(f"{path}: {path.stat().st_size} bytes is more than any JSON file written here")
        return parse_json(path.read_bytes(), name=str(path))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ArtifactError(f"{path}: not a file") from error


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write strict JSON (sorted keys, no NaN) atomically."""
    write_atomically(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def prepare_output(path: str | os.PathLike[str], *, overwrite: bool = False, resume: bool = False) -> Path:
    """Make the output folder `path`, and refuse one that holds something unless that was asked for.

    Args:
        path: The folder to write into.
        overwrite: Delete what is there.
        resume: Keep what is there.

    Raises:
        InputError: If both or neither make sense.
        OutputExistsError: If the folder is not empty and neither flag is set.
    """
    path = Path(path)
    if overwrite and resume:
        raise InputError("overwrite and resume exclude each other; choose one")
    if path.exists() and not path.is_dir():
        raise OutputExistsError(f"{path} is a file; the output is a folder: choose another name")
    if path.is_dir() and any(path.iterdir()):
        if overwrite:
            if path.resolve() in (Path.home().resolve(), Path.cwd().resolve(), Path(path.anchor or "/").resolve()):
                raise InputError(f"refusing to empty {path}; choose a folder of its own for the output")
            shutil.rmtree(path)
        elif not resume:
            raise OutputExistsError(f"{path} is not empty; use --resume to go on or --overwrite to start again")
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def lock_directory(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for one process; a lock left by a dead process of this host is taken over.

    Raises:
        OutputExistsError: If another live process holds the folder.
    """
    lock = Path(path) / LOCK
    me = f"{os.getpid()} {socket.gethostname()}\n"
    for _ in range(2):
        try:
            with open(lock, "x", encoding="utf8") as file:
                file.write(me)
            break
        except FileExistsError as error:
            holder = lock.read_text(encoding="utf8").split() if lock.exists() else []
            if _is_stale(holder):
                lock.unlink(missing_ok=True)
                continue
            who = f"process {holder[0]} on {holder[1]}" if len(holder) == 2 else "another process"
            raise OutputExistsError(
                f"{path} is in use by {who}; wait for it, or delete {lock} if it is gone"
            ) from error
    else:
        raise OutputExistsError(f"{path}: cannot take {lock}; delete it if no other process uses the folder")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if lock.read_text(encoding="utf8") == me:
                lock.unlink()


def _is_stale(holder: list[str]) -> bool:
    if len(holder) != 2 or holder[1] != socket.gethostname():
        return not holder  # an empty lock is one whose writer died between create and write
    if int(holder[0]) == os.getpid():
        return False
    try:
        os.kill(int(holder[0]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
