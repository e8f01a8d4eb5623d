import warnings

import pytest
import safetensors.torch
import torch

from openmm_cgml.errors import ArtifactError
from openmm_cgml.refinement.state import PREVIOUS, STATE, read_state, write_state

TENSORS = {"positions": torch.arange(6.0).reshape(2, 3), "network.a": torch.ones(3, dtype=torch.float32)}


def test_a_state_comes_back_and_a_damaged_one_is_refused(tmp_path):
    assert read_state(tmp_path) is None
    write_state(tmp_path, TENSORS, {"history": [{"round": 0.0}]})
    tensors, content = read_state(tmp_path)
    assert content == {"history": [{"round": 0.0}]}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    whole = (tmp_path / STATE).read_bytes()
    for damaged in (whole[:-1], whole[:-2] + b"\x01" + whole[-1:], whole.replace(b"sealed_content", b"sealed_contend")):
        (tmp_path / STATE).write_bytes(damaged)
        with pytest.raises(ArtifactError, match="no usable state"):
            read_state(tmp_path)


def test_the_round_before_takes_over_with_a_warning(tmp_path):
    for number in range(3):
        write_state(tmp_path, TENSORS, {"history": [{"round": float(number)}]})
    assert sorted(path.name for path in tmp_path.iterdir()) == [PREVIOUS, STATE]
    (tmp_path / STATE).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="round before"):
        _, content = read_state(tmp_path)
    assert content["history"][-1]["round"] == 1.0


def test_states_of_earlier_releases_are_read(tmp_path):
    (tmp_path / STATE).write_bytes(safetensors.torch.save(TENSORS, {"history": '[{"round": 4.0}]'}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, content = read_state(tmp_path)
    assert content == {"history": [{"round": 4.0}]}
