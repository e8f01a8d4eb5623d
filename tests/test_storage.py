import json
import os
import socket

import pytest

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.storage import lock_directory, parse_json, prepare_output, read_json, write_atomically, write_json


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '{"a": NaN}', '{"a": 1', "[Infinity]", "[" * 100_000])
def test_json_that_is_not_strict_is_refused(text):
    with pytest.raises(ArtifactError):
        parse_json(text, name="file")


def test_nan_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_used_folder_is_refused_unless_asked(tmp_path):
    (tmp_path / "old").write_text("x")
    with pytest.raises(OutputExistsError, match="--resume"):
        prepare_output(tmp_path)
    assert prepare_output(tmp_path, resume=True) == tmp_path
    assert (tmp_path / "old").exists()
    prepare_output(tmp_path, overwrite=True)
    assert not (tmp_path / "old").exists()
    with pytest.raises(InputError):
        prepare_output(tmp_path, overwrite=True, resume=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputExistsError):
        prepare_output(tmp_path / "file", overwrite=True)


def test_a_folder_is_held_once_and_a_dead_holder_does_not_count(tmp_path):
    with lock_directory(tmp_path):
        (tmp_path / ".lock").write_text(f"1 {socket.gethostname()}\n")  # process 1 is alive on any Unix machine
        with pytest.raises(OutputExistsError, match="process 1"), lock_directory(tmp_path):
            pass
    (tmp_path / ".lock").write_text(f"999999999 {socket.gethostname()}\n")
    with lock_directory(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text().split()[0]) == os.getpid()
    assert not (tmp_path / ".lock").exists()
