import json

import pytest
import typer

from openmm_cgml.cli import doctor as module
from openmm_cgml.cli.doctor import Finding, doctor, examine


@pytest.fixture
def answering(monkeypatch):
    """Make every probe answer what the test says for the code it contains."""

    def install(answers):
        def probe(codes):
            healthy = True, json.dumps(_HEALTHY)
            return [next((answer for part, answer in answers.items() if part in code), healthy) for code in codes]

        monkeypatch.setattr(module, "_probe", probe)
        monkeypatch.setattr(
            module.metadata, "version", lambda name: {"torch": "2.9.1", "openmm": "8.5.2"}.get(name, "1.0")
        )

    return install


_HEALTHY = {
    "names": ["Reference", "CPU", "CUDA"],
    "failures": [],
    "name": "TorchForce",
    "reason": "it works",
    "build": "12.8",
}


def find(findings, name):
    return next(finding for finding in findings if finding.name == name)


def test_a_healthy_installation_has_no_problems(answering, capsys):
    answering({})
    doctor(as_json=False)
    out = capsys.readouterr().out
    assert "PROBLEM" not in out
    assert "TorchForce: it works" in out
    assert "models can be run here" in out


def test_one_process_without_torch_and_one_with_it_look_at_everything():
    """Importing torch, and lightning after it, is most of the time that the verb takes."""
    light = [name for name in module._PACKAGES if name not in module._ON_TORCH and module._version(name) is not None]
    code = [*(f"import {module._PACKAGES[name][0]}" for name in light), "import sys; print('torch' in sys.modules)"]
    *imported, last = module._probe(code)
    assert all(ok for ok, _ in imported)
    assert last == (True, "False")
    assert module._probe(["import lightning", "import sys; print('torch' in sys.modules)"])[1] == (True, "True")


def test_a_broken_package_is_named_with_the_command_that_mends_it(answering, capsys):
    answering({"import h5py": (False, "ImportError: undefined symbol")})
    with pytest.raises(typer.Exit) as exit_:
        doctor(as_json=False)
    assert exit_.value.exit_code == 2
    out = capsys.readouterr().out
    assert "ImportError: undefined symbol" in out
    assert "-m pip install --force-reinstall --no-deps h5py==" in out


def test_a_missing_optional_package_is_no_problem(answering, monkeypatch):
    answering({})

    def version(name):
        if name == "openmmtorch":
            raise module.metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(module.metadata, "version", version)
    finding = find(examine(), "openmmtorch")
    assert finding.state == "note"
    assert "openmm-cgml[torchforce]" in finding.fix


def test_a_fallback_to_pythonforce_comes_with_its_reason_and_the_way_to_torchforce(answering):
    answering({"choose_backend": (True, json.dumps({"name": "PythonForce", "reason": "openmmtorch needs torch 2.9"}))})
    finding = find(examine(), "ML backend")
    assert finding.state == "note"
    assert "openmmtorch needs torch 2.9" in finding.detail
    assert "torchforce" in finding.fix


def test_where_there_is_a_gpu_the_backend_says_whether_it_uses_cuda_graphs(answering):
    choice = {"name": "TorchForce", "reason": "it works", "graphs": "; without CUDA graphs: the trial failed"}
    answering({"choose_backend": (True, json.dumps(choice))})
    assert find(examine(), "ML backend").detail == "TorchForce: it works; without CUDA graphs: the trial failed"


def test_no_backend_is_a_problem_with_its_reason(answering):
    answering({"choose_backend": (False, "MissingDependencyError: no torch")})
    finding = find(examine(), "ML backend")
    assert finding.state == "problem"
    assert "no torch" in finding.detail


def test_plugin_failures_are_told_by_the_library_that_is_missing(answering):
    failures = [
        "Error loading library /somewhere/libOpenMMOpenCL.so: libOpenCL.so.1: cannot open shared object file: No such file",
        "Error loading library /somewhere/libOpenMMTorchReference.so: libnvrtc.so.12: cannot open shared object file: no",
    ]
    answering({"getPluginLoadFailures": (True, json.dumps({"names": ["CPU"], "failures": failures}))})
    detail = find(examine(), "OpenMM platforms").detail
    assert "libOpenCL.so.1 not found" in detail
    assert "nvrtc" not in detail
    assert "somewhere" not in detail


def test_a_crash_of_a_probed_package_is_reported_not_shared():
    codes = ["print(1)", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "print('one'); print('two')"]
    assert module._probe(codes) == [(True, "1"), (False, "the process crashed with signal 11"), (True, "two")]


def test_an_error_of_a_probed_package_is_told_in_one_line():
    answers = module._probe(["import nothing_of_this_name", "raise SystemExit(3)", "print('fine')"])
    assert answers[0] == (False, "ModuleNotFoundError: No module named 'nothing_of_this_name'")
    assert answers[1:] == [(False, "SystemExit: 3"), (True, "fine")]


def test_a_probe_that_hangs_is_reported_and_the_others_are_answered(monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT", 1.0)
    answers = module._probe(["print('fine')", "import time; time.sleep(60)", "print('still')"])
    assert answers == [(True, "fine"), (False, "no answer within 1 s"), (True, "still")]


@pytest.mark.parametrize(
    ("error", "command"),
    [
        ("ModuleNotFoundError: No module named 'rowan'", "install 'h5py>="),
        ("ImportError: undefined symbol", "install --force-reinstall --no-deps h5py=="),
    ],
)
def test_what_a_package_lacks_is_installed_with_it_and_a_broken_one_is_replaced_alone(answering, error, command):
    answering({"import h5py": (False, error)})
    assert command in find(examine(), "h5py").fix


def test_findings_can_be_printed_as_json(answering, capsys):
    answering({})
    doctor(as_json=True)
    findings = [Finding(**entry) for entry in json.loads(capsys.readouterr().out)]
    assert find(findings, "ML backend").detail == "TorchForce: it works"
