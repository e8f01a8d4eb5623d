"""Commands that mend an installation: each can be pasted into a shell as it is."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import openmm_cgml

_US = "openmm-cgml"


def install(distribution: str, *, upgrade: bool = False) -> str:
    """The command that installs a distribution in a version that works with this package.

    Args:
        distribution: Its name.
        upgrade: Replace an installed version by the newest.
    """
    known = [*_requirements(None), *_requirements("test")]
    wanted = next((entry for entry in known if _name(entry) == _name(distribution)), distribution)
    return _pip([*(["--upgrade"] if upgrade else []), wanted])


def install_torchforce() -> str:
    """The command that makes an environment `torchforce` with this package and the versions that TorchForce works with.

    They are older than those of an environment without it, so they do not replace them.
    """
    python = shlex.quote(sys.executable)
    return f"{python} -m venv torchforce && torchforce/bin/python -m pip install {shlex.quote(_us('torchforce'))}"


def install_cuda() -> str:
    """The command that installs OpenMM's CUDA platform for the OpenMM that is there."""
    return _pip([*_requirements("cuda12")] or ["openmm[cuda12]"])


def reinstall(distribution: str) -> str:
    """The command that replaces the files of an installed distribution and leaves all others alone."""
    return _pip(["--force-reinstall", "--no-deps", _source(distribution)])


def _pip(arguments: list[str]) -> str:
    """A pip command for this interpreter, whatever `pip` on the path belongs to, and also where it has none yet."""
    python = shlex.quote(sys.executable)
    command = f"{python} -m pip install {shlex.join(arguments)}"
    return command if importlib.util.find_spec("pip") else f"{python} -m ensurepip && {command}"


def _requirements(extra: str | None) -> list[str]:
    """What this package asks for, or what one of its extras asks for, as pip understands it."""
    try:
        lines = metadata.requires(_US) or []
    except metadata.PackageNotFoundError:  # it runs from a folder of its source
        return []
    found = []
    for line in lines:
        requirement, _, marker = line.partition(";")
        named = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", marker)
        if (named and named[1]) == extra:
            found.append(requirement.strip())
    return found


def _name(requirement: str) -> str:
    """The name in a requirement, in the one spelling that pip compares."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def _us(extra: str) -> str:
    """This package with an extra, from where it was installed from, or from the folder of its source."""
    source = _source(_US)
    if source == _US:
        source = Path(openmm_cgml.__file__).resolve().parents[1].as_uri()
    return f"{_US}[{extra}] @ {source}" if "://" in source else source.replace(_US, f"{_US}[{extra}]", 1)


def _source(distribution: str) -> str:
    """Where an installed distribution came from: a folder or address, or else its version for the package index."""
    try:
        installed = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return distribution
    text = installed.read_text("direct_url.json")
    return json.loads(text)["url"] if text else f"{distribution}=={installed.version}"
