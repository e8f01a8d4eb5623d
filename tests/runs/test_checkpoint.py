import numpy as np
import pytest

from openmm_cgml.errors import ArtifactError
from openmm_cgml.runs.checkpoint import (
    Checkpoint,
    discard_newer,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)

MEMBERS = ["state.safetensors", "context.chk", "meta.json", "SHA256SUMS"]


def make_checkpoint(step=100, box=True):
    rng = np.random.default_rng(step)
    return Checkpoint(
        step=step,
        positions=rng.normal(size=(3, 3)),
        velocities=rng.normal(size=(3, 3)),
        box=np.eye(3) * 3 if box else None,
        context=rng.bytes(40),
        meta={"time": 0.5, "engine": "here"},
    )


@pytest.mark.parametrize("box", [True, False])
def test_a_checkpoint_reads_back_exactly(tmp_path, box):
    written = make_checkpoint(box=box)
    read = read_checkpoint(write_checkpoint(tmp_path, written))
    assert read.step == written.step
    assert read.context == written.context
    assert read.meta["engine"] == "here"
    np.testing.assert_array_equal(read.positions, written.positions)
    np.testing.assert_array_equal(read.velocities, written.velocities)
    assert (read.box is None) == (not box)


@pytest.mark.parametrize("member", MEMBERS)
def test_every_truncation_is_noticed(tmp_path, member):
    path = write_checkpoint(tmp_path, make_checkpoint())
    whole = (path / member).read_bytes()
    for length in range(0, len(whole), 7):
        (path / member).write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match=r"damaged|incomplete"):
            read_checkpoint(path)
    (path / member).write_bytes(whole)
    read_checkpoint(path)


@pytest.mark.parametrize("member", MEMBERS)
def test_every_flipped_bit_is_noticed(tmp_path, member):
    path = write_checkpoint(tmp_path, make_checkpoint())
    whole = (path / member).read_bytes()
    for bit in range(0, 8 * len(whole), 13):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (path / member).write_bytes(damaged)
        with pytest.raises(ArtifactError, match=r"damaged"):
            read_checkpoint(path)


def test_two_generations_are_kept(tmp_path):
    for step in (0, 50, 100, 150):
        write_checkpoint(tmp_path, make_checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000000000100", "step-000000000150"]


def test_a_damaged_checkpoint_gives_way_to_the_one_before_and_is_named(tmp_path):
    write_checkpoint(tmp_path, make_checkpoint(50))
    newest = write_checkpoint(tmp_path, make_checkpoint(100))
    (newest / "context.chk").write_bytes(b"")
    found, rejected = find_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 50
    assert str(newest) in rejected[0]


def test_an_error_is_raised_when_no_generation_is_whole(tmp_path):
    path = write_checkpoint(tmp_path, make_checkpoint(50))
    (path / "meta.json").unlink()
    with pytest.raises(ArtifactError, match=r"--overwrite"):
        find_checkpoint(tmp_path)


def test_no_checkpoint_is_no_error(tmp_path):
    assert find_checkpoint(tmp_path / "none") == (None, [])


def test_a_failed_write_leaves_the_earlier_checkpoints_alone(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, make_checkpoint(50))

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("openmm_cgml.runs.checkpoint._write", fail)
    with pytest.raises(OSError, match=r"No space"):
        write_checkpoint(tmp_path, make_checkpoint(100))
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000050"]


def test_newer_checkpoints_can_be_discarded(tmp_path):
    for step in (50, 100):
        write_checkpoint(tmp_path, make_checkpoint(step))
    discard_newer(tmp_path, 50)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000000050"]
