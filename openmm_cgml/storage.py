"""Files and folders that survive a kill or a slip: atomic replacement, sealed and strict JSON, locks, outputs.

Two rules live here and nowhere else. JSON that is read back is *sealed*: it carries the sha256 of its own content, and
`read_json` refuses it after any change. And a folder is emptied (`--overwrite`) only if the same verb wrote everything
in it, no other process holds it, and no input lies in it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError

logger = logging.getLogger(__name__)

_JSON_LIMIT = 256 * 1024 * 1024
_DIGEST, _MARK = "content_sha256", "sealed"
LOCK = ".lock"
"""Name of the file that holds a folder for one process."""
VERB_RECORD = "run.json"
"""Name of the file in which a verb of the command line notes what it was asked to do."""
_OURS = (VERB_RECORD, LOCK, ".*.tmp", ".*.previous", ".DS_Store")
"""What any output folder may hold beside its content: records, locks, and what a killed writer leaves."""
_YOUNG_LOCK = 60.0  # s
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
_ATTEMPTS = 100


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

    def finite(digits: str) -> float:
        return number if math.isfinite(number := float(digits)) else refuse(digits)

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse, parse_float=finite)
        if b"\\ud" in (text.encode() if isinstance(text, str) else text).lower():
            json.dumps(content, ensure_ascii=False).encode()  # half of a character, which no file of ours can hold
        return content
    except ArtifactError:
        raise
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{name}: not readable as JSON ({error}); restore it from the original") from error


def read_json(path: str | os.PathLike[str]) -> Any:
    """Content of a JSON file, read strictly; of a sealed one, verified and without its seal.

    Raises:
        ArtifactError: If the file is missing, too large, not strict JSON, or changed since it was sealed.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _JSON_LIMIT:
            raise ArtifactError(f"{path}: {path.stat().st_size} bytes is more than any JSON file written here")
        return unseal(parse_json(path.read_bytes(), name=str(path)), name=str(path))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: no such file") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise ArtifactError(f"{path}: not a file") from error


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Content of a JSON file that holds an object, as `read_json` reads it.

    Raises:
        ArtifactError: As `read_json`, and if it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ArtifactError(f"{path}: holds a {type(content).__name__}, not keys and values; restore the original")
    return content


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write strict JSON (sorted keys, no NaN) atomically, for people and other programs."""
    write_atomically(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_sealed_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write JSON that is read back: as `write_json`, with the sha256 of the content, so that no change goes unseen."""
    write_json(path, seal(content))


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON content with two entries more: its sha256, and that it has one.

    Either entry alone tells that the other is missing, so the seal is not lost to a damaged key; files of earlier
    releases have neither.
    """
    plain = json.loads(json.dumps(dict(content), allow_nan=False))
    return {**plain, _DIGEST: digest_of_content(plain), _MARK: True}


def unseal(content: Any, *, name: str) -> Any:
    """JSON content without its seal, which is compared; content without a seal is returned as it is.

    Args:
        content: What `seal` returned, read back.
        name: What to call it in an error, usually its path.

    Raises:
        ArtifactError: If the content is not what was sealed.
    """
    if not isinstance(content, dict) or not (_DIGEST in content or _MARK in content):
        return content
    rest = {key: value for key, value in content.items() if key not in (_DIGEST, _MARK)}
    found, recorded = digest_of_content(rest), content.get(_DIGEST)
    if found != recorded or content.get(_MARK) is not True:
        raise ArtifactError(
            f"{name}: its content has sha256 {found[:12]}, recorded is {str(recorded)[:12]}; it was edited or damaged: "
            f"restore it, or make it again (who means to change it by hand deletes {_DIGEST!r} and {_MARK!r} as well)"
        )
    return rest


def digest_of_content(content: Mapping[str, Any]) -> str:
    """Sha256 of JSON content in its shortest form with sorted keys."""
    return hashlib.sha256(
        json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    ).hexdigest()


@contextlib.contextmanager
def refusing_damage(name: object) -> Iterator[None]:
    """Turn what goes wrong with damaged content (missing keys, wrong types, impossible values) into one clean error.

    For files without a seal, which earlier releases wrote; use it around the code that takes such content apart.

    Args:
        name: What to call the content in the error, usually its path.

    Raises:
        ArtifactError: If the block raises what damaged content raises.
    """
    try:
        yield
    except ArtifactError:
        raise
    except KeyError as error:
        raise ArtifactError(f"{name}: {error} is missing; the file was edited or damaged: restore it") from error
    except (ValueError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ArtifactError(f"{name}: holds what does not belong there ({error}); restore the original") from error


@dataclass(frozen=True, kw_only=True)
class OutputKind:
    """What one verb writes into its output folder, by which the folder is known as its own.

    Attributes:
        verb: The verb.
        marker: The file that the verb writes first, and that no other verb writes.
        members: Names of everything that the verb writes, as shell patterns; the marker is one.
        recognizes: Whether a marker is this verb's, where others write a file of that name.
    """

    verb: str
    marker: str
    members: tuple[str, ...]
    recognizes: Callable[[Path], bool] = field(default=lambda marker: True)

    def is_made_by_it(self, folder: Path) -> bool:
        """Whether the folder's marker, or else its record of the run, is this verb's."""
        marker = folder / self.marker
        return (marker.is_file() and self.recognizes(marker)) or _recorded_verb(folder) == self.verb

    def strangers(self, folder: Path) -> list[str]:
        """Names of what is in a folder and was not written by the verb."""
        known = (*self.members, self.marker, *_OURS)
        return sorted(
            member.name for member in folder.iterdir() if not any(fnmatch(member.name, name) for name in known)
        )


def _recorded_verb(folder: Path) -> str | None:
    with contextlib.suppress(ArtifactError, OSError):
        record = read_json(folder / VERB_RECORD)
        return record.get("verb") if isinstance(record, dict) else None
    return None


def check_output(
    path: str | os.PathLike[str],
    kind: OutputKind | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    inputs: Sequence[str | os.PathLike[str]] = (),
) -> Path:
    """Refuse a folder that holds something, unless it is of this kind and to be replaced or gone on with.

    Nothing is written or deleted.

    Args:
        path: The folder to write into.
        kind: What is written; None never replaces anything.
        overwrite: What is there is to be replaced.
        resume: What is there is to be gone on with.
        inputs: Files and folders that the work reads.

    Raises:
        InputError: If overwriting and resuming are both asked for, or overwriting would delete an input, the current
            or the home folder or one that holds them.
        OutputExistsError: If the folder holds something and neither flag is set, or something that the verb did not
            write.
    """
    path = Path(path)
    if overwrite and resume:
        raise InputError("overwrite and resume exclude each other; choose one")
    if (path.exists() or path.is_symlink()) and not path.is_dir():
        raise OutputExistsError(f"{path} is a file; the output is a folder: choose another name")
    if not path.is_dir() or all(_is_ours(member.name) for member in path.iterdir() if member.name != VERB_RECORD):
        return path
    if not (overwrite or resume):
        raise OutputExistsError(f"{path} is not empty; use --resume to go on or --overwrite to start again")
    if overwrite:
        refuse_to_lose(path, [*inputs, Path.cwd(), os.path.expanduser("~")])
    if kind is None or not kind.is_made_by_it(path):
        what = f"was not written by {kind.verb!r}" if kind else "holds other files"
        held = min(member.name for member in path.iterdir() if not _is_ours(member.name))
        raise OutputExistsError(
            f"{path} {what} (it holds {held!r}), so it is neither replaced nor gone on with; choose another folder, or "
            "delete it yourself if you mean it"
        )
    if overwrite and (strangers := kind.strangers(path)):
        raise OutputExistsError(
            f"{path} holds {', '.join(map(repr, strangers[:3]))}, which {kind.verb!r} did not write; move it away "
            "first, or choose another folder"
        )
    return path


def refuse_to_lose(path: str | os.PathLike[str], kept: Sequence[str | os.PathLike[str]]) -> None:
    """Check that emptying a folder deletes none of some files and folders.

    Args:
        path: The folder that would be emptied; it need not be there.
        kept: What must stay.

    Raises:
        InputError: If one of them is the folder, or lies in it.
    """
    path = Path(path)
    if not path.exists():
        return
    for given in map(Path, kept):
        with contextlib.suppress(OSError):  # a home that cannot be looked at holds nothing of ours
            place = given.resolve()
            if any(part.exists() and part.samefile(path) for part in (place, *place.parents)):
                where = "is" if place.exists() and place.samefile(path) else "contains"
                raise InputError(f"{path} {where} {given}, which must not be deleted; choose another folder")


@contextlib.contextmanager
def hold_output(
    path: str | os.PathLike[str],
    kind: OutputKind,
    *,
    overwrite: bool = False,
    resume: bool = False,
    inputs: Sequence[str | os.PathLike[str]] = (),
) -> Iterator[Path]:
    """Make and lock an output folder, emptied first if it is to be replaced.

    Everything is checked before anything is deleted, and again once the lock is held. See `check_output`.

    Raises:
        InputError: As `check_output`.
        OutputExistsError: As `check_output`, and if another process works in the folder.
    """

    def check() -> Path:
        return check_output(path, kind, overwrite=overwrite, resume=resume, inputs=inputs)

    folder = check()
    folder.mkdir(parents=True, exist_ok=True)
    with lock_directory(folder):
        check()
        if overwrite:
            clear_output(folder, kind)
        yield folder


def prepare_output(
    path: str | os.PathLike[str],
    kind: OutputKind | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    inputs: Sequence[str | os.PathLike[str]] = (),
) -> Path:
    """Make an output folder, emptied first if it is to be replaced, for work that is done in a moment.

    Raises:
        InputError: As `check_output`.
        OutputExistsError: As `check_output`, and if another process works in the folder.
    """
    if kind is not None:
        with hold_output(path, kind, overwrite=overwrite, resume=resume, inputs=inputs) as folder:
            return folder
    folder = check_output(path, overwrite=overwrite, resume=resume, inputs=inputs)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def clear_output(folder: Path, kind: OutputKind) -> None:
    """Delete what a verb wrote into its folder: the marker, by which it is known, goes last, and the lock stays."""
    known = (*kind.members, kind.marker, *_OURS)
    held = [member for member in folder.iterdir() if any(fnmatch(member.name, name) for name in known)]
    for member in sorted(held, key=lambda member: member.name in (kind.marker, VERB_RECORD)):
        if member.name != LOCK:
            shutil.rmtree(member) if member.is_dir() and not member.is_symlink() else member.unlink()


def _is_ours(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in _OURS)


@contextlib.contextmanager
def lock_directory(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a folder for one process.

    The lock is the operating system's (flock) on the file `.lock`, so it ends with its process however that ends; the
    name of the process in the file is for the error message only.

    Raises:
        OutputExistsError: If another process holds the folder.
    """
    lock = Path(path) / LOCK
    descriptor = _take(lock)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if _is_open_at(descriptor, lock):
                lock.unlink()
        os.close(descriptor)


def _take(lock: Path) -> int:
    """The lock file, open and locked, with the name of this process in it."""
    for _ in range(_ATTEMPTS):
        _create(lock)
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its holder ended in this moment
        try:
            if not _try_flock(descriptor, lock):
                raise OutputExistsError(f"{lock.parent} is in use by {_holder(lock)}; wait for it, or stop it")
            if not _is_open_at(descriptor, lock):
                os.close(descriptor)  # what was locked is a file that its holder deleted in this moment
                continue
            _refuse_unnamed(descriptor, lock)
        except BaseException:
            os.close(descriptor)
            raise
        name = _name().encode()
        os.pwrite(descriptor, name, 0)
        os.ftruncate(descriptor, len(name))
        for left in lock.parent.glob(f"{lock.name}.*.tmp"):  # by a process that was killed while it took the lock
            left.unlink(missing_ok=True)
        return descriptor
    raise OutputExistsError(f"{lock.parent}: cannot take {lock}; other processes start and end there all the time")


def _create(lock: Path) -> None:
    """Make the lock file with a name in it, so that an empty one is never of this program; one that is there stays."""
    temporary = lock.with_name(f".lock.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}.tmp")
    temporary.write_text(_name(), encoding="utf8")
    try:
        os.link(temporary, lock)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        os.close(os.open(lock, os.O_RDWR | os.O_CREAT))
    finally:
        temporary.unlink(missing_ok=True)


def _name() -> str:
    return f"{os.getpid()} {socket.gethostname()}\n"


def _holder(lock: Path) -> str:
    with contextlib.suppress(OSError):
        words = lock.read_text(encoding="utf8", errors="replace").split()
        if len(words) == 2:
            return f"process {words[0]} on {words[1]}"
    return "another process"


def _try_flock(descriptor: int, lock: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning(
            "%s: the file system has no locks; see to it that one process at a time works there", lock.parent
        )
    return True


def _is_open_at(descriptor: int, lock: Path) -> bool:
    """Whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(lock))
    except FileNotFoundError:
        return False


def _refuse_unnamed(descriptor: int, lock: Path) -> None:
    """Refuse an empty lock of a moment ago: an earlier release may be about to write its name into it."""
    status = os.fstat(descriptor)
    if status.st_size == 0 and abs(time.time() - status.st_mtime) < _YOUNG_LOCK:
        raise OutputExistsError(
            f"{lock.parent} is being taken by another process; wait for it, or delete {lock} if there is none"
        )
