import subprocess
import sys

import numpy as np
import pytest
from openmm import app, unit

from openmm_cgml.builder import write_build
from openmm_cgml.errors import InputError, OutputExistsError
from openmm_cgml.force_field import ForceField
from tests.fixtures import package_environment, tiny_force_field


@pytest.fixture
def model(tmp_path):
    return tiny_force_field(3).save(tmp_path / "model")


def test_a_build_holds_a_structure_that_the_force_field_takes(model, tmp_path):
    built = write_build(model, tmp_path / "out", 64, seed=5)
    assert sorted(path.name for path in built.folder.iterdir()) == ["run.py", "topology.cif"]
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
    tiny_force_field(3, network=False).save(model, overwrite=True)
    done = subprocess.run(
        [sys.executable, str(built.folder / "run.py"), "400"],
        cwd=tmp_path,
        env=package_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in ("trajectory.xtc", "log.csv", "final.cif"):
        assert (built.folder / name).stat().st_size > 0
    final = app.PDBxFile(str(built.folder / "final.cif"))
    assert final.topology.getNumBonds() == 192
    temperature = float((built.folder / "log.csv").read_text().splitlines()[-1].split(",")[3])
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
