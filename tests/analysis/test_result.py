from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import ArtifactError


@dataclass(frozen=True, eq=False, kw_only=True)
class Inner(Result):
    values: np.ndarray
    error: float | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Outer(Result):
    name: str
    parts: Mapping[str, Inner]
    rows: tuple[Inner, ...]
    count: int


def example():
    inner = Inner(values=np.array([1.5, 2.25]))
    return Outer(name="x", parts={"a": inner}, rows=(inner, Inner(values=np.eye(2), error=0.1)), count=3)


def test_json_brings_back_what_was_written():
    again = Outer.from_json(example().to_json())
    assert (again.name, again.count, again.rows[1].error, again.rows[0].error) == ("x", 3, 0.1, None)
    np.testing.assert_array_equal(again.parts["a"].values, [1.5, 2.25])
    np.testing.assert_array_equal(again.rows[1].values, np.eye(2))
    assert "[1.5, 2.25]" in example().to_json()


def test_arrays_and_mappings_are_read_only_copies():
    values = np.array([1.0, 2.0])
    inner = Inner(values=values)
    values[0] = 5.0
    assert inner.values[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        inner.values[0] = 2.0
    with pytest.raises(TypeError):
        example().parts["b"] = inner


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"count": 3', '"count": "3"'),
        ('"count": 3', '"count": 3, "more": 1'),
        ('"name": "x",', ""),
        ("[1.5, 2.25]", '["a", "b"]'),
        ("[1.5, 2.25]", "7"),
        ('"count": 3', '"count": 3.5'),
        ('"error": 0.1', '"error": NaN'),
        ("{", "["),
    ],
)
def test_damaged_content_is_refused(old, new):
    text = example().to_json().replace('"name": "x",', '"name": "x",')
    if old == '"name": "x",':
        text = text.replace('"name": "x",\n', "")
    assert old in text or old == '"name": "x",'
    with pytest.raises(ArtifactError):
        Outer.from_json(text.replace(old, new))
