"""The base of every result of `analysis`: a frozen dataclass with read-only arrays that goes to JSON and back."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from openmm_cgml.errors import ArtifactError

_NUMBER_LIST = re.compile(r"\[\s+(-?[0-9][-+0-9.eE,\s]*?)\s+\]")


class Result:
    """Base of the result dataclasses: arrays become read-only, and `to_dict` / `from_dict` follow the annotations."""

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
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The result that `to_dict` wrote.

        Raises:
            ArtifactError: If a field is missing, unknown, or of another kind.
        """
        if not isinstance(content, Mapping):
            raise ArtifactError(f"{cls.__name__}: expected an object, found {type(content).__name__}")
        hints = typing.get_type_hints(cls)
        names = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
        if missing := names - set(content):
            raise ArtifactError(f"{cls.__name__}: {', '.join(sorted(missing))} missing; write the file again")
        if unknown := set(content) - names:
            raise ArtifactError(f"{cls.__name__}: unknown entries {', '.join(sorted(unknown))}; known: {sorted(names)}")
        return cls(**{name: _restore(hints[name], content[name], f"{cls.__name__}.{name}") for name in names})

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
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint in (int, str, bool) and type(value) is hint:
        return value
    raise ArtifactError(f"{where}: {str(value)[:40]!r} is not {hint}; the file was edited or damaged")


def _restore_array(value: list[Any], where: str) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ArtifactError(f"{where}: not a regular array ({error}); the file was edited or damaged") from error
    if array.dtype.kind not in "ifb" or not np.all(np.isfinite(array)):
        raise ArtifactError(f"{where}: holds entries that are not finite numbers; the file was edited or damaged")
    return array
