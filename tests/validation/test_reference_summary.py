import copy
import functools
import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.shipped import find_system
from openmm_cgml.validation.limits import ValidationLimits
from openmm_cgml.validation.quantities import MOBILITY, STRUCTURE
from openmm_cgml.validation.reference_summary import (
    ReferenceSummary,
    read_reference_summary,
    summarize_reference,
    write_reference_summary,
)
from tests.validation.conftest import make_frames, make_topology
from tests.validation.older_files import as_version_1, as_version_2


@functools.cache
def old_content():
    """A file of version 2 and the places in it; not a fixture, since hypothesis would print it."""
    summary = summarize_reference(make_frames(n_frames=60), make_topology(), system="dumbbells", temperature=300.0)
    content = as_version_2(summary)
    return content, locate_leaves(content)


SYSTEMS = ("benzene-1bead", "benzene-3bead", "pim-1", "polyethylene-1bead", "polyethylene-2bead")


def test_a_summary_is_written_and_read(tmp_path):
    limits = ValidationLimits(gr_com_rmse=0.045)
    summary = summarize_reference(
        make_frames(), make_topology(), system="dumbbells", temperature=300.0, limits=limits,
        source={"force_field": "x", "steps": (1, 2)},
    )  # fmt: skip
    write_reference_summary(tmp_path / "reference.json", summary)
    again = read_reference_summary(tmp_path / "reference.json")
    assert again.to_json() == summary.to_json()
    assert (again.limits["gr_com_rmse"], again.source["force_field"]) == (0.045, "x")
    assert again.limits["temperature"] == 3.0  # the usual one is written too, so that it stays what it is
    assert again.trajectory.get(MOBILITY).msd.time_scale == "atomistic time"
    assert again.effective_samples > 1


def test_newer_other_and_damaged_files_are_refused(tmp_path, reference):
    path = tmp_path / "reference.json"
    with pytest.raises(ArtifactError, match="no such file"):
        read_reference_summary(path)
    content = reference.to_dict()
    for change, message in (
        ({"version": 4}, "version '4', and this release reads 1 to 3"),
        ({"schema": "else"}, "not a reference summary"),
        ({"temperature": 301.0}, "does not have the digest"),
        ({"digest": "0" * 64}, "does not have the digest"),
        ({"more": 1}, "entries missing or unknown: more"),
    ):
        path.write_text(json.dumps({**content, **change}))
        with pytest.raises(ArtifactError, match=message) as error:
            read_reference_summary(path)
        assert str(path) in str(error.value)
    del content["digest"]
    path.write_text(json.dumps(content))
    with pytest.raises(ArtifactError, match="missing or unknown: digest"):
        read_reference_summary(path)
    path.write_text(reference.to_json()[:-30])
    with pytest.raises(ArtifactError, match="not readable as JSON"):
        read_reference_summary(path)


@pytest.mark.parametrize("text", ["1e999", '"\\ud800"'])
def test_what_json_reads_and_cannot_write_is_refused(tmp_path, reference, text):
    path, as_text = tmp_path / "reference.json", '"what is read"'
    for content in (reference.to_dict(), as_version_2(reference)):
        path.write_text(json.dumps({**content, "source": {"x": "what is read"}}).replace(as_text, text))
        with pytest.raises(ArtifactError, match=r"edited or damaged|not readable as JSON"):
            read_reference_summary(path)


def test_a_new_file_does_not_pass_as_an_old_one_without_a_digest(reference):
    for version in (1, 2):
        content = {key: value for key, value in reference.to_dict().items() if key != "digest"}
        with pytest.raises(ArtifactError, match="missing or unknown"):
            ReferenceSummary.from_dict({**content, "version": version})


def test_limits_are_numbers_that_some_quantity_has():
    with pytest.raises(InputError, match="limit gr_com_rmse is nan"):
        ValidationLimits(gr_com_rmse=float("nan"))
    with pytest.raises(InputError, match="no limit 'gr_comm_rmse'; known are bond_mean_error"):
        summarize_reference(make_frames(), make_topology(), system="x", temperature=300.0, limits={"gr_comm_rmse": 0.1})


def test_files_of_version_1_are_read(reference):
    again = ReferenceSummary.from_dict(as_version_1(reference))
    ours, theirs = again.trajectory.get(STRUCTURE), reference.trajectory.get(STRUCTURE)
    assert ours.inter["A-B"].n_pairs == 1600
    np.testing.assert_allclose(ours.inter["A-B"].g, theirs.inter["A-B"].g, rtol=1e-7)
    np.testing.assert_allclose(ours.inter["A-A"].block_g, theirs.inter["A-A"].block_g, rtol=1e-7)
    assert again.trajectory.chain_lengths == ()
    assert dict(again.limits) == dict(reference.limits)
    broken = as_version_1(reference)
    del broken["trajectory"]["intra"]
    with pytest.raises(ArtifactError, match=r"trajectory\.intra missing"):
        ReferenceSummary.from_dict(broken)


def test_files_of_version_2_are_read(reference):
    again = ReferenceSummary.from_dict(as_version_2(reference))
    assert again.to_json() == reference.to_json()


@pytest.mark.parametrize("system", SYSTEMS)
def test_shipped_references_are_read_and_written_sealed(tmp_path, system):
    shipped = read_reference_summary(find_system(system) / "reference.json")
    assert shipped.system == system
    write_reference_summary(tmp_path / "reference.json", shipped)
    assert read_reference_summary(tmp_path / "reference.json").to_json() == shipped.to_json()


def locate_leaves(value, path=()):
    """Paths to the numbers, texts and empty containers of JSON content."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for key, child in children for leaf in locate_leaves(child, (*path, key))]
    return inner or [path]


def change_leaf(content, path, change):
    changed = copy.deepcopy(content)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = change(place[path[-1]])
    return changed


def read_text(text, path):
    """The summary that a file with this text is read as; None where it is refused."""
    path.write_bytes(text)
    try:
        return read_reference_summary(path)
    except ArtifactError:
        return None


def mutate(data, rng):
    """Bytes with one fault of a disk, an editor or a copy."""
    place = rng.randrange(len(data))
    kind = rng.randrange(6)
    if kind == 0:
        return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    if kind == 1:
        return data[:place] + data[place + rng.randrange(1, 60) :]
    if kind == 2:
        return data[:place] + data[place : place + rng.randrange(1, 60)] + data[place:]
    if kind == 3:
        return data[:place] + rng.choice([b"9", b"-", b"0", b"1e300", b"null", b"{", b'"']) + data[place + 1 :]
    if kind == 4:
        return data[:place]
    digits = [k for k in range(place, min(place + 400, len(data))) if data[k : k + 1].isdigit()]
    return data[: digits[0]] + str(rng.randrange(10)).encode() + data[digits[0] + 1 :] if digits else data[:place]


def test_no_mutation_of_a_sealed_file_is_read_as_something_else(tmp_path, reference):
    rng, data = random.Random(1), reference.to_json().encode()
    path, unlike = tmp_path / "reference.json", 0
    for _ in range(400):
        text = mutate(data, rng)
        found = read_text(text, path)
        if found is None:
            unlike += 1
        else:  # a blank more or less, or the same digit again
            assert found.to_json().encode() == data
            assert json.loads(text) == json.loads(data)
    assert unlike > 300


def test_no_mutation_of_an_old_file_is_a_traceback(tmp_path, reference):
    rng, data = random.Random(2), json.dumps(as_version_2(reference), indent=1).encode()
    found = [read_text(mutate(data, rng), tmp_path / "reference.json") for _ in range(400)]
    assert sum(each is None for each in found) > 250


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.just(10**400),
    st.sampled_from(([], {}, [[1.0], 2.0])),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10**6), value=VALUES)
def test_other_values_in_any_place_of_an_old_file_are_refused_or_valid(place, value):
    """Without a digest only ranges protect; what is read can be written and read again."""
    content, leaves = old_content()
    changed = change_leaf(content, leaves[place % len(leaves)], lambda _: value)
    try:
        again = ReferenceSummary.from_dict(changed)
    except ArtifactError:
        return
    assert ReferenceSummary.from_dict(json.loads(again.to_json())).to_json() == again.to_json()


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        (("temperature",), lambda t: -t, "temperature -300.0 is none"),
        (("limits", "temperature"), lambda x: -1.0, "limit temperature is -1.0"),
        (("trajectory", "density"), lambda x: 0.0, "MassDensity.mean must be positive"),
        (("trajectory", "n_structure_frames"), lambda n: 61, "n_structure_frames must be 1 to 60"),
        (("trajectory", "com", "g", 50), lambda g: g * 1.001, "the counts over the volumes"),
        (("trajectory", "com", "counts", 50), lambda n: n + 1, "the counts over the volumes"),
        (("trajectory", "com", "block_g", 0, 3), lambda g: -1.0, "not negative"),
        (("trajectory", "inter", "A-B", "n_pairs"), lambda n: n + 1, "of the density of all pairs"),
        (("trajectory", "inter", "A-B", "bin_edges", 7), lambda r: r * 1.01, "evenly spaced"),
        (("trajectory", "bonds", "A-B", "density", 30), lambda p: p * 1.01, "integral is one"),
        (("trajectory", "bonds", "A-B", "mean"), lambda m: m * 1.01, "that of the histogram"),
        (("trajectory", "bonds", "A-B", "maximum"), lambda m: m * 2, "in the last bin"),
        (("trajectory", "energies_per_bead", "potential", "standard_error"), lambda e: e * 1.1, "standard_error"),
        (("trajectory", "msd", "msd", 4), lambda m: m * 10, "whose average is msd"),
        (("trajectory", "diffusion", "value"), lambda d: d * 1.1, "diffusion must be"),
        (("half_rmse", "inter A-B"), lambda e: "much", "half_rmse"),
    ],
)  # fmt: skip
def test_contradictions_in_files_without_a_digest_are_refused(path, change, message):
    content, _ = old_content()
    assert ReferenceSummary.from_dict(content).system == "dumbbells"
    with pytest.raises(ArtifactError, match=message):
        ReferenceSummary.from_dict(change_leaf(content, path, change))
