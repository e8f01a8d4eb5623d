import hashlib
import json
import os
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.force_field import ForceField, artifact
from openmm_cgml.force_field.artifact import describe_file, read_folder, write_folder
from openmm_cgml.force_field.manifest import digest_of
from tests.fixtures import tiny_force_field

DATA_FILES = ("network.json", "priors.json", "weights.safetensors", "selftest.safetensors")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return tiny_force_field(3).save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def model(original, tmp_path):
    return shutil.copytree(original, tmp_path / "tiny")


def edit_manifest(model, change, *, seal=False):
    """Change the manifest's content; `seal` also corrects its digest, as somebody who means harm would."""
    path = model / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    if seal:
        document["digest"] = digest_of(document)
    path.write_text(json.dumps(document))


def replace_file(model, name, data):
    """Exchange a file and everything recorded about it."""
    (model / name).write_bytes(data)
    entry = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit_manifest(model, lambda document: document["files"].update({name: entry}), seal=True)


def test_the_output_folder_of_a_fit_stands_for_the_force_field_in_it(tmp_path):
    tiny_force_field().save(tmp_path / "fit" / "force_field")
    assert (
        ForceField.load(tmp_path / "fit").fingerprint == ForceField.load(tmp_path / "fit" / "force_field").fingerprint
    )


def test_a_save_that_was_killed_in_the_folder_of_a_fit_is_finished(tmp_path):
    folder = tmp_path / "fit" / "force_field"
    tiny_force_field().save(folder)
    folder.rename(artifact._previous(folder))
    assert artifact.find_force_field(tmp_path / "fit") == folder


def test_an_untouched_copy_loads(model):
    assert ForceField.load(model).name == "tiny-benzene-3bead"


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_changed_byte_is_refused_with_both_checksums(model, name):
    data = bytearray((model / name).read_bytes())
    recorded = hashlib.sha256(data).hexdigest()
    data[len(data) // 2] ^= 1
    (model / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=name) as refusal:
        ForceField.load(model)
    assert recorded in str(refusal.value)
    assert hashlib.sha256(data).hexdigest() in str(refusal.value)


@pytest.mark.parametrize("name", DATA_FILES)
@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(model, name, fraction):
    data = (model / name).read_bytes()
    (model / name).write_bytes(data[: int(fraction * len(data))])
    with pytest.raises(ArtifactError, match=name):
        ForceField.load(model)


@pytest.mark.parametrize("name", [*DATA_FILES, "manifest.json"])
def test_a_missing_file_is_refused(model, name):
    (model / name).unlink()
    with pytest.raises((ArtifactError, InputError), match=name):
        ForceField.load(model)


def test_every_changed_byte_of_the_manifest_is_refused_or_changes_nothing(model):
    path = model / "manifest.json"
    data = path.read_bytes()
    meaning = json.loads(data)
    for position in range(0, len(data), max(1, len(data) // 200)):
        damaged = bytearray(data)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        try:
            document, _ = read_folder(model)
        except ArtifactError:
            continue
        assert document == meaning


def test_a_newer_format_is_refused_with_the_way_to_upgrade(model):
    edit_manifest(model, lambda document: document.update(version=[2, 0]), seal=True)
    with pytest.raises(ArtifactError, match=r"format 2\.0.*pip install --upgrade"):
        ForceField.load(model)


def test_an_unknown_required_feature_is_refused_by_name(model):
    edit_manifest(model, lambda document: document.update(required_features=["charges"]), seal=True)
    with pytest.raises(ArtifactError, match="charges"):
        ForceField.load(model)


def test_additions_of_a_newer_minor_version_are_ignored(model):
    def add(document):
        document.update(version=[1, 7], mood="sunny")
        document["training"]["weather"] = "fair"

    edit_manifest(model, add, seal=True)
    assert ForceField.load(model).training_summary.temperature == 300.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": 1, "schema": 2}', "appears twice"),
        ('{"schema": NaN}', "NaN"),
        ("[" * 100_000, "not readable"),
        ("[]", "not a force field"),
        ('{"schema": "openmm-cgml/force-field", "version": "1"}', "version"),
        ("", "not readable"),
        ("\xff\xfe", "not readable"),
    ],
)
def test_manifests_that_are_not_strict_json_of_ours_are_refused(model, text, reason):
    (model / "manifest.json").write_bytes(text.encode("latin1"))
    with pytest.raises(ArtifactError, match=reason):
        ForceField.load(model)


class Malicious:
    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return os.system, (f"touch {self.sentinel}",)


@pytest.mark.parametrize("kind", ["pickle", "checkpoint"])
@pytest.mark.parametrize("place", ["instead of the folder", "as the weights", "beside the weights"])
def test_pickles_are_recognized_by_content_and_never_run(model, tmp_path, kind, place):
    sentinel = tmp_path / "executed"
    path = tmp_path / "evil.safetensors"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Malicious(sentinel)))
    else:
        torch.save({"weights": Malicious(sentinel)}, path)
    expected = "pickle" if kind == "pickle" else "checkpoint"
    target = path
    if place == "as the weights":
        replace_file(model, "weights.safetensors", path.read_bytes())
        target = model
    elif place == "beside the weights":
        shutil.copy(path, model / "model.ckpt")
        target = model
    with pytest.raises(ArtifactError, match=rf"{expected}.*can run any code"):
        ForceField.load(target)
    assert not sentinel.exists()
    # The control: the file does run code for a reader that trusts it.
    if kind == "pickle":
        pickle.loads(path.read_bytes())
        assert sentinel.exists()


def test_a_serialized_system_with_a_python_force_is_refused(tmp_path):
    path = tmp_path / "system.xml"
    path.write_text('<?xml version="1.0" ?><System><Forces><Force type="PythonForce"/></Forces></System>')
    with pytest.raises(ArtifactError, match="run any code"):
        ForceField.load(path)


def test_symbolic_links_are_refused(model, tmp_path):
    moved = tmp_path / "weights"
    shutil.move(model / "weights.safetensors", moved)
    (model / "weights.safetensors").symlink_to(moved)
    with pytest.raises(ArtifactError, match="symbolic link"):
        ForceField.load(model)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hostname", "code.py", "manifest.json"])
def test_files_that_no_force_field_has_are_refused_in_the_manifest(model, name):
    entry = {"size": 1, "sha256": "0" * 64}
    edit_manifest(model, lambda document: document["files"].update({name: entry}), seal=True)
    with pytest.raises(ArtifactError, match="no force field has"):
        ForceField.load(model)


def test_unknown_files_in_the_folder_are_refused_but_the_card_may_have_pictures(model):
    (model / "card").mkdir()
    (model / "card" / "rdf.png").write_bytes(b"picture")
    ForceField.load(model)
    (model / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"notes\.txt.*does not belong"):
        ForceField.load(model)


def test_oversized_files_are_refused_before_they_are_read(model):
    with open(model / "network.json", "r+b") as file:
        file.truncate(artifact.SIZE_LIMITS["network.json"] + 1)  # sparse
    with pytest.raises(ArtifactError, match="limit"):
        ForceField.load(model)


def test_a_tensor_file_with_an_absurd_header_is_refused(model):
    replace_file(model, "weights.safetensors", (10**9).to_bytes(8, "little") + b"{}")
    with pytest.raises(ArtifactError, match="header of 1000000000"):
        ForceField.load(model)


def test_saving_refuses_to_replace_unless_asked(model):
    force_field = ForceField.load(model)
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        force_field.save(model)
    force_field.save(model, overwrite=True)
    assert ForceField.load(model).fingerprint == force_field.fingerprint


def test_saving_never_replaces_what_is_no_force_field(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years")
    with pytest.raises(InputError, match="not a force field"):
        tiny_force_field(1).save(precious, overwrite=True)
    assert (precious / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize("fatal_call", [1, 2])
@pytest.mark.parametrize("clean_up", [True, False])
def test_a_kill_while_replacing_leaves_a_complete_folder(tmp_path, monkeypatch, fatal_call, clean_up):
    path = tmp_path / "model"
    old = {"manifest.json": b'{"schema": "openmm-cgml/force-field"}', "priors.json": b"old"}
    write_folder(path, old)
    rename, calls = os.rename, []

    def die(source, target):
        calls.append(target)
        if len(calls) == fatal_call or (not clean_up and len(calls) > fatal_call):
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "rename", die)
    with pytest.raises(KeyboardInterrupt):
        write_folder(path, {"manifest.json": b"new", "priors.json": b"new"}, overwrite=True)
    monkeypatch.undo()
    artifact.finish_interrupted_save(path)  # what the next load or save does first
    assert {file.name: file.read_bytes() for file in path.iterdir()} == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_safetensors_files_are_never_taken_for_pickles(tmp_path):
    path = tmp_path / "weights.safetensors"
    first_bytes = set()
    for length in range(1, 200):
        path.write_bytes(save({"x" * length: np.zeros(3, np.float32)}))
        first_bytes.add(path.read_bytes()[:2])
        assert describe_file(path) == "a safetensors file"
    assert b"\x80\x00" in first_bytes  # the first byte of a pickle


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_to_a_data_file_is_refused(original, tmp_path, data):
    model = tmp_path / "damaged"
    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(original, model)
    path = model / data.draw(st.sampled_from(DATA_FILES))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "append", "remove"]))
    if kind == "flip":
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del content[position:]
    elif kind == "append":
        content += data.draw(st.binary(min_size=1, max_size=9))
    else:
        del content[position]
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=path.name):
        ForceField.load(model)


def test_files_are_described_by_content(tmp_path):
    cases = {
        "empty": (b"", "empty"),
        "text": (b"hello", "a file"),
        "pickle": (pickle.dumps({}), "pickle"),
        "old pickle": (pickle.dumps({"a": 1}, protocol=0), "pickle"),
        "xml": (b"<?xml version='1.0'?><System/>", "XML"),
    }
    for name, (data, expected) in cases.items():
        (tmp_path / name).write_bytes(data)
        assert expected in describe_file(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "zip", "w") as archive:
        archive.writestr("a.txt", "a")
    assert describe_file(tmp_path / "zip") == "a zip archive"
    scripted = tmp_path / "model.pt"
    with zipfile.ZipFile(scripted, "w") as archive:
        archive.writestr("model/constants.pkl", b"")
    assert "TorchScript" in describe_file(scripted)
