import ast
from pathlib import Path

import pytest

import openmm_cgml
from openmm_cgml.errors import ArtifactError, OutputExistsError
from openmm_cgml.runs import RunFolder, RunRecord
from openmm_cgml.runs.folder import LAST_GOOD, LOG, OUTPUT, STRUCTURE, TOPOLOGY, XTC
from openmm_cgml.runs.record import RECORD
from openmm_cgml.runs.result import RESULT
from openmm_cgml.storage import check_output

NAMES = {LAST_GOOD, LOG, RECORD, RESULT, STRUCTURE, TOPOLOGY, XTC}


def literals(path):
    return {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}


def test_no_other_module_names_a_file_of_a_run():
    package = Path(openmm_cgml.__file__).parent
    sources = [*package.rglob("*.py"), *(package.parent / "benchmarks").glob("*.py")]
    found = {str(path.relative_to(package.parent)): literals(path) & NAMES for path in sources if path.parent != package / "runs"}
    assert {name: names for name, names in found.items() if names} == {}
    assert NAMES & literals(package / "runs" / "folder.py")


def test_a_record_reads_back_and_keeps_entries_that_it_does_not_know(tmp_path):
    record = RunRecord(config={"replicas": 2}, n_beads=3, segments=({"mode": "start"},), others={"answer": 42})
    record.write(tmp_path / RECORD)
    read = RunRecord.read(tmp_path / RECORD)
    assert read.to_dict() == record.to_dict()
    assert (read.replicas, read.others["answer"], read.last_segment["mode"]) == (2, 42, "start")


@pytest.mark.parametrize("text", ['{"schema": "other/1"}', "[]", '{"config": 3}'])
def test_a_file_that_is_no_record_is_refused(tmp_path, text):
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(ArtifactError, match=RECORD):
        RunFolder(tmp_path).read_record()


def test_a_run_that_was_killed_has_no_result_and_says_so(tmp_path):
    assert RunFolder(tmp_path).describe_result() == {"status": "unfinished"}


def test_replicas_are_found_by_the_record_and_sorted(tmp_path):
    folders = RunFolder(tmp_path).replica_folders(12)
    for number, folder in enumerate(folders, 1):
        folder.path.mkdir()
        RunRecord(config={"replicas": 12}, replica=number).write(folder.record)
    RunRecord(config={"replicas": 12}).write(RunFolder(tmp_path).record)
    assert RunFolder(tmp_path).replicas() == list(folders)
    assert folders[1].replicas() == [folders[1]]


def test_clearing_keeps_the_lock_and_what_is_not_of_a_run(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"notes.txt"):
        check_output(tmp_path, OUTPUT, overwrite=True)
    RunRecord().write(folder.record)
    folder.log.write_text("")
    (tmp_path / ".lock").write_text("")
    with pytest.raises(OutputExistsError, match=r"notes.txt"):
        check_output(tmp_path, OUTPUT, overwrite=True)
    folder.clear()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "notes.txt"]
