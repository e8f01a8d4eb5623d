import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from openmm_cgml.dataset import ForceMatchingDataset, summarize
from openmm_cgml.errors import ArtifactError, InputError, OutputExistsError
from openmm_cgml.mapping import mapping_from_specification
from openmm_cgml.storage import read_json, write_json
from openmm_cgml.topology import ChainTemplate
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification

N_MOLECULES = 4


@pytest.fixture
def mapped():
    mapping = mapping_from_specification(benzene_specification(3), benzene_atoms(N_MOLECULES))
    return mapping(benzene_frames(N_MOLECULES, 24))


def create(path, frames, **changes):
    specification = benzene_specification(3)
    mapping = mapping_from_specification(specification, benzene_atoms(N_MOLECULES))
    arguments = {
        "topology": mapping.target,
        "templates": specification.templates(),
        "temperature": 300.0,
        "mapping_fingerprint": mapping.fingerprint,
        "source": {"force_field": "made up"},
        **changes,
    }
    return ForceMatchingDataset.create(path, frames, **arguments)


def chunks(frames, size=7):
    return (frames[start : start + size] for start in range(0, len(frames), size))


def test_what_is_written_is_read(tmp_path, mapped):
    created = create(tmp_path / "data", chunks(mapped))
    dataset = ForceMatchingDataset.open(tmp_path / "data")
    assert (dataset.n_frames, dataset.n_beads, dataset.temperature, dataset.kind) == (24, 12, 300.0, "instantaneous")
    assert dataset.templates == tuple(benzene_specification(3).templates())
    assert dataset.fingerprint == created.fingerprint
    frames = dataset.frames()
    assert frames.forces.dtype == frames.positions.dtype == np.float32
    for name in ("positions", "forces", "forces_inter"):
        assert np.array_equal(getattr(frames, name), getattr(mapped, name).astype(np.float32))
    assert np.array_equal(frames.energies["inter"], mapped.energies["inter"])
    assert np.array_equal(frames.times, mapped.times)


def test_chains_belong_to_a_dataset_and_those_made_without_open_and_resume(tmp_path, mapped):
    chain = ChainTemplate(name="p", head="BNZ", body="BNZ", tail="BNZ", links=(("C1", "C1"),), monomers=5, count=1)
    assert create(tmp_path / "chains", chunks(mapped), chains=[chain]).chains == (chain,)
    assert create(tmp_path / "old", chunks(mapped)).chains == ()
    assert "chains" not in json.loads((tmp_path / "old" / "manifest.json").read_text())["metadata"]
    with pytest.raises(InputError, match="another chains"):
        create(tmp_path / "old", chunks(mapped), chains=[chain], resume=True)


@pytest.mark.parametrize("memory_limit", [4e9, 0], ids=["in memory", "from disk"])
def test_frames_come_in_the_order_asked_for(tmp_path, mapped, memory_limit):
    create(tmp_path / "data", chunks(mapped))
    dataset = ForceMatchingDataset.open(tmp_path / "data", memory_limit=memory_limit)
    for wanted in ([5, 3, 3, 20], np.array([0]), slice(20, None, 2), slice(-2, None)):
        found = dataset.frames(wanted)
        expected = np.arange(24)[wanted] if isinstance(wanted, slice) else wanted
        assert np.array_equal(found.times, mapped.times[expected])
        assert np.array_equal(found.forces, mapped.forces[expected].astype(np.float32))
    assert [len(chunk) for chunk in dataset.chunks(10)] == [10, 10, 4]
    with pytest.raises(InputError, match=r"frame 24 asked for; .* holds 0 to 23"):
        dataset.frames([24])


def test_the_fingerprint_follows_content(tmp_path, mapped):
    fingerprints = {
        create(tmp_path / "a", [mapped]).fingerprint,
        create(tmp_path / "b", [mapped], temperature=310.0).fingerprint,
        create(tmp_path / "c", [mapped[:20]]).fingerprint,
    }
    assert len(fingerprints) == 3


def test_splits_leave_a_gap_except_between_independent_mean_forces(tmp_path, mapped):
    dataset = create(tmp_path / "a", [mapped])
    assert sum(map(len, dataset.split(n_blocks=6).values())) < 24
    means = create(tmp_path / "b", [mapped.replace(force_error=np.ones_like(mapped.forces))], kind="mean-force")
    assert sum(map(len, means.split(n_blocks=12).values())) == 24


def test_existing_output_is_refused_and_left_alone(tmp_path, mapped):
    create(tmp_path / "data", [mapped])
    before = {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()}
    with pytest.raises(OutputExistsError, match="--resume"):
        create(tmp_path / "data", [mapped[:3]])
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == before
    assert create(tmp_path / "data", [mapped[:3]], overwrite=True).n_frames == 3


def test_resuming_adds_only_the_frames_that_are_missing(tmp_path, mapped):
    create(tmp_path / "data", chunks(mapped[:10]))
    dataset = create(tmp_path / "data", chunks(mapped), resume=True)
    assert np.array_equal(dataset.frames().times, mapped.times)
    assert create(tmp_path / "data", chunks(mapped), resume=True).n_frames == 24


def test_what_a_killed_writer_left_is_deleted_and_named(tmp_path, mapped, caplog):
    create(tmp_path / "data", chunks(mapped[:10]))
    (tmp_path / "data" / "frames-000001.tmp").write_bytes(b"half a shard")
    assert create(tmp_path / "data", chunks(mapped), resume=True).n_frames == 24
    assert "deleted what a killed writer left unfinished: frames-000001.tmp" in caplog.text
    assert not (tmp_path / "data" / "frames-000001.tmp").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mapping_fingerprint": "0" * 64}, "made with another mapping_fingerprint .*there, 0000"),
        ({"temperature": 310.0}, r"another temperature \(temperature 300.0 there, 310.0 now\)"),
        ({"source": {"force_field": "other"}}, "another source"),
    ],
)
def test_resuming_something_else_is_refused(tmp_path, mapped, changes, message):
    create(tmp_path / "data", [mapped])
    with pytest.raises(InputError, match=message):
        create(tmp_path / "data", [mapped], resume=True, **changes)


def zeroed(frames):
    forces = frames.forces.copy()
    forces[[5, 9]] = 0.0
    return frames.replace(forces=forces)


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda f: f.replace(forces=None), {}, "no forces, and force matching needs them"),
        (zeroed, {}, "all forces are zero in 2 of 24 frames, the first is frame 5"),
        (lambda f: f, {"kind": "mean-force"}, "standard error"),
        (lambda f: f, {"kind": "average"}, "kind 'average'; known kinds are instantaneous, mean-force"),
        (lambda f: f, {"temperature": -1.0}, "temperature -1.0 K"),
        (
            lambda f: f.replace(**{n: getattr(f, n)[:, :9] for n in ("positions", "forces", "forces_inter")}),
            {},
            "9 beads",
        ),
    ],
)
def test_frames_that_cannot_be_matched_are_refused(tmp_path, mapped, change, arguments, message):
    with pytest.raises(InputError, match=message):
        create(tmp_path / "data", [change(mapped)], **arguments)


def test_a_flipped_bit_is_found_and_the_frames_named(tmp_path, mapped):
    create(tmp_path / "data", [mapped])
    file = tmp_path / "data" / "frames-000000.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"frames-000000\.h5: changed since it was written.*frames 0 to 23"):
        ForceMatchingDataset.open(tmp_path / "data")


def test_every_truncation_of_a_shard_is_refused(tmp_path, mapped):
    create(tmp_path / "data", [mapped])
    file = tmp_path / "data" / "frames-000000.h5"
    content = file.read_bytes()
    for size in range(0, len(content), len(content) // 12):
        file.write_bytes(content[:size])
        with pytest.raises(ArtifactError):
            ForceMatchingDataset.open(tmp_path / "data")
    file.unlink()
    with pytest.raises(ArtifactError, match="missing; it held frames 0 to 23"):
        ForceMatchingDataset.open(tmp_path / "data")


def test_a_flipped_bit_is_found_even_without_the_checksum_pass(tmp_path, mapped):
    create(tmp_path / "data", [mapped])
    file = tmp_path / "data" / "frames-000000.h5"
    content = bytearray(file.read_bytes())
    place = bytes(content).index(mapped.forces[3].astype(np.float32).tobytes())
    content[place + 10] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be read"):
        ForceMatchingDataset.open(tmp_path / "data", verify=False).frames()


def test_folders_of_another_kind_or_version_are_refused(tmp_path, mapped):
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        ForceMatchingDataset.open(tmp_path)
    create(tmp_path / "data", [mapped])
    manifest = read_json(tmp_path / "data" / "manifest.json")
    for change, message in (
        ({"version": 99}, "version 99"),
        ({"metadata": {**manifest["metadata"], "kind": "openmm-cgml/recording"}}, "not a dataset"),
        ({"shards": []}, "no frames yet"),
    ):
        (tmp_path / "data" / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(ArtifactError, match=message):
            ForceMatchingDataset.open(tmp_path / "data")


def test_datasets_of_earlier_releases_have_no_seal_and_are_read(tmp_path, mapped):
    written = create(tmp_path / "data", [mapped])
    write_json(tmp_path / "data" / "manifest.json", read_json(tmp_path / "data" / "manifest.json"))
    assert ForceMatchingDataset.open(tmp_path / "data").fingerprint == written.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["metadata"].update(temperature=3000.0),
        lambda m: m["metadata"]["topology"]["masses"].__setitem__(0, 400.0),
        lambda m: m["shards"].append(m["shards"][0]),
        lambda m: m["shards"][0].update(n_frames=6),
        lambda m: m.pop("sealed"),
        lambda m: m.pop("content_sha256"),
    ],
)
def test_an_edited_manifest_is_refused(tmp_path, mapped, change):
    create(tmp_path / "data", [mapped])
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    change(manifest)
    (tmp_path / "data" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="edited or damaged"):
        ForceMatchingDataset.open(tmp_path / "data")


def test_a_dataset_of_mean_forces_is_no_output_of_map(tmp_path, mapped):
    error = np.ones_like(mapped.forces)
    create(tmp_path / "data", [mapped.replace(force_error=error)], kind="mean-force")
    with pytest.raises(OutputExistsError, match="was not written by 'map'"):
        create(tmp_path / "data", [mapped], overwrite=True)
    assert ForceMatchingDataset.open(tmp_path / "data").kind == "mean-force"


def test_a_second_writer_is_refused(tmp_path, mapped):
    def frames():
        yield mapped[:4]
        with pytest.raises(OutputExistsError, match="in use by process"):
            create(tmp_path / "data", [mapped], resume=True)
        yield mapped[4:]

    assert create(tmp_path / "data", frames()).n_frames == 24


WRITER = """
import sys, time
sys.path[:0] = {path!r}
from tests.atoms import benzene_atoms, benzene_frames, benzene_specification
from tests.dataset.test_force_matching import create
from openmm_cgml.dataset import force_matching
from openmm_cgml.mapping import mapping_from_specification
force_matching.FRAMES_PER_SHARD = 3
frames = mapping_from_specification(benzene_specification(3), benzene_atoms(4))(benzene_frames(4, 60))
print("started", flush=True)
def slowly():
    for i in range(60):
        time.sleep(0.002)
        yield frames[i : i + 1]
create({output!r}, slowly(), resume=True)
"""


def test_a_writer_killed_before_its_first_manifest_is_resumed(tmp_path, mapped):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ".manifest.json.1.tmp").write_text("{")
    (folder / "run.json").write_text("{}")
    assert create(folder, [mapped], resume=True).n_frames == 24
    assert not list(folder.glob(".manifest*"))


def test_a_folder_of_something_else_is_not_resumed(tmp_path, mapped):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="neither replaced nor gone on with"):
        create(tmp_path, [mapped], resume=True)


@pytest.mark.slow
def test_a_kill_at_any_time_loses_nothing_that_was_finished(tmp_path):
    output = str(tmp_path / "data")
    script = WRITER.format(path=sys.path, output=output)
    mapping = mapping_from_specification(benzene_specification(3), benzene_atoms(4))
    expected = mapping(benzene_frames(4, 60)).forces.astype(np.float32)
    finished, kills = 0, 0
    for delay in np.random.default_rng(0).uniform(0.01, 0.12, size=5):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "started\n"
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        process.stdout.close()
        if not os.path.exists(f"{output}/manifest.json"):
            continue
        try:
            dataset = ForceMatchingDataset.open(output)
        except ArtifactError as error:
            if "no frames yet" not in str(error):
                raise
            continue
        assert dataset.n_frames >= finished
        assert np.array_equal(dataset.frames().forces, expected[: dataset.n_frames])
        finished = dataset.n_frames
    assert kills > 0
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert np.array_equal(ForceMatchingDataset.open(output).frames().forces, expected)
    assert not [name for name in os.listdir(output) if name.endswith(".tmp")]


def test_the_summary_of_a_dataset_can_be_printed(tmp_path, mapped):
    assert (
        "24 frames (instantaneous) of 12 beads in 4 molecules" in summarize(create(tmp_path / "d", [mapped])).to_text()
    )
