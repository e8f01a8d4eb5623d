"""`openmm-cgml doctor`: what is installed and works, which ML backend will be used and why, how to mend the rest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Annotated, Literal

import typer

_TIMEOUT = 120.0  # seconds; the first import of a fresh installation compiles byte code
_INSTALL = "pip install openmm-cgml"
_TORCHFORCE = 'pip install "openmm-cgml[torchforce]"'
# Distribution -> (module to import, whether running a model needs it, the command that installs it).
_PACKAGES = {
    "numpy": ("numpy", True, _INSTALL),
    "openmm": ("openmm", True, _INSTALL),
    "torch": ("torch", True, _INSTALL),
    "torchmd-net": ("torchmdnet.models.utils", True, _INSTALL),
    "safetensors": ("safetensors", True, _INSTALL),
    "h5py": ("h5py", True, _INSTALL),
    "mdtraj": ("mdtraj", True, _INSTALL),
    "freud-analysis": ("freud", True, _INSTALL),
    "matplotlib": ("matplotlib", True, _INSTALL),
    "lightning": ("lightning", True, _INSTALL),
    "openmmtorch": ("torch, openmmtorch", False, _TORCHFORCE),  # torch loads the libraries it links to
    "openmmml": ("openmmml", False, "pip install openmmml"),
}
_PLATFORMS = """
import json, openmm
names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
print(json.dumps({"names": names, "failures": list(openmm.Platform.getPluginLoadFailures())}))
"""
_BACKEND = """
import json
import torch
from openmm_cgml.engine import choose_backend
from openmm_cgml.engine.cuda_graphs import cuda_graphs_problem
choice = choose_backend("auto")
graphs = ""
if choice.name == "TorchForce" and torch.cuda.is_available():
    problem = cuda_graphs_problem()
    graphs = "; with CUDA graphs" if problem is None else f"; without CUDA graphs: {problem}"
print(json.dumps({"name": choice.name, "reason": choice.reason, "graphs": graphs}))
"""
_GPU = """
import json, torch
found = torch.cuda.is_available()
print(json.dumps({"name": torch.cuda.get_device_name(0) if found else None, "build": torch.version.cuda}))
"""

_CACHES = """
import json
from openmm_cgml.caches import find_warp_cache, keeps_numba_kernels
print(json.dumps({"NUMBA_CACHE_DIR": keeps_numba_kernels(), "WARP_CACHE_PATH": find_warp_cache() is None}))
"""

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `fix` is the command that mends it, if it wants mending."""

    name: str
    state: State
    detail: str
    fix: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check this installation: versions, platforms, the ML backend and why it is taken, commands for what is missing.

    Leaves with exit code 0 if models can be run here, and 2 if something needed is missing or broken.
    """
    findings = examine()
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for line in _lines(findings):
            typer.echo(line)
    if any(finding.state == "problem" for finding in findings):
        raise typer.Exit(2)


def examine() -> list[Finding]:
    """Everything that is known about this installation.

    Packages are imported in processes of their own, so that none can end this one.
    """
    checks: list[Callable[[], Finding]] = [lambda name=name: _check_package(name) for name in _PACKAGES]  # type: ignore[misc]
    checks += [_check_platforms, _check_backend, _check_gpu, _check_caches, _check_models]
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = list(pool.map(lambda check: check(), checks))
    return [_check_python(), *found, *_check_environment()]


def _lines(findings: list[Finding]) -> list[str]:
    width = max(len(finding.name) for finding in findings)
    marks = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
    lines = []
    for finding in findings:
        lines.append(f"{marks[finding.state]}  {finding.name:<{width}}  {finding.detail}")
        if finding.fix:
            lines.append(f"{'':9}{'':<{width}}  to mend: {finding.fix}")
    problems = sum(finding.state == "problem" for finding in findings)
    lines.append(
        "models can be run here" if not problems else f"{problems} thing(s) to mend before models can be run here"
    )
    return lines


def _check_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Finding("python", "ok" if good else "problem", version, "" if good else "install Python 3.11 or newer")


def _check_package(distribution: str) -> Finding:
    module, needed, fix = _PACKAGES[distribution]
    missing: State = "problem" if needed else "note"
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        detail = "not installed" if needed else "not installed (optional)"
        return Finding(distribution, missing, detail, fix)
    ok, text = _probe(f"import {module}")
    if ok:
        return Finding(distribution, "ok", version)
    return Finding(
        distribution, missing, f"{version} is installed but cannot be imported: {text}", f"{fix} --force-reinstall"
    )


def _check_platforms() -> Finding:
    ok, text = _probe(_PLATFORMS)
    if not ok:
        return Finding("OpenMM platforms", "problem", text, f"{_INSTALL} --force-reinstall")
    found = json.loads(text)
    detail = ", ".join(found["names"])
    missing = _missing_libraries(found["failures"])
    if missing:
        detail += f" ({', '.join(missing)} not found, so the platforms that need it are off)"
    if {"CUDA", "HIP", "OpenCL"}.isdisjoint(found["names"]):
        fix = 'pip install "openmm-cgml[cuda12]"   (with an NVIDIA GPU)'
        return Finding("OpenMM platforms", "note", f"{detail}; no GPU platform", fix)
    return Finding("OpenMM platforms", "ok", detail)


def _missing_libraries(failures: list[str]) -> list[str]:
    """Names of the foreign libraries that kept OpenMM plugins from loading; openmmtorch's come with torch, later."""
    pattern = re.compile(r"Error loading library (\S+): (\S+): cannot open shared object")
    found = [match.groups() for failure in failures if (match := pattern.search(failure))]
    return sorted(
        {library for plugin, library in found if "Torch" not in plugin and not library.startswith("libOpenMM")}
    )


def _check_backend() -> Finding:
    ok, text = _probe(_BACKEND)
    if not ok:
        return Finding("ML backend", "problem", f"none works: {text}", f"{_INSTALL} --force-reinstall")
    choice = json.loads(text)
    fix = "" if choice["name"] == "TorchForce" else f"{_TORCHFORCE}   (for TorchForce, in an environment of its own)"
    detail = f"{choice['name']}: {choice['reason']}{choice.get('graphs', '')}"
    return Finding("ML backend", "note" if fix else "ok", detail, fix)


def _check_gpu() -> Finding:
    ok, text = _probe(_GPU)
    if not ok:
        return Finding("GPU for training", "note", f"unknown, torch does not answer: {text}")
    found = json.loads(text)
    if found["name"]:
        return Finding("GPU for training", "ok", found["name"])
    build = f"built for CUDA {found['build']}" if found["build"] else "a build for CPUs"
    return Finding("GPU for training", "note", f"none; torch is {build}")


def _check_caches() -> Finding:
    ok, text = _probe(_CACHES)
    if not ok:
        return Finding("compiled kernels", "note", f"unknown: {text}")
    missing = [variable for variable, kept in json.loads(text).items() if not kept]
    if not missing:
        return Finding("compiled kernels", "ok", "kept between runs")
    fix = " ".join(f"{variable}=FOLDER" for variable in missing)
    detail = "neither home nor installation can be written, so kernels are compiled anew in every process"
    return Finding("compiled kernels", "note", detail, f"export {fix}   (a folder of your own)")


def _check_models() -> Finding:
    from openmm_cgml.shipped import list_models, list_systems

    models, systems = list_models(), list_systems()
    if not systems:
        return Finding(
            "shipped models", "problem", "none found; the installation is incomplete", f"{_INSTALL} --force-reinstall"
        )
    return Finding("shipped models", "ok", f"{', '.join(models) or 'no models'}; systems: {', '.join(systems)}")


def _check_environment() -> list[Finding]:
    findings = []
    if os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"):
        detail = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD is set: other programs' torch.load then runs code from files"
        findings.append(Finding("environment", "note", detail, "unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"))
    if os.environ.get("PYTHONPATH"):
        detail = f"PYTHONPATH is {os.environ['PYTHONPATH']!r}; packages found there come before the installed ones"
        findings.append(Finding("environment", "note", detail))
    return findings


def _probe(code: str) -> tuple[bool, str]:
    """Run `code` in a new interpreter: (True, last line of its output) or (False, what went wrong in one line)."""
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {_TIMEOUT:.0f} s"
    except OSError as error:
        return False, f"cannot start {sys.executable}: {error.strerror}"
    if done.returncode == 0:
        return True, (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode < 0:
        return False, f"the process crashed with signal {-done.returncode}"
    return False, (done.stderr.strip().splitlines() or ["no message"])[-1]
