import ast
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from openmm import app, unit

from openmm_cgml.builder import write_build
from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.force_field import ForceField
from openmm_cgml.force_field.manifest import digest_of
from tests.fixtures import package_environment, tiny_force_field


@pytest.fixture
def model(tmp_path):
    return tiny_force_field(3).save(tmp_path / "model")


def test_a_build_holds_a_structure_that_the_force_field_takes(model, tmp_path):
    built = write_build(model, tmp_path / "out", 64, seed=5)
    assert sorted(path.name for path in built.folder.iterdir()) == ["force_field", "run.py", "topology.cif"]
    start = app.PDBxFile(str(built.folder / "topology.cif"))
    system = ForceField.load(model).create_system(start.topology)
    assert system.getNumParticles() == 192
    masses = [system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(192)]
    assert np.allclose(masses, 26.0378)
    assert built.density == pytest.approx(0.84)
    assert built.allowed.term.startswith("bond")
    assert built.time_step == pytest.approx(0.004)


@pytest.mark.slow
def test_the_script_runs_from_any_folder(model, tmp_path):
    built = write_build(model, tmp_path / "out", 64)
    script = (built.folder / "run.py").read_text()
    # Random weights explode; without them the system is as stable as its priors.
    tiny_force_field(3, network=False).save(built.folder / "force_field", overwrite=True)
    shutil.rmtree(model)
    moved = built.folder.rename(tmp_path / "moved")
    done = subprocess.run(
        [sys.executable, str(moved / "run.py"), "400"],
        cwd=tmp_path,
        env=package_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("trajectory.xtc", "log.csv", "final.cif"):
        assert (moved / name).stat().st_size > 0
    final = app.PDBxFile(str(moved / "final.cif"))
    assert final.topology.getNumBonds() == 192
    temperature = float((moved / "log.csv").read_text().splitlines()[-1].split(",")[3])
    assert 200 < temperature < 400
    assert "4 * femtosecond" in script


def test_the_time_step_is_that_of_the_stiffest_prior_but_never_above_five_femtoseconds(tmp_path):
    built = write_build(tiny_force_field(1).save(tmp_path / "soft"), tmp_path / "out", 64)
    assert built.allowed.time_step > 0.005
    assert built.time_step == 0.005
    assert "5 * femtosecond  # the stiffest prior allows 14.6" in (built.folder / "run.py").read_text()


def test_nothing_is_written_when_something_is_wrong(model, tmp_path):
    for molecules, options in ((5, {}), (64, {"density": 99.0}), (64, {"seed": -1})):
        with pytest.raises(InputError):
            write_build(model, tmp_path / "out", molecules, **options)
    assert not (tmp_path / "out").exists()


def test_an_existing_build_is_kept_unless_asked(model, tmp_path):
    write_build(model, tmp_path / "out", 64, seed=1)
    first = (tmp_path / "out" / "topology.cif").read_bytes()
    with pytest.raises(OutputExistsError):
        write_build(model, tmp_path / "out", 64, seed=2)
    assert (tmp_path / "out" / "topology.cif").read_bytes() == first
    write_build(model, tmp_path / "out", 64, seed=2, overwrite=True)
    assert (tmp_path / "out" / "topology.cif").read_bytes() != first


def test_no_text_of_a_model_gets_into_the_script(model, tmp_path):
    document = json.loads((model / "manifest.json").read_text())
    document["name"] = 'tiny"""\nopen("executed", "w")\n"""'
    document["digest"] = digest_of(document)
    (model / "manifest.json").write_text(json.dumps(document))
    assert ForceField.load(model).name.isprintable()
    text = (write_build(model, tmp_path / "out", 64).folder / "run.py").read_text()
    assert "executed" not in text
    words = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert not any(isinstance(word, str) and word.startswith("/") for word in words)
    assert str(tmp_path) not in text


def test_a_build_replaces_neither_its_model_nor_a_folder_of_something_else(model, tmp_path):
    with pytest.raises(InputError, match="must not be deleted"):
        write_build(model, model, 64, overwrite=True)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    with pytest.raises(OutputExistsError, match=r"a\.jpg"):
        write_build(model, tmp_path / "photos", 64, overwrite=True)
    built = write_build(model, tmp_path / "out", 64)
    (built.folder / "trajectory.xtc").write_text("days of work")
    with pytest.raises(OutputExistsError, match=r"trajectory\.xtc"):
        write_build(model, tmp_path / "out", 64, overwrite=True)
    assert ForceField.load(model)
