"""Folders of a force field on disk: written whole or not at all, and verified before anything in them is used.

Only JSON and safetensors are ever read. Python pickles, TorchScript archives and serialized OpenMM Systems run code
when they are read; they are recognized by content and refused.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.force_field.manifest import SCHEMA, Document, check_version, digest_of, upgrade
from openmm_cgml.shipped import RESULT, find_model
from openmm_cgml.storage import lock_directory, parse_json, read_json, refuse_to_lose, sync_directory, sync_file

MANIFEST = "manifest.json"
CARD = "README.md"
CARD_FOLDER = "card"
"""Pictures and notes of the model card; never read by the package."""
SIZE_LIMITS = {
    MANIFEST: 16 * 2**20,
    "network.json": 2**20,
    "priors.json": 64 * 2**20,
    "weights.safetensors": 4 * 2**30,
    "selftest.safetensors": 64 * 2**20,
}
"""Largest size [bytes] of each file that is read; no other file is."""
_HEADER_LIMIT = 4 * 2**20


def write_folder(path: Path, files: Mapping[str, bytes], *, overwrite: bool = False) -> None:
    """Write files into the new folder `path` so that a kill leaves the old folder, the new one, or none: never a mix.

    Args:
        path: The folder.
        files: Content by file name.
        overwrite: Replace a force field that is there; the pictures of its card are dropped with it.

    Raises:
        OutputExistsError: If the folder is there and `overwrite` is not set.
        InputError: If `overwrite` would delete something that is not a force field.
    """
    finish_interrupted_save(path)
    if path.exists() or path.is_symlink():
        if not overwrite:
            raise OutputExistsError(f"{path} is already there; choose another name or pass overwrite=True")
        _refuse_strangers(path)
        with lock_directory(path):  # nobody else is at work in it
            pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        for name, data in files.items():
            (temporary / name).write_bytes(data)
            sync_file(temporary / name)
        sync_directory(temporary)
        previous = _previous(path)
        if path.exists():
            os.rename(path, previous)
        os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        finish_interrupted_save(path)
        raise
    sync_directory(path.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _refuse_strangers(path: Path) -> None:
    """Refuse to replace anything but a folder in which `write_folder` wrote everything, the card aside.

    Raises:
        InputError: If it is something else, or holds something else.
    """
    refuse_to_lose(path, [Path.cwd(), os.path.expanduser("~")])
    if not path.is_dir() or path.is_symlink():
        raise InputError(f"{path} is no folder of its own, so it is not replaced; delete it yourself if you mean it")
    held = sorted(member.name for member in path.iterdir())
    if held and not _is_force_field(path):
        raise InputError(
            f"{path} is not a force field (it holds {held[0]!r}), so it is not replaced; delete it yourself if you "
            "mean it"
        )
    strangers = sorted(set(held) - {*SIZE_LIMITS, CARD, CARD_FOLDER, ".lock", ".DS_Store"})
    if strangers:
        raise InputError(
            f"{path} holds {strangers[0]!r}, which is no part of a force field and would be deleted; move it away first"
        )


def _is_force_field(path: Path) -> bool:
    try:
        document = read_json(path / MANIFEST)
    except ArtifactError:
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA


def copy_folder(source: Path, target: Path) -> None:
    """Copy the files of a force field that was loaded into the new folder `target`, without the pictures of its card.

    Raises:
        OutputExistsError: If there is something at `target`.
    """
    present = [source / name for name in (*SIZE_LIMITS, CARD) if (source / name).is_file()]
    write_folder(target, {file.name: file.read_bytes() for file in present})


def find_force_field(name_or_path: str | os.PathLike[str]) -> Path:
    """The folder of the force field that a name or path means, found without importing anything heavy.

    It is the folder itself, the force field in the output folder of a fit or a refinement, or a shipped model.

    Raises:
        InputError: If there is none; the message says what was looked for and lists the shipped names.
        ArtifactError: If the path is that of a file; the message says of which kind.
    """
    given = Path(name_or_path)
    if given.parts:
        finish_interrupted_save(given)
        finish_interrupted_save(given / RESULT)
    if given.is_file():
        check_is_folder(given)
    return find_model(name_or_path)


def finish_interrupted_save(path: Path) -> None:
    """Put back the folder that a save, killed between its two renames, had moved aside."""
    previous = _previous(path)
    if previous.is_dir():
        if path.exists():
            shutil.rmtree(previous, ignore_errors=True)
        else:
            os.rename(previous, path)


def read_folder(path: Path) -> tuple[Document, dict[str, bytes]]:
    """Manifest and files of the force field in `path`, verified and brought to the present format.

    The order is: kind of file, sizes, strict JSON, schema version, checksums, upgrade. Checksums guard against damage,
    not against somebody who rewrites them too.

    Raises:
        ArtifactError: Naming the first check that failed, with the value found and the one expected.
    """
    check_is_folder(path)
    _check_members(path)
    raw = _read_member(path, MANIFEST)
    document = parse_json(raw, name=str(path / MANIFEST))
    check_version(document, name=str(path / MANIFEST))
    if not isinstance(document, dict) or document.get("digest") != digest_of(document):
        raise ArtifactError(
            f"{path / MANIFEST}: its content has sha256 {digest_of(document)}, recorded is {document.get('digest')}; "
            "it was edited or damaged: restore it, or change a force field in Python and save it again"
        )
    files = {name: _read_verified(path, name, entry) for name, entry in _recorded_files(path, document).items()}
    return upgrade(document, files, name=str(path / MANIFEST))


def check_is_folder(path: Path) -> None:
    """Refuse anything but a folder, saying by its content what a file is.

    Raises:
        ArtifactError: If `path` is missing or not a folder.
    """
    if path.is_dir():
        return
    if not path.exists():
        raise ArtifactError(f"{path}: no such folder; a force field is a folder that holds {MANIFEST}")
    raise ArtifactError(
        f"{path} is {describe_file(path)}; a force field is a folder that holds {MANIFEST}, written by ForceField.save"
    )


def describe_file(path: Path) -> str:
    """What a file is, by its first bytes, in words for an error message."""
    if not path.is_file():
        return "not a regular file"
    with open(path, "rb") as file:
        head = file.read(4096)
    if not head:
        return "an empty file"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return "a safetensors file"  # before pickles: its length field may begin like one
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:10000]
        if any(name.endswith(("data.pkl", "constants.pkl")) for name in names):
            return "a PyTorch checkpoint or TorchScript archive, which can run any code when read and is never opened"
        return "a zip archive"
    if head[0] == 0x80 or head.startswith((b"(dp", b"(lp", b"c__builtin__", b"cos\n", b"cposix\n")):
        return "a Python pickle, which can run any code when read and is never opened"
    if b"<System" in head or head.startswith(b"<?xml"):
        text = path.read_bytes()
        if b'"PythonForce"' in text or b'"TorchForce"' in text:
            return "an OpenMM System with a PythonForce or TorchForce, which can run any code when read"
        return "an XML file"
    return "a file"


def check_tensor_header(data: bytes, *, name: str) -> None:
    """Refuse what cannot be a safetensors file before it is parsed.

    Raises:
        ArtifactError: If the length of its header does not fit.
    """
    if len(data) < 8:
        raise ArtifactError(f"{name}: {len(data)} bytes is too short for a safetensors file; restore it")
    length = int.from_bytes(data[:8], "little")
    if length > min(_HEADER_LIMIT, len(data) - 8):
        raise ArtifactError(f"{name}: header of {length} bytes in a file of {len(data)}; not a safetensors file")


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def _check_members(path: Path) -> None:
    for member in sorted(path.iterdir()):
        if member.name.startswith(".") or member.name in (CARD, CARD_FOLDER):
            continue
        if member.name not in SIZE_LIMITS:
            what = describe_file(member) if member.is_file() else "a folder"
            raise ArtifactError(
                f"{member} is {what} and does not belong in a force field; move it away, or into {CARD_FOLDER}/ if it "
                f"documents the model (files of a force field: {', '.join(SIZE_LIMITS)}, {CARD})"
            )


def _recorded_files(path: Path, document: Document) -> dict[str, dict[str, Any]]:
    recorded = document.get("files")
    if not isinstance(recorded, dict) or not all(isinstance(entry, dict) for entry in recorded.values()):
        raise ArtifactError(f"{path / MANIFEST}: 'files' is not a table of sizes and checksums; restore it")
    unknown = sorted(set(recorded) - set(SIZE_LIMITS) | (set(recorded) & {MANIFEST}))
    if unknown:
        raise ArtifactError(f"{path / MANIFEST}: lists {unknown[0]!r}, which no force field has; it was edited")
    for name in set(SIZE_LIMITS) - {MANIFEST} - set(recorded):
        if (path / name).exists():
            raise ArtifactError(f"{path / name} is not listed in {MANIFEST}, so it cannot be verified; restore both")
    return recorded


def _read_member(path: Path, name: str) -> bytes:
    member = path / name
    try:
        status = os.lstat(member)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path}: {name} is missing; restore it from the original") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a regular file"
        raise ArtifactError(f"{member} is {kind}; a force field holds plain files only: copy the file itself there")
    if status.st_size > SIZE_LIMITS[name]:
        raise ArtifactError(f"{member}: {status.st_size} bytes, more than the limit of {SIZE_LIMITS[name]}")
    return member.read_bytes()


def _read_verified(path: Path, name: str, entry: Mapping[str, Any]) -> bytes:
    data = _read_member(path, name)
    what = describe_file(path / name)
    if "code" in what:
        raise ArtifactError(f"{path / name} is {what}; restore the original file")
    if len(data) != entry.get("size"):
        raise ArtifactError(f"{path / name}: {len(data)} bytes, recorded are {entry.get('size')}; restore the original")
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry.get("sha256"):
        raise ArtifactError(
            f"{path / name}: sha256 is {digest}, recorded is {entry.get('sha256')}; the file changed since it was "
            "saved: restore the original"
        )
    if name.endswith(".safetensors"):
        check_tensor_header(data, name=str(path / name))
    return data
