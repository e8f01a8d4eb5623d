"""Configurations: strict YAML read into frozen pydantic models whose quantities carry units."""

from __future__ import annotations

import difflib
import os
import re
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import pydantic
import yaml
from pydantic_core import core_schema

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
            raise InputError(
                _explain(_problems_of(error), cast(type[pydantic.BaseModel], cls), None, cls.__name__)
            ) from error


class Config(pydantic.BaseModel, metaclass=_Explaining):
    """Base of every configuration: immutable, and unknown fields are errors.

    Raises:
        InputError: On construction, naming the field, the value and what would be right.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Quantity:
    """Makes the number of a field from a number, a text with a unit or an OpenMM Quantity.

    Attributes:
        dimension: A key of `units.DIMENSIONS`.
    """

    dimension: str

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> Any:
        return core_schema.with_info_before_validator_function(self._convert, handler(source))

    def _convert(self, value: Any, info: core_schema.ValidationInfo) -> float:
        try:
            if (info.context or {}).get(_FROM_FILE):
                return parse_quantity(value, self.dimension)
            return value_in(value, self.dimension)
        except InputError as error:
            raise ValueError(str(error)) from error
        except TypeError as error:
            raise ValueError(f"{value!r} is not a {self.dimension}") from error


Length = Annotated[float, Quantity("length")]
Time = Annotated[float, Quantity("time")]
Mass = Annotated[float, Quantity("mass")]
Energy = Annotated[float, Quantity("energy")]
Temperature = Annotated[float, Quantity("temperature")]
Angle = Annotated[float, Quantity("angle")]
Pressure = Annotated[float, Quantity("pressure")]
Density = Annotated[float, Quantity("density")]
Force = Annotated[float, Quantity("force")]
BondStiffness = Annotated[float, Quantity("bond_stiffness")]
AngleStiffness = Annotated[float, Quantity("angle_stiffness")]
Friction = Annotated[float, Quantity("friction")]

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
    own_lines = {where: line for where, line in lines.items() if where and where[0] not in (overrides or {})}
    try:
        return cls.model_validate({**values, **(overrides or {})}, context={_FROM_FILE: True})
    except pydantic.ValidationError as error:
        raise InputError(_explain(_problems_of(error), cls, own_lines, str(path))) from error


def check_settings(cls: type[Config], settings: Mapping[str, Any], *, later: Collection[str] = ()) -> None:
    """Check settings of which some are not known yet; what depends on those is not checked.

    Args:
        cls: The configuration class they are for.
        settings: What is known, by name.
        later: Fields without a default that may be missing.

    Raises:
        InputError: Naming the field, the value and what would be right.
    """
    try:
        cls.model_validate(dict(settings))
    except pydantic.ValidationError as error:
        wrong = [each for each in _problems_of(error) if not (each["type"] == "missing" and each["loc"][0] in later)]
        if wrong:
            raise InputError(_explain(wrong, cls, None, cls.__name__)) from error


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


def _problems_of(error: pydantic.ValidationError) -> list[Any]:
    """What pydantic found wrong, without defaults that it could not make because of it."""
    return [each for each in error.errors() if each["type"] != "default_factory_not_called"]


def _explain(
    details: Sequence[Mapping[str, Any]],
    cls: type[pydantic.BaseModel],
    lines: Mapping[tuple[Any, ...], int] | None,
    name: str,
) -> str:
    problems = []
    for detail in details:
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
