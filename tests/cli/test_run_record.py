import json

import pytest

from openmm_cgml.cli.run_record import read_run_record, recorded
from openmm_cgml.errors import ArtifactError, InputError


def test_finished_work_is_recorded_with_arguments_versions_and_result(tmp_path):
    with recorded(tmp_path, "simulate", {"output": tmp_path, "steps": 10, "temperature": float("nan")}) as result:
        result["temperature"] = 300.5
    record = read_run_record(tmp_path / "run.json")
    assert record["ending"] == "finished"
    assert record["arguments"] == {"output": str(tmp_path), "steps": 10, "temperature": "nan"}
    assert record["result"] == {"temperature": 300.5}
    assert {"python", "openmm", "torch"} <= record["versions"].keys()


def test_refused_work_leaves_no_record(tmp_path):
    with pytest.raises(InputError), recorded(tmp_path, "fit", {}):
        raise InputError("wrong")
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(
    ("error", "ending"),
    [(KeyboardInterrupt(), "interrupted"), (SystemExit(143), "terminated"), (RuntimeError("boom"), "failed: boom")],
)
def test_the_way_a_run_ended_is_recorded(tmp_path, error, ending):
    with pytest.raises(type(error)), recorded(tmp_path, "fit", {}):
        raise error
    assert read_run_record(tmp_path / "run.json")["ending"] == ending


def test_a_resumed_run_keeps_the_earlier_record(tmp_path):
    for verb in ("one", "two", "three"):
        with recorded(tmp_path, verb, {}):
            pass
    record = read_run_record(tmp_path / "run.json")
    assert record["verb"] == "three"
    assert [earlier["verb"] for earlier in record["earlier"]] == ["one", "two"]


def test_a_file_that_is_no_record_is_refused(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"schema": "other"}))
    with pytest.raises(ArtifactError, match="not a record"):
        read_run_record(tmp_path / "run.json")
