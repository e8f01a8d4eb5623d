import json

import pytest

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field import Manifest, TrainingSummary, manifest


def document(**changes):
    base = json.loads(manifest.write_document(Manifest(name="m"), {"bead_types": ["A"]}, {"priors.json": b"{}"}))
    return {**base, **changes}


def test_a_written_manifest_reads_back():
    given = Manifest(
        name="m",
        training=TrainingSummary(temperature="300 K", density="0.84 g/cm^3", metrics={"force_rmse": 1.5}),
        validation={"gr_rmse": 0.03},
    )
    text = manifest.write_document(given, {}, {})
    assert manifest.read_manifest(json.loads(text), name="m") == given


def test_the_digest_covers_everything_else():
    one = document()
    assert one["digest"] == manifest.digest_of(one)
    assert manifest.digest_of({**one, "name": "n"}) != one["digest"]


def test_misspelled_entries_are_refused_when_a_manifest_is_made():
    with pytest.raises(InputError, match="validation"):
        Manifest(name="m", valdation={})


def test_values_that_are_not_finite_are_refused_when_written():
    with pytest.raises(InputError, match="finite"):
        manifest.write_document(Manifest(name="m", validation={"gr_rmse": float("nan")}), {}, {})


def test_wrong_values_are_refused_when_read():
    with pytest.raises(ArtifactError, match="prior_location"):
        manifest.read_manifest(document(prior_location="network"), name="m")


def test_older_formats_go_through_the_upgrade_functions_in_order(monkeypatch):
    def one_to_two(content, files):
        return {**content, "version": [2, 0], "title": content["name"]}, files

    def two_to_three(content, files):
        return {**content, "version": [3, 0], "name": content["title"] + "!"}, {**files, "extra": b""}

    written = document()
    monkeypatch.setattr(manifest, "VERSION", (3, 0))
    monkeypatch.setattr(manifest, "UPGRADES", {1: one_to_two, 2: two_to_three})
    content, files = manifest.upgrade(written, {}, name="m")
    assert (content["name"], content["version"], files) == ("m!", [3, 0], {"extra": b""})
    monkeypatch.setattr(manifest, "UPGRADES", {2: two_to_three})
    with pytest.raises(ArtifactError, match="older than any"):
        manifest.upgrade(written, {}, name="m")
