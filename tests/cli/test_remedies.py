import shlex
import subprocess
import sys

import pytest

from openmm_cgml.cli import remedies


def test_every_remedy_is_a_command_of_this_interpreter_that_a_shell_understands():
    for command in (
        remedies.install("torch"),
        remedies.install("openmm", upgrade=True),
        remedies.install_cuda(),
        remedies.install_torchforce(),
        remedies.reinstall("numpy"),
    ):
        assert shlex.split(command)[0] == sys.executable
        assert subprocess.run(["bash", "-n", "-c", command], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("distribution", ["numpy", "torchmd-net"])
def test_pip_accepts_a_remedy_as_printed(distribution):
    command = remedies.install(distribution).replace(" install ", " install --dry-run --no-index --no-deps ")
    done = subprocess.run(command, shell=True, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "already satisfied" in done.stdout


def test_versions_are_those_that_this_package_asks_for():
    assert "'openmm>=8.5.2'" in remedies.install("openmm")
    assert "'torchmd-net" in remedies.install("torchmd_net")


def test_torchforce_comes_with_this_package_into_an_environment_of_its_own():
    command = remedies.install_torchforce()
    assert "-m venv torchforce" in command
    assert "openmm-cgml[torchforce]" in shlex.split(command)[-1]


def test_without_pip_it_is_put_there_first(monkeypatch):
    monkeypatch.setattr(remedies.importlib.util, "find_spec", lambda name: None)
    assert remedies.install("torch").split(" && ")[0].endswith("-m ensurepip")


def test_a_package_that_runs_from_its_source_names_that_folder(monkeypatch):
    def absent(name):
        raise remedies.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(remedies.metadata, "distribution", absent)
    assert "openmm-cgml[torchforce] @ file://" in remedies.install_torchforce()
