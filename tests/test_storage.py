import json
import multiprocessing
import os
import socket

import pytest

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.storage import (
    OutputKind,
    check_output,
    hold_output,
    lock_directory,
    parse_json,
    prepare_output,
    read_json,
    seal,
    unseal,
    write_atomically,
    write_json,
    write_sealed_json,
)

KIND = OutputKind(verb="try", marker="old", members=("old", "part-*", "data"))


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


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": 1',
        "[Infinity]",
        "[" * 100_000,
        '{"a": 1e999}',
        '{"a": "\\ud800"}',
        "9" * 5000,
    ],
)
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
    with pytest.raises(OutputExistsError, match="'old'"):
        prepare_output(tmp_path, resume=True)
    assert prepare_output(tmp_path, KIND, resume=True) == tmp_path
    assert (tmp_path / "old").exists()
    prepare_output(tmp_path, KIND, overwrite=True)
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


def test_a_sealed_file_reads_back_and_any_change_of_it_is_refused(tmp_path):
    path = tmp_path / "a.json"
    write_sealed_json(path, {"b": [1, 2.5], 10: "x", 9: None})
    assert read_json(path) == {"b": [1, 2.5], "10": "x", "9": None}
    for old, new in (
        ("2.5", "2.6"),
        ('"content_sha256"', '"content"'),
        ('"sealed": true', '"seal": true'),
        ("true", "1"),
    ):
        changed = path.read_text().replace(old, new)
        assert changed != path.read_text()
        with pytest.raises(ArtifactError, match="damaged"):
            unseal(parse_json(changed, name="a.json"), name="a.json")


def test_either_half_of_a_seal_tells_that_the_other_is_missing():
    for key in ("content_sha256", "sealed"):
        content = seal({"a": 1})
        del content[key]
        with pytest.raises(ArtifactError):
            unseal(content, name="content")


def test_files_of_earlier_releases_have_no_seal_and_are_read(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    assert read_json(tmp_path / "a.json") == {"a": 1}


def make_output(folder, *others):
    folder.mkdir()
    for name in ("old", "part-1", *others):
        (folder / name).write_text("x")
    return folder


def test_overwriting_deletes_what_the_verb_wrote_and_refuses_what_it_did_not(tmp_path):
    mine, shared = make_output(tmp_path / "mine"), make_output(tmp_path / "shared", "thesis.tex")
    with hold_output(mine, KIND, overwrite=True):
        assert [member.name for member in mine.iterdir()] == [".lock"]
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"), hold_output(shared, KIND, overwrite=True):
        pass
    assert sorted(member.name for member in shared.iterdir()) == ["old", "part-1", "thesis.tex"]


def test_overwriting_refuses_inputs_however_they_are_named(tmp_path, monkeypatch):
    mine = make_output(tmp_path / "mine")
    make_output(mine / "data")
    (tmp_path / "link").symlink_to(mine / "data")
    for given in (mine, mine / "data", tmp_path / "link", mine / ".." / "mine" / "old"):
        with pytest.raises(InputError, match="must not be deleted"):
            check_output(mine, KIND, overwrite=True, inputs=[given])
    monkeypatch.chdir(mine / "data")
    for path in (".", "..", mine):
        with pytest.raises(InputError, match="must not be deleted"):
            check_output(path, KIND, overwrite=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(mine))
    with pytest.raises(InputError, match="must not be deleted"):
        check_output(mine, KIND, overwrite=True)
    assert (mine / "old").exists()


def test_overwriting_a_link_in_an_output_deletes_the_link_alone(tmp_path):
    mine, far = make_output(tmp_path / "mine"), make_output(tmp_path / "far")
    (mine / "data").symlink_to(far)
    prepare_output(mine, KIND, overwrite=True)
    assert not (mine / "data").is_symlink()
    assert (far / "old").exists()


def test_a_folder_that_another_process_holds_is_not_emptied(tmp_path):
    mine = make_output(tmp_path / "mine")
    with (
        lock_directory(mine),
        pytest.raises(OutputExistsError, match="in use"),
        hold_output(mine, KIND, overwrite=True),
    ):
        pass
    assert (mine / "part-1").exists()


@pytest.mark.parametrize("text", ["{pid} {host}", "1 elsewhere", "12x somewhere", "\x00" * 9])
def test_what_a_lock_file_says_is_not_what_holds_the_folder(tmp_path, text):
    text = text.format(pid=os.getpid(), host=socket.gethostname())
    (tmp_path / ".lock").write_text(text)
    with lock_directory(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def test_an_empty_lock_counts_while_it_is_young(tmp_path):
    (tmp_path / ".lock").touch()
    with pytest.raises(OutputExistsError, match="being taken"), lock_directory(tmp_path):
        pass
    os.utime(tmp_path / ".lock", (0, 0))
    with lock_directory(tmp_path):
        pass


def test_of_processes_that_start_at_once_on_a_stale_lock_one_gets_the_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    (tmp_path / ".lock").write_text(f"999999999 {socket.gethostname()}\n")
    start, done, results = context.Barrier(4), context.Barrier(4), context.SimpleQueue()

    def work():
        start.wait()
        try:
            with lock_directory(tmp_path):
                results.put(1)
                done.wait()
        except OutputExistsError:
            results.put(0)
            done.wait()

    workers = [context.Process(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert sum(results.get() for _ in workers) == 1
    for worker in workers:
        worker.join()


def test_what_a_process_left_that_was_killed_while_it_took_the_lock_goes(tmp_path):
    left = tmp_path / ".lock.elsewhere.1.2.tmp"
    left.write_text("1 elsewhere\n")
    with lock_directory(tmp_path):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []
