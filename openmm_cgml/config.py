"""Configurations: strict YAML read into frozen pydantic models whose quantities carry units."""

from __future__ import annotations

import difflib
import os
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import pydantic
import yaml

from openmm_cgml.errors import InputError
from openmm_cgml.units import parse_quantity, value_in

_FROM_FILE = "from_file"


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(pydantic.BaseModel)


class _Explaining(ModelMetaclass):
    """Turns pydantic's error into ours when a configuration is built in Python."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except pydantic.ValidationError as error:
            raise InputError(_explain(error, cast(type[pydantic.BaseModel], cls), None, cls.__name__)) from error


class Config(pydantic.BaseModel, metaclass=_Explaining):
    """Base of every configuration: immutable, and unknown fields are errors.

    Raises:
        InputError: On construction, naming the field, the value and what would be right.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _quantity(dimension: str) -> Any:
    def convert(value: Any, info: pydantic.ValidationInfo) -> float:
        try:
            if (info.context or {}).get(_FROM_FILE):
                return parse_quantity(value, dimension)
            return value_in(value, dimension)
        except InputError as error:
            raise ValueError(str(error)) from error
        except TypeError as error:
            raise ValueError(f"{value!r} is not a {dimension}") from error

    return pydantic.BeforeValidator(convert)


Length = Annotated[float, _quantity("length")]
Time = Annotated[float, _quantity("time")]
Mass = Annotated[float, _quantity("mass")]
Energy = Annotated[float, _quantity("energy")]
Temperature = Annotated[float, _quantity("temperature")]
Angle = Annotated[float, _quantity("angle")]
Pressure = Annotated[float, _quantity("pressure")]
Density = Annotated[float, _quantity("density")]
Force = Annotated[float, _quantity("force")]
BondStiffness = Annotated[float, _quantity("bond_stiffness")]
AngleStiffness = Annotated[float, _quantity("angle_stiffness")]
Friction = Annotated[float, _quantity("friction")]

ConfigType = TypeVar("ConfigType", bound=Config)


def read_config(
    path: str | os.PathLike[str], cls: type[ConfigType], overrides: Mapping[str, Any] | None = None
) -> ConfigType:
    """The configuration in a YAML file.

    Args:
        path: The file.
        cls: The configuration class it must fit.
        overrides: Top-level values that replace those of the file, quantities with units as in the file.

    Raises:
        InputError: If the file is missing, not plain YAML, repeats a key, or does not fit `cls`; the message gives
            the line, and for an unknown key the nearest valid one.
    """
    path = Path(path)
    values, lines = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values at the top, found {type(values).__name__}")
    try:
        return cls.model_validate({**values, **(overrides or {})}, context={_FROM_FILE: True})
    except pydantic.ValidationError as error:
        raise InputError(_explain(error, cls, lines, str(path))) from error


def read_yaml(path: str | os.PathLike[str]) -> tuple[Any, dict[tuple[Any, ...], int]]:
    """Content of a YAML file (plain data only, YAML 1.2 booleans and numbers), and the line of every key path.

    Raises:
        InputError: If the file is missing or not plain YAML, or repeats a key.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[tuple[Any, ...], int] = {}
        if node is not None:
            _check(node, (), lines, path, set())
        return (loader.construct_document(node) if node is not None else {}), lines
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not plain YAML ({' '.join(str(error).split())})") from error
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """SafeLoader without YAML 1.1's surprises: `no` is a text, and `1e-3` is a number."""


_Loader.yaml_implicit_resolvers = {
    key: [(tag, pattern) for tag, pattern in rules if not tag.endswith((":bool", ":float", ":int", ":timestamp"))]
    for key, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
# Plain decimal integers only: YAML 1.1 would read 010 as eight.
_Loader.add_constructor(
    "tag:yaml.org,2002:int", lambda loader, node: int(loader.construct_scalar(cast(yaml.ScalarNode, node)))
)
_Loader.add_constructor(
    "tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(cast(yaml.ScalarNode, node)))
)


def _check(
    node: yaml.Node, where: tuple[Any, ...], lines: dict[tuple[Any, ...], int], path: Path, seen: set[int]
) -> None:
    if id(node) in seen:
        raise InputError(f"{path}, line {node.start_mark.line + 1}: anchors and aliases are not accepted; write it out")
    seen.add(id(node))
    lines.setdefault(where, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in keys:
                raise InputError(f"{path}, line {key.start_mark.line + 1}: key {name!r} appears twice; keep one")
            keys.add(name)
            lines[(*where, name)] = key.start_mark.line + 1
            _check(value, (*where, name), lines, path, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _check(value, (*where, index), lines, path, seen)


def _explain(
    error: pydantic.ValidationError,
    cls: type[pydantic.BaseModel],
    lines: Mapping[tuple[Any, ...], int] | None,
    name: str,
) -> str:
    problems = []
    for detail in error.errors():
        where = tuple(detail["loc"])
        place = ".".join(map(str, where)) or "the whole"
        line = next((lines[where[:n]] for n in range(len(where), 0, -1) if where[:n] in lines), None) if lines else None
        at = f" (line {line})" if line else ""
        if detail["type"] == "extra_forbidden":
            valid = _fields_at(cls, where[:-1])
            near = difflib.get_close_matches(str(where[-1]), valid, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(sorted(valid)) or 'none'}"
            problems.append(f"{place}{at}: unknown key; {hint}")
        elif detail["type"] == "missing":
            problems.append(f"{place}{at}: missing; it has no default")
        else:
            message = detail["msg"].removeprefix("Value error, ")
            given = (
                ""
                if isinstance(detail["input"], dict) or repr(detail["input"]) in message
                else f", not {detail['input']!r}"
            )
            problems.append(f"{place}{at}: {message}{given}")
    return f"{name}: " + "; ".join(problems)


def _fields_at(cls: type[pydantic.BaseModel], where: tuple[Any, ...]) -> list[str]:
    """Field names of the model that sits at a place inside `cls`; empty where it cannot be told."""
    models: list[type[pydantic.BaseModel]] = [cls]
    for part in where:
        if isinstance(part, int):
            continue
        found = [_models_in(m.model_fields[part].annotation) for m in models if part in m.model_fields]
        if found:
            models = [model for group in found for model in group]
    return sorted({name for model in models for name in model.model_fields})


def _models_in(annotation: Any) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for argument in typing.get_args(annotation) for model in _models_in(argument)]
