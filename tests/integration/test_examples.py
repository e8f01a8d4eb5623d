import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.force_field.manifest import TrainingSummary
from openmm_cgml.frames import Frames
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.priors import PriorSet, PriorTerm
from openmm_cgml.topology import CGTopology, ResidueTemplate

EXAMPLES = Path(__file__).parents[2] / "examples"
TEMPLATE = ResidueTemplate(name="BNZ", bead_names=("B1",), bead_type_names=("C6H6",), masses=(78.11,), bonds=())
N_MOLECULES = 64


@pytest.fixture
def model(tmp_path):
    """A force field whose network adds little to its prior."""
    parameters = {"sigma": 0.4, "epsilon": 4.184, "exponent": 12, "cutoff": 0.8, "switch_distance": 0.7}
    force_field = ForceField(
        priors=PriorSet(terms=(PriorTerm(form="power_repulsion", types=("C6H6", "C6H6"), parameters=parameters),)),
        network=SchNet(SchNetConfig(cutoff=0.8, n_features=8, n_filters=8, n_inter_blocks=1, energy_scale=1e-3), 1),
        templates=(TEMPLATE,),
        type_names=("C6H6",),
        manifest=Manifest(name="soft", training=TrainingSummary(temperature=300.0, density=0.84)),
    )
    return force_field.save(tmp_path / "model")


@pytest.fixture
def reference(tmp_path):
    """A dataset of beads that shake about the sites of a lattice."""
    rng = np.random.default_rng(0)
    edge = 2.146
    sites = (np.stack(np.meshgrid(*[np.arange(4)] * 3), axis=-1).reshape(-1, 3) + 0.5) * edge / 4
    positions = sites + 0.05 * rng.normal(size=(40, N_MOLECULES, 3))
    frames = Frames(
        positions=positions,
        forces=rng.normal(size=positions.shape),
        box=np.tile(edge * np.eye(3), (40, 1, 1)),
        energies={"inter": rng.normal(size=40)},
        times=0.5 * np.arange(40.0),
    )
    ForceMatchingDataset.create(
        tmp_path / "data", [frames], topology=CGTopology.from_residues([(TEMPLATE, N_MOLECULES)]), temperature=300.0,
        mapping_fingerprint="none", source={"system": "shaken lattice"}, templates=[TEMPLATE],
    )  # fmt: skip
    return tmp_path / "data"


@pytest.mark.slow
def test_the_demo_writes_a_report(model, reference, tmp_path, monkeypatch, capsys):
    output = tmp_path / "demo"
    arguments = [
        "--model",
        model,
        "--system",
        reference,
        "--molecules",
        N_MOLECULES,
        "--duration",
        "2 ps",
        "--output",
        output,
    ]
    monkeypatch.setattr(sys, "argv", ["demo.py", *map(str, arguments)])
    for _ in range(2):  # a second run replaces the first
        runpy.run_path(str(EXAMPLES / "demo.py"), run_name="__main__")
        out = capsys.readouterr().out
        assert "mean temperature" in out
        assert (output / "report.html").read_text(encoding="utf8").count("<img") >= 2
        assert (output / "run" / "trajectory.xtc").is_file()
