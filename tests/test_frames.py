import numpy as np
import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames


def _frames(n=4, **changes):
    rng = np.random.default_rng(0)
    fields = dict(
        positions=rng.random((n, 3, 3)),
        forces=rng.random((n, 3, 3)),
        box=np.broadcast_to(np.eye(3) * 2, (n, 3, 3)),
        energies={"inter": np.arange(n, dtype=float)},
        times=np.arange(n, dtype=float),
    )
    return Frames(**{**fields, **changes})


def test_slices_and_sums_of_slices_are_frames():
    frames = _frames()
    again = Frames.concatenate([frames[:1], frames[1:3], frames[[3]]])
    assert len(again) == 4
    np.testing.assert_array_equal(again.positions, frames.positions)
    np.testing.assert_array_equal(again.energies["inter"], frames.energies["inter"])
    assert len(frames[2]) == 1 and frames[-1].times[0] == 3.0


def test_arrays_cannot_be_written():
    with pytest.raises(ValueError, match="read-only"):
        _frames().positions[0] = 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": np.zeros((4, 3))}, "positions have shape"),
        ({"forces": np.zeros((4, 2, 3))}, "forces: shape"),
        ({"times": np.zeros(3)}, "times: shape"),
        ({"energies": {"inter": np.zeros(5)}}, "energy 'inter': shape"),
        ({"positions": np.full((4, 3, 3), np.nan)}, r"positions: nan at index \[0, 0, 0\]"),
        ({"box": np.zeros((4, 3, 3))}, "box of frame 0"),
        ({"box": np.broadcast_to(np.diag([1.0, 1.0, -1.0]), (4, 3, 3))}, "right-handed"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        _frames(**changes)


def test_unlike_parts_are_not_joined():
    with pytest.raises(InputError, match="only one of them has forces"):
        Frames.concatenate([_frames(), _frames(forces=None)])
    with pytest.raises(InputError, match="no frames"):
        Frames.concatenate([])


def test_pressures_go_along_and_may_be_lacking():
    frames = _frames(pressures=np.array([1.0, np.nan, 3.0, np.nan]))
    again = Frames.concatenate([frames[:1], frames[1:]])
    np.testing.assert_array_equal(again.pressures, frames.pressures)
    with pytest.raises(InputError, match="only one of them has pressures"):
        Frames.concatenate([frames, _frames()])
    with pytest.raises(InputError, match=r"pressures: inf at index \[1\]"):
        _frames(pressures=np.array([1.0, np.inf, 3.0, 4.0]))
