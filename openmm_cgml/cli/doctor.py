"""`openmm-cgml doctor`: what is installed and works, which ML backend will be used and why, how to mend the rest."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Annotated, Literal

import typer

from openmm_cgml.cli.remedies import install, install_cuda, install_torchforce, reinstall

_TIMEOUT = 120.0  # seconds; the first import of a fresh installation compiles byte code
# Distribution -> (modules to import, whether running a model needs it).
_PACKAGES = {
    "numpy": ("numpy", True),
    "openmm": ("openmm", True),
    "torch": ("torch", True),
    "safetensors": ("safetensors", True),
    "h5py": ("h5py", True),
    "mdtraj": ("mdtraj", True),
    "scipy": ("scipy", True),
    "matplotlib": ("matplotlib", True),
    "lightning": ("lightning", True),
    "openmmtorch": ("torch, openmmtorch", False),  # torch loads the libraries it links to
    "openmmml": ("openmmml", False),
}
_ON_TORCH = ("torch", "lightning", "openmmtorch")  # imported where the ML backend is looked for, so that torch is once
# The head of a program of several pieces of code, which prints an answer for each as soon as it is there, so that a
# crash tells which of them it was.
_MARK = "openmm-cgml doctor: "
_HEAD = f"""
import contextlib, io, json, sys

@contextlib.contextmanager
def answering():
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            yield
        answer = True, (said.getvalue().strip().splitlines() or [""])[-1]
    except BaseException as error:
        answer = False, " ".join(f"{{type(error).__name__}}: {{error}}".split())
    print("\\n{_MARK}" + json.dumps(answer), flush=True)
"""
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

    Packages are imported in two other processes, so that none can end this one, and in few, since importing them is
    what takes the time.
    """
    installed = [name for name in _PACKAGES if _version(name) is not None]
    light, on_torch = [n for n in installed if n not in _ON_TORCH], [n for n in installed if n in _ON_TORCH]
    with ThreadPoolExecutor(max_workers=2) as pool:
        without = pool.submit(_probe, [*map(_import, light), _PLATFORMS])
        with_torch = pool.submit(_probe, [_GPU, _BACKEND, _CACHES, *map(_import, on_torch)])
        *imported, platforms = without.result()
        gpu, backend, caches, *imported_on_torch = with_torch.result()
    answers = dict(zip([*light, *on_torch], [*imported, *imported_on_torch], strict=True))
    return [
        _check_python(),
        *(_check_package(name, answers.get(name)) for name in _PACKAGES),
        _check_platforms(*platforms),
        _check_backend(*backend),
        _check_gpu(*gpu),
        _check_caches(*caches),
        _check_models(),
        *_check_environment(),
    ]


def _import(distribution: str) -> str:
    return f"import {_PACKAGES[distribution][0]}"


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
    return Finding("python", "ok", ".".join(map(str, sys.version_info[:3])))  # an older one does not get here


def _check_package(distribution: str, answer: tuple[bool, str] | None) -> Finding:
    """What is known of a package from its installed version and the answer to importing it; None if not installed."""
    needed = _PACKAGES[distribution][1]
    missing: State = "problem" if needed else "note"
    if answer is None:
        detail = "not installed" if needed else "not installed (optional)"
        return Finding(distribution, missing, detail, _how_to_get(distribution))
    ok, text = answer
    version = _version(distribution)
    if ok:
        return Finding(distribution, "ok", str(version))
    detail = f"{version} is installed but cannot be imported: {text}"
    if "No module named" in text or not needed:  # pip installs what it lacks with it
        return Finding(distribution, missing, detail, _how_to_get(distribution))
    return Finding(distribution, missing, detail, reinstall(distribution))


def _how_to_get(distribution: str) -> str:
    return install_torchforce() if distribution == "openmmtorch" else install(distribution)


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _check_platforms(ok: bool, text: str) -> Finding:
    if not ok:
        return Finding("OpenMM platforms", "problem", text, reinstall("openmm"))
    found = json.loads(text)
    detail = ", ".join(found["names"])
    missing = _missing_libraries(found["failures"])
    if missing:
        detail += f" ({', '.join(missing)} not found, so the platforms that need it are off)"
    if {"CUDA", "HIP", "OpenCL"}.isdisjoint(found["names"]):
        fix = install_cuda() if _has_nvidia_driver() else ""
        return Finding("OpenMM platforms", "note", f"{detail}; no GPU platform", fix)
    return Finding("OpenMM platforms", "ok", detail)


def _has_nvidia_driver() -> bool:
    return shutil.which("nvidia-smi") is not None


def _missing_libraries(failures: list[str]) -> list[str]:
    """Names of the foreign libraries that kept OpenMM plugins from loading; openmmtorch's come with torch, later."""
    pattern = re.compile(r"Error loading library (\S+): (\S+): cannot open shared object")
    found = [match.groups() for failure in failures if (match := pattern.search(failure))]
    return sorted(
        {library for plugin, library in found if "Torch" not in plugin and not library.startswith("libOpenMM")}
    )


def _check_backend(ok: bool, text: str) -> Finding:
    if not ok:
        fix = install("openmm", upgrade=True) if "PythonForce" in text else ""
        return Finding("ML backend", "problem", f"none works: {text}", fix)
    choice = json.loads(text)
    detail = f"{choice['name']}: {choice['reason']}{choice.get('graphs', '')}"
    if choice["name"] == "TorchForce":
        return Finding("ML backend", "ok", detail)
    detail += "; TorchForce needs older versions, which go into an environment of their own"
    return Finding("ML backend", "note", detail, install_torchforce())


def _check_gpu(ok: bool, text: str) -> Finding:
    if not ok:
        return Finding("GPU for training", "note", f"unknown, torch does not answer: {text}")
    found = json.loads(text)
    if found["name"]:
        return Finding("GPU for training", "ok", found["name"])
    build = f"built for CUDA {found['build']}" if found["build"] else "a build for CPUs"
    return Finding("GPU for training", "note", f"none; torch is {build}")


def _check_caches(ok: bool, text: str) -> Finding:
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
            "shipped models", "problem", "none found; the installation is incomplete", reinstall("openmm-cgml")
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


def _probe(codes: Sequence[str]) -> list[tuple[bool, str]]:
    """Run pieces of code in other interpreters: for each (True, last line of its output) or (False, what went wrong).

    They share one interpreter until one of them ends it; those after it go on in a new one.
    """
    answers: list[tuple[bool, str]] = []
    while len(answers) < len(codes):
        answers += _probe_until_crash(codes[len(answers) :])
    return answers


def _probe_until_crash(codes: Sequence[str]) -> list[tuple[bool, str]]:
    """Answers up to the first piece of code that ends the interpreter, that one included."""
    pieces = ["with answering():\n" + textwrap.indent(code, "    ") for code in codes]
    command = [sys.executable, "-W", "ignore", "-c", "\n".join([_HEAD, *pieces])]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
        output, ending = done.stdout, _ending(done.returncode)
    except subprocess.TimeoutExpired as error:
        output, ending = error.stdout or b"", f"no answer within {_TIMEOUT:.0f} s"
    except OSError as error:
        return [(False, f"cannot start {sys.executable}: {error.strerror}")] * len(codes)
    lines = [line for line in output.decode(errors="replace").splitlines() if line.startswith(_MARK)]
    answers = [(bool(ok), str(text)) for ok, text in (json.loads(line.removeprefix(_MARK)) for line in lines)]
    return answers if len(answers) == len(codes) else [*answers, (False, ending)]


def _ending(code: int) -> str:
    return f"the process crashed with signal {-code}" if code < 0 else f"the process ended with code {code}"
