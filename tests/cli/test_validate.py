import numpy as np
import pytest

from openmm_cgml.cli.app import main
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameWriter
from openmm_cgml.storage import write_json
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.validation.reference_summary import read_reference_summary
from openmm_cgml.validation.transfer import Transfer
from tests.analysis.chain_models import make_chains, phantom_melt

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
    assert read_reference_summary(reference).limits["gr_com_rmse"] == 9.0
    assert run(tmp_path / "run", "--reference", reference, "-o", report, "--discard", "5 ps") == 0
    assert "mean temperature" in capsys.readouterr().out
    assert (report / "report.html").is_file()
    again = (tmp_path / "run", "--reference", reference, "-o", report, "--overwrite", "--limit")
    assert run(*again, "gr_com_rmse=1e-9", "--strict") == 4
    assert run(*again, "typo=1") == 2
    assert "gr_com_rmse" in capsys.readouterr().err
    assert run(*again, "gr_com_rmse") == 2
    assert run(tmp_path / "run", "--reference", reference, "-o", report) == 2
    assert run("--reference", reference, "-o", report) == 2  # no runs


def write_run(folder, frames, topology):
    with FrameWriter(folder / "trajectory", metadata={}) as writer:
        writer.append(frames.replace(energies={**frames.energies, "potential": np.zeros(len(frames))}))
    write_json(folder / "topology.json", topology.to_dict())
    write_json(folder / "result.json", {"status": "complete", "notes": []})
    return folder


@pytest.mark.slow
def test_transfer_compares_runs_with_one_another(tmp_path, capsys):
    settings = {"n_frames": 20, "step": 0.005}
    short = write_run(tmp_path / "short", phantom_melt(8, 20, seed=1, **settings), make_chains(8, 20))
    long = write_run(tmp_path / "long", phantom_melt(4, 40, seed=2, **settings), make_chains(4, 40))
    other = write_run(tmp_path / "other", phantom_melt(4, 40, seed=2, bond=0.3, **settings), make_chains(4, 40))
    out, options = tmp_path / "out", ("--discard", "0 ps", "--strict", "--limit", "tolerance=0.05")
    run("--transfer", short, "--transfer", long, "-o", out, *options)
    assert "displacement² of inner beads" in capsys.readouterr().out
    page = (out / "transfer.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    assert "4 chains, 160 beads" in page
    assert Transfer.from_json((out / "transfer.json").read_text()).runs[1].chain_beads == 40
    assert run("--transfer", short, "--transfer", other, "-o", tmp_path / "far", *options) == 4
    assert "the runs differ in" in capsys.readouterr().out
    assert run("--transfer", short, "--transfer", long, "-o", out) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_transfer_needs_runs_of_its_own_and_a_validation_its_reference(tmp_path, capsys):
    assert run("--transfer", tmp_path, "-o", tmp_path / "out") == 2
    assert "at least two" in capsys.readouterr().err
    assert run(tmp_path, "--transfer", tmp_path, "-o", tmp_path / "out") == 2
    assert "no other runs" in capsys.readouterr().err
    assert run(tmp_path, "-o", tmp_path / "out") == 2
    assert "no reference" in capsys.readouterr().err
