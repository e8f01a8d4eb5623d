import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs a checkout")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as a plain installation puts it into a folder."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=600
    )
    with zipfile.ZipFile(folder / done.stdout.strip().splitlines()[-1]) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def run(site, code, cwd):
    environment = {"PYTHONPATH": str(site), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.slow
def test_an_installed_package_finds_shipped_systems_and_models_from_any_folder(installed, tmp_path):
    code = "import openmm_cgml.shipped as s; print(s.__file__, *s.list_systems(), *s.list_models(), s.find_system('benzene-1bead'))"
    file, *names, folder = run(installed, code, tmp_path).split()
    assert Path(file).is_relative_to(installed)
    assert Path(folder).is_relative_to(installed)
    shipped = {
        path.parent.name for kind in ("models/*/manifest.json", "systems/*/system.yaml") for path in ROOT.glob(kind)
    }
    assert set(names) == shipped


@pytest.mark.slow
def test_the_wheel_holds_no_tests_and_nothing_executable_but_the_package(installed):
    assert not [path for path in installed.rglob("*") if path.suffix in (".pkl", ".pt", ".pth", ".ckpt")]
    assert not (installed / "tests").exists()
    assert (installed / "openmm_cgml" / "py.typed").is_file()


def test_the_entry_points_exist():
    entries = {**PROJECT["project"]["scripts"], **PROJECT["project"]["entry-points"]["openmmml.potentials"]}
    for target in entries.values():
        module, name = target.split(":")
        code = f"import importlib; assert callable(getattr(importlib.import_module({module!r}), {name!r}))"
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=600)


@pytest.mark.parametrize("name", ["modern", "torchforce"])
def test_constraints_pin_every_dependency_and_name_no_host(name):
    lines = (ROOT / "constraints" / f"{name}.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and "/" not in line and "+" not in line for line in pins)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in pins}
    extras = ["test", "torchforce"] if name == "torchforce" else ["test", "docs"]
    needed = [
        *PROJECT["project"]["dependencies"],
        *(entry for extra in extras for entry in PROJECT["project"]["optional-dependencies"][extra]),
    ]
    names = {distribution_of(requirement) for requirement in needed}
    assert names <= pinned, sorted(names - pinned)


def distribution_of(requirement):
    return requirement.split("[")[0].split(">")[0].split("=")[0].strip().lower().replace("_", "-")
