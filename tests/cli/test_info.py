import json
import re

import numpy as np
import pytest

from openmm_cgml.cli.info import describe, info
from openmm_cgml.cli.run_record import recorded
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameWriter
from openmm_cgml.topology import CGTopology, ResidueTemplate

TEMPLATE = ResidueTemplate(name="WAT", bead_names=("W",), bead_type_names=("W",), masses=(18.0,), bonds=())


@pytest.fixture
def dataset(tmp_path):
    topology = CGTopology.from_residues([(TEMPLATE, 3)])
    metadata = {
        "kind": "openmm-cgml/dataset", "labels": "instantaneous", "temperature": 300.0, "topology": topology.to_dict(),
        "templates": [TEMPLATE.to_dict()], "mapping_fingerprint": "m", "source": {"force_field": "x"},
    }  # fmt: skip
    rng = np.random.default_rng(0)
    with FrameWriter(tmp_path / "data", metadata=metadata) as writer:
        writer.append(
            Frames(
                positions=rng.normal(size=(4, 3, 3)),
                forces=rng.normal(size=(4, 3, 3)),
                box=np.tile(2.5 * np.eye(3), (4, 1, 1)),
                energies={"inter": np.zeros(4)},
                times=np.arange(4.0),
            )
        )
    return tmp_path / "data"


def test_a_dataset_is_recognized_by_its_content(dataset):
    (found,) = describe(str(dataset))
    assert found.kind == "dataset"
    assert found.facts["frames"] == 4
    assert found.facts["molecules"] == 3
    assert found.facts["per frame"] == ["positions", "forces"]
    assert found.facts["time [ps]"] == "0 to 3"


def test_what_made_a_folder_is_told_after_what_is_in_it(dataset):
    with recorded(dataset, "map", {"force_map": "uniform"}):
        pass
    assert [item.kind for item in describe(str(dataset))] == ["dataset", "run"]
    assert [item.kind for item in describe(str(dataset / "manifest.json"))] == ["dataset", "run"]


def test_damage_is_found_unless_verification_is_declined(dataset):
    shard = next(dataset.glob("frames-*.h5"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ArtifactError, match="changed since"):
        describe(str(dataset))
    assert describe(str(dataset), verify=False)[0].facts["checksums"] == "not compared"


def test_a_simulation_is_told_with_its_result(tmp_path):
    (tmp_path / "simulation.json").write_text(
        '{"schema": "openmm-cgml/simulation/1", "config": {"temperature": 300.0}}'
    )
    (found,) = describe(str(tmp_path))
    assert (found.kind, found.facts["result"]) == ("simulation", {"status": "unfinished"})
    (tmp_path / "result.json").write_text('{"status": "complete"}')
    assert describe(str(tmp_path))[0].facts["result"] == {"status": "complete"}


def test_a_shipped_system_is_found_by_name():
    kinds = {item.kind for item in describe("benzene-3bead")}
    assert "system" in kinds


def test_text_and_json_say_the_same(dataset, capsys):
    info(str(dataset))
    text = capsys.readouterr().out
    info(str(dataset), as_json=True)
    (content,) = json.loads(capsys.readouterr().out)
    assert content["kind"] == "dataset"
    assert re.search(rf"^  frames +{content['frames']}$", text, re.MULTILINE)
    assert re.search(r"^  source\n    force_field  x$", text, re.MULTILINE)


def test_what_is_not_ours_is_said_so(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema": "other"}')
    with pytest.raises(ArtifactError, match="'other' is none of this program's"):
        describe(str(tmp_path))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no model, system"):
        describe(str(tmp_path))


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(InputError, match="benzene-1bead"):
        describe("benzene-7bead")


def test_what_pairs_act_between_is_told(capsys):
    info("benzene-3bead")
    assert "between centers of molecules" in capsys.readouterr().out
    info("pim-1")
    text = capsys.readouterr().out
    assert re.search(r"PF in pairs +taken for P", text)
    assert re.search(r"fading_torsion S2-P-S1-S2 +k1 1\.\d+ kJ/mol", text)
