from pathlib import Path

import pytest

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.training.checkpoints import find_checkpoint, write_checkpoint

IDENTITY = {"priors": "aa", "training.seed": "1"}


def _write(folder, step, text="state"):
    write_checkpoint(folder, step, IDENTITY, lambda path: Path(path).write_text(f"{text} {step}"))


def test_the_two_newest_are_kept_and_the_newest_is_found(tmp_path):
    assert find_checkpoint(tmp_path, IDENTITY) is None
    for step in (5, 50, 500):
        _write(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"step-{step:09d}.{kind}" for step in (50, 500) for kind in ("ckpt", "json")
    ]
    assert find_checkpoint(tmp_path, IDENTITY).step == 500


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete", "description"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, damage):
    _write(tmp_path, 1)
    _write(tmp_path, 2)
    victim = tmp_path / f"step-{2:09d}.ckpt"
    if damage == "truncate":
        victim.write_bytes(victim.read_bytes()[:-1])
    elif damage == "flip":
        victim.write_bytes(bytes([victim.read_bytes()[0] ^ 1]) + victim.read_bytes()[1:])
    elif damage == "delete":
        victim.unlink()
    else:
        victim.with_suffix(".json").write_text('{"schema":')
    found = find_checkpoint(tmp_path, IDENTITY)
    assert found.step == 1
    assert victim.stem in found.rejected[0]


def test_a_failed_write_leaves_the_earlier_checkpoint_and_no_rubbish(tmp_path):
    _write(tmp_path, 1)

    def fail(path):
        Path(path).write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_checkpoint(tmp_path, 2, IDENTITY, fail)
    assert find_checkpoint(tmp_path, IDENTITY).step == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_without_its_description_is_ignored(tmp_path):
    _write(tmp_path, 1)
    (tmp_path / "step-000000002.ckpt").write_text("a kill came between the two files")
    assert find_checkpoint(tmp_path, IDENTITY).step == 1


def test_only_damaged_checkpoints_are_an_error(tmp_path):
    _write(tmp_path, 1)
    (tmp_path / "step-000000001.ckpt").write_text("")
    with pytest.raises(ArtifactError, match="no usable checkpoint"):
        find_checkpoint(tmp_path, IDENTITY)


def test_another_fit_is_refused_with_a_table_of_differences(tmp_path):
    _write(tmp_path, 1)
    with pytest.raises(InputError) as caught:
        find_checkpoint(tmp_path, {"priors": "bb", "training.seed": "1"})
    rows = [line.split() for line in str(caught.value).splitlines()]
    assert ["priors", "aa", "bb"] in rows
    assert "training.seed" not in str(caught.value)
