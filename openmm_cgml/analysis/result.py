"""The base of every result: a frozen dataclass with read-only arrays that goes to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from openmm_cgml.errors import ArtifactError

_LARGEST, _LARGEST_INTEGER = 1e300, 2**53
_NUMBER_LIST = re.compile(r"\[\s+(-?[0-9][-+0-9.eE,\s]*?)\s+\]")


class Result:
    """Base of the result dataclasses: arrays become read-only, and `to_dict` / `from_dict` follow the annotations.

    A field with a default may be absent in what is read, so that results written before it was added are read. The
    metadata "key" of a field is its name in JSON, where that is another.
    """

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = np.array(value, order="C")
                value.flags.writeable = False
                object.__setattr__(self, field.name, value)
            elif isinstance(value, dict):
                object.__setattr__(self, field.name, types.MappingProxyType(dict(value)))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers, texts and dicts; arrays of floats keep nine digits."""
        return {_key(field): _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The result that `to_dict` wrote.

        Raises:
            ArtifactError: If a field is missing, unknown, of another kind, or holds what no computation gives.
        """
        if not isinstance(content, Mapping):
            raise ArtifactError(f"{cls.__name__}: expected an object, found {type(content).__name__}")
        hints = typing.get_type_hints(cls)
        names = {_key(field): field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        required = {_key(field) for field in dataclasses.fields(cls) if not _has_default(field)}  # type: ignore[arg-type]
        if missing := required - set(content):
            raise ArtifactError(f"{cls.__name__}: {', '.join(sorted(missing))} missing; write the file again")
        if unknown := set(content) - set(names):
            raise ArtifactError(f"{cls.__name__}: unknown entries {', '.join(sorted(unknown))}; known: {sorted(names)}")
        found = cls(
            **{
                name: _restore(hints[name], content[key], f"{cls.__name__}.{key}")
                for key, name in names.items()
                if key in content
            }
        )
        with np.errstate(all="ignore"):  # huge numbers overflow to infinity, which no check accepts
            found.check_ranges()
        return found

    def check_ranges(self) -> None:
        """Refuse what no computation gives; `from_dict` calls it on what is read. Results with ranges override it.

        Raises:
            ArtifactError: If a value is out of its range, or two values contradict one another.
        """

    def require(self, condition: Any, name: str, wanted: str) -> None:
        """Refuse a field that was read and is not what it must be.

        Args:
            condition: Whether the field is right.
            name: Name of the field.
            wanted: What it must be, in words.

        Raises:
            ArtifactError: If the condition is false.
        """
        if not condition:
            value = " ".join(str(getattr(self, name)).split())
            raise ArtifactError(
                f"{type(self).__name__}.{name} must be {wanted}, found {value[:60]}{'…' * (len(value) > 60)}; the file "
                "was edited or damaged: restore it or write it again"
            )

    def to_json(self) -> str:
        """Readable JSON text with one line per list of numbers."""
        text = json.dumps(self.to_dict(), indent=2, sort_keys=True, allow_nan=False)
        return _NUMBER_LIST.sub(lambda match: "[" + re.sub(r"\s+", " ", match[1]) + "]", text) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The result that `to_json` wrote.

        Raises:
            ArtifactError: If the text is not JSON or does not hold this result.
        """
        try:
            return cls.from_dict(json.loads(text))
        except json.JSONDecodeError as error:
            raise ArtifactError(f"not readable as JSON ({error}); restore the file from the original") from error


def is_even_grid(values: np.ndarray) -> bool:
    """Whether values are evenly spaced and rising, up to the nine digits that are written."""
    if values.ndim != 1 or len(values) < 2 or not values[-1] > values[0]:
        return False
    step = (values[-1] - values[0]) / (len(values) - 1)
    off = np.abs(values - np.linspace(values[0], values[-1], len(values)))
    return bool(np.all(off <= 1e-8 * np.abs(values).max() + 1e-7 * step) and step > 1e-8 * np.abs(values).max())


def is_average_of(mean: np.ndarray, parts: np.ndarray) -> bool:
    """Whether a mean, shape (n,), is one and the same weighted average of parts, shape (n_parts, n), in every place.

    The weights, such as frames of blocks over volumes, are not known: they are those that fit best.
    """
    if parts.ndim != 2 or len(parts) == 0 or mean.shape != parts.shape[1:]:
        return False
    slack = 1e-6 * np.abs(mean) + 1e-8 * np.abs(mean).max(initial=0.0)  # of numbers with nine digits
    among = (mean >= parts.min(axis=0) - slack) & (mean <= parts.max(axis=0) + slack)
    if not among.all() or not np.abs(parts).max(initial=0.0) < _LARGEST**0.5:
        return False
    weights = np.linalg.lstsq(parts.T, mean, rcond=None)[0]
    return bool(np.all(np.abs(weights @ parts - mean) <= slack))


def _key(field: dataclasses.Field[Any]) -> str:
    """Name of a field in JSON."""
    return str(field.metadata.get("key", field.name))


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, np.ndarray):
        if value.ndim > 1:
            return [_plain(row) for row in value]
        return value.tolist() if value.dtype.kind in "iub" else [float(f"{item:.9g}") for item in value.tolist()]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _restore(hint: Any, value: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _restore(next(a for a in arguments if a is not type(None)), value, where)
    if isinstance(hint, type) and issubclass(hint, Result):
        return hint.from_dict(value)
    if hint is np.ndarray and isinstance(value, list):
        return _restore_array(value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_restore(arguments[0], item, where) for item in value)
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {key: _restore(arguments[1], item, f"{where}[{key!r}]") for key, item in value.items()}
    if hint is Any:
        return value
    if hint is float and type(value) in (int, float) and abs(value) <= _LARGEST:  # false for NaN
        return float(value)
    if hint is int and type(value) is int and abs(value) <= _LARGEST_INTEGER:
        return value
    if hint in (str, bool) and type(value) is hint:
        return value
    raise ArtifactError(f"{where}: {str(value)[:40]!r} is not {hint}; the file was edited or damaged")


def _restore_array(value: list[Any], where: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArtifactError(f"{where}: not a regular array ({error}); the file was edited or damaged") from error
    if array.dtype.kind not in "if" or not np.all(np.isfinite(array)):
        raise ArtifactError(f"{where}: holds entries that are not finite numbers; the file was edited or damaged")
    return array
