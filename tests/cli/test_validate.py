import numpy as np
import pytest

from openmm_cgml.analysis.reference_summary import read_reference_summary
from openmm_cgml.cli.app import main
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameWriter
from openmm_cgml.storage import write_json
from openmm_cgml.topology import CGTopology, ResidueTemplate

BEAD = ResidueTemplate(name="X", bead_names=("X",), bead_type_names=("X",), masses=(40.0,))
TOPOLOGY = CGTopology.from_residues([(BEAD, 30)])


def make_frames(seed):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 2.5, (1, 30, 3)) + np.cumsum(rng.normal(0, 0.02, (30, 30, 3)), axis=0)
    energies = {"potential": rng.normal(-10, 1, 30), "kinetic": rng.normal(112, 1, 30)}
    return Frames(
        positions=positions, box=np.stack([np.eye(3) * 2.5] * 30), times=np.arange(30.0), energies=energies,
        forces=rng.normal(size=positions.shape),
    )  # fmt: skip


def run(*arguments):
    with pytest.raises(SystemExit) as ending:
        main(["validate", *map(str, arguments)])
    return ending.value.code


@pytest.mark.slow
def test_validate_writes_a_reference_and_a_report(tmp_path, capsys):
    ForceMatchingDataset.create(
        tmp_path / "data", [make_frames(0)], topology=TOPOLOGY, temperature=300.0, mapping_fingerprint="m",
        source={"system": "x"}, templates=[],
    )  # fmt: skip
    with FrameWriter(tmp_path / "run" / "trajectory", metadata={}) as writer:
        writer.append(make_frames(1).replace(forces=None))
    write_json(tmp_path / "run" / "topology.json", TOPOLOGY.to_dict())
    write_json(tmp_path / "run" / "result.json", {"status": "complete", "notes": []})
    reference, report = tmp_path / "reference.json", tmp_path / "report"
    wrote = run("--reference", tmp_path / "data", "--write-reference", "-o", reference, "--limit", "gr_com_rmse=9")
    assert wrote == 0
    assert read_reference_summary(reference).limits.gr_com_rmse == 9.0
    assert run(tmp_path / "run", "--reference", reference, "-o", report, "--discard", "5 ps") == 0
    assert "mean temperature" in capsys.readouterr().out
    assert (report / "report.html").is_file()
    again = (tmp_path / "run", "--reference", reference, "-o", report, "--overwrite", "--limit")
    assert run(*again, "gr_com_rmse=1e-9", "--strict") == 4
    assert run(*again, "typo=1") == 2
    assert "gr_com_rmse" in capsys.readouterr().err
    assert run(*again, "gr_com_rmse") == 2
    assert run(tmp_path / "run", "--reference", reference, "-o", report) == 2
    assert run("--reference", reference, "-o", report) == 2
