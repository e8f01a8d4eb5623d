import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from openmm_cgml.builder import write_build
from openmm_cgml.cli.export import export
from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import ResidueTemplate
from tests.fixtures import benzene_box, tiny_force_field


@pytest.fixture
def fitted(tmp_path):
    """Output folder of a fit: a force field of priors alone."""
    template = ResidueTemplate(name="WAT", bead_names=("W",), bead_type_names=("W",), masses=(18.0,), bonds=())
    parameters = {"sigma": 0.3, "epsilon": 4.184, "exponent": 12, "cutoff": 0.8, "switch_distance": 0.7}
    force_field = ForceField(
        priors=PriorSet(terms=(PriorTerm(form="power_repulsion", types=("W", "W"), parameters=parameters),)),
        network=None,
        templates=(template,),
        type_names=("W",),
        manifest=Manifest(name="trial-7", license="MIT"),
    )
    force_field.save(tmp_path / "run" / "force_field")
    return tmp_path / "run"


def test_the_force_field_of_a_fit_gets_its_name_and_figures(fitted, tmp_path):
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"g(r) RMSE": 0.03}))
    export(str(fitted), tmp_path / "water-1bead", validation=figures)
    exported = ForceField.load(tmp_path / "water-1bead")
    assert exported.name == "water-1bead"
    assert exported.manifest.license == "MIT"
    assert exported.manifest.validation == {"g(r) RMSE": 0.03}
    assert exported.fingerprint == ForceField.load(fitted / "force_field").fingerprint


def test_an_export_without_figures_says_so(fitted, tmp_path, capsys):
    export(str(fitted / "force_field"), tmp_path / "water")
    assert "not validated" in capsys.readouterr().out


def test_figures_must_have_names(fitted, tmp_path):
    (tmp_path / "figures.json").write_text("[1, 2]")
    with pytest.raises(ArtifactError, match="by name"):
        export(str(fitted), tmp_path / "water", validation=tmp_path / "figures.json")
    assert not (tmp_path / "water").exists()


def test_an_exported_model_is_not_replaced_unasked(fitted, tmp_path):
    export(str(fitted), tmp_path / "water")
    with pytest.raises(OutputExistsError):
        export(str(fitted), tmp_path / "water")
    export(str(fitted), tmp_path / "water", name="new", overwrite=True)
    assert ForceField.load(tmp_path / "water").name == "new"


_LOAD = """
import json, sys
import numpy as np, torch
extra = {"openmm_cgml.json": ""}
module = torch.jit.load(sys.argv[1], _extra_files=extra)
energies, forces = zip(*[module(torch.tensor(np.load(sys.argv[2])), b) for b in (torch.tensor(np.load(sys.argv[3])), None)])
np.savez(sys.argv[4], energies=[float(e) for e in energies], forces=torch.stack(forces).numpy())
about = json.loads(extra["openmm_cgml.json"])
print(about["n_beads"], about["units"], [m for m in ("openmm_cgml", "torchmdnet", "warp", "openmm") if m in sys.modules])
"""


@pytest.mark.slow
@pytest.mark.backend
@pytest.mark.parametrize("n_beads", [1, 3])
def test_torchscript_is_loaded_without_this_package_and_gives_the_same(tmp_path, n_beads):
    force_field = tiny_force_field(n_beads)
    force_field.save(tmp_path / "model")
    topology, positions, box = benzene_box(n_beads, 20, density=0.3)
    export(str(tmp_path / "model"), torchscript=tmp_path / "network.pt", molecules=20)
    np.save(tmp_path / "x.npy", positions)
    np.save(tmp_path / "box.npy", np.asarray(box))
    files = [str(tmp_path / name) for name in ("network.pt", "x.npy", "box.npy", "out.npz")]
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOAD, *files],
        capture_output=True,
        text=True,
        check=False,
        env=outside,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{20 * n_beads} nm, kJ/mol []"
    found = np.load(tmp_path / "out.npz")
    deployed = ForceField.load(tmp_path / "model").deploy(topology)
    for i, vectors in enumerate((torch.tensor(np.asarray(box)), None)):
        energy, forces = deployed(torch.tensor(positions), vectors)
        assert float(energy) == pytest.approx(found["energies"][i], rel=1e-6)
        np.testing.assert_allclose(found["forces"][i], forces.numpy(), atol=1e-5 * float(forces.abs().max()))
    assert abs(found["energies"][0] - found["energies"][1]) > 0.01  # the box counts


@pytest.mark.backend
def test_torchscript_for_the_beads_of_a_build(tmp_path):
    force_field = tiny_force_field()
    force_field.save(tmp_path / "model")
    write_build(tmp_path / "model", tmp_path / "build", 64)
    export(str(tmp_path / "model"), torchscript=tmp_path / "network.pt", topology=tmp_path / "build")
    with pytest.raises(OutputExistsError):
        export(str(tmp_path / "model"), torchscript=tmp_path / "network.pt", topology=tmp_path / "build")
    export(str(tmp_path / "model"), torchscript=tmp_path / "network.pt", molecules=3, overwrite=True)


def test_what_torchscript_needs_is_asked_for(fitted, tmp_path):
    with pytest.raises(InputError, match="--output FOLDER"):
        export(str(fitted))
    with pytest.raises(InputError, match="--topology FILE or as --molecules"):
        export(str(fitted), torchscript=tmp_path / "network.pt")
    with pytest.raises(InputError, match="has no network"):
        export(str(fitted), torchscript=tmp_path / "network.pt", molecules=3)
    assert not (tmp_path / "network.pt").exists()
