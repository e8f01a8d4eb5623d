import json
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameStore, FrameWriter


def _frame(k, n=4):
    return Frames(
        positions=np.full((1, n, 3), float(k)),
        box=np.eye(3)[None],
        energies={"inter": np.array([float(k)])},
        times=np.array([float(k)]),
    )


def _write(path, numbers, **options):
    with FrameWriter(path, metadata={"a": 1}, **{"frames_per_shard": 3, **options}) as writer:
        for k in numbers:
            writer.append(_frame(k))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 20), st.integers(1, 7), st.data())
def test_what_was_written_is_read_and_any_tail_can_be_dropped(tmp_path_factory, n, per_shard, data):
    path = tmp_path_factory.mktemp("shards")
    _write(path, range(n), frames_per_shard=per_shard)
    store = FrameStore.open(path)
    start = data.draw(st.integers(0, n - 1))
    stop = data.draw(st.integers(start + 1, n))
    assert store.read(start, stop).times.tolist() == list(range(start, stop))
    keep = data.draw(st.integers(0, n))
    with FrameWriter(path, metadata={"a": 1}, frames_per_shard=per_shard, resume=True) as writer:
        writer.truncate(keep)
        writer.append(_frame(99))
    assert FrameStore.open(path).read().times.tolist() == [*range(keep), 99]


def test_pressures_are_read_where_all_frames_may_have_them(tmp_path):
    with FrameWriter(tmp_path, metadata={}, frames_per_shard=2) as writer:
        for pressure in (1.0, np.nan, 3.0):
            writer.append(_frame(0).replace(pressures=np.array([pressure])))
    np.testing.assert_array_equal(FrameStore.open(tmp_path).read_pressures(), [1.0, np.nan, 3.0])
    np.testing.assert_array_equal(FrameStore.open(tmp_path).read().pressures, [1.0, np.nan, 3.0])
    with FrameWriter(tmp_path, metadata={}, resume=True) as writer:
        writer.append(_frame(1))
    assert FrameStore.open(tmp_path).read_pressures() is None


def test_another_recording_is_not_continued(tmp_path):
    _write(tmp_path, range(2))
    with pytest.raises(InputError, match="holds frames already"):
        FrameWriter(tmp_path, metadata={"a": 1})
    with pytest.raises(InputError, match="other metadata"):
        FrameWriter(tmp_path, metadata={"a": 2}, resume=True)


def test_a_changed_missing_or_foreign_shard_is_refused_by_name(tmp_path):
    _write(tmp_path, range(6))
    shard = tmp_path / "frames-000001.h5"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"frames-000001.h5: changed.*frames 3 to 5"):
        FrameStore.open(tmp_path)
    shard.unlink()
    with pytest.raises(ArtifactError, match="missing"):
        FrameStore.open(tmp_path)


def test_manifest_that_points_elsewhere_or_is_newer_is_refused(tmp_path):
    _write(tmp_path, range(3))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    for change in (
        {"version": 2},
        {"schema": "else"},
        {"shards": [{"file": "../frames-0.h5", "n_frames": 1, "sha256": ""}]},
    ):
        (tmp_path / "manifest.json").write_text(json.dumps({**manifest, **change}))
        with pytest.raises(ArtifactError):
            FrameStore.open(tmp_path)


def test_links_out_of_the_file_are_not_followed(tmp_path):
    _write(tmp_path, range(3))
    with h5py.File(tmp_path / "frames-000000.h5", "r+") as file:
        del file["times"]
        file["times"] = h5py.ExternalLink("elsewhere.h5", "/times")
    with pytest.raises(ArtifactError):
        FrameStore.open(tmp_path, verify=False).read()


def test_an_error_inside_the_context_keeps_what_was_recorded(tmp_path):
    with pytest.raises(RuntimeError), FrameWriter(tmp_path, metadata={}) as writer:
        writer.append(_frame(0))
        raise RuntimeError("interrupted")
    assert FrameStore.open(tmp_path).n_frames == 1


_KILLED = """
import sys, numpy as np
from openmm_cgml.frames import Frames
from openmm_cgml.shards import FrameWriter
with FrameWriter(sys.argv[1], metadata={"a": 1}, frames_per_shard=3, resume=True) as writer:
    print(writer.n_stored, flush=True)
    for k in range(writer.n_stored, 100000):
        writer.append(Frames(positions=np.full((1, 4, 3), float(k)), box=np.eye(3)[None],
                             energies={"inter": np.array([float(k)])}, times=np.array([float(k)])))
"""


@pytest.mark.slow
def test_kills_lose_no_stored_frame(tmp_path):
    stored = 0
    for delay in (0.02, 0.05, 0.09, 0.13, 0.2):
        process = subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        assert int(process.stdout.readline()) >= stored
        before = len(list(tmp_path.glob("frames-*.h5")))
        while delay == 0.2 and len(list(tmp_path.glob("frames-*.h5"))) == before:  # the last kill comes amid work
            time.sleep(0.01)
        time.sleep(delay)
        process.kill()
        process.wait()
        process.stdout.close()
        store = FrameStore.open(tmp_path)
        assert store.n_frames >= stored
        stored = store.n_frames
        if stored:
            assert store.read().times.tolist() == list(range(stored))
    assert stored > 0
