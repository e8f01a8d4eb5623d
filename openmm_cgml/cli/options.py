"""Options made from a configuration class: name, type, default and help of a setting are written there alone."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from openmm_cgml.config import Config, Quantity
from openmm_cgml.units import DIMENSIONS

_UNIT = re.compile(r" \[[^\]]+\]")
_ATTRIBUTES = re.compile(r"^Attributes:\n(.*?)(?=^\S|\Z)", re.DOTALL | re.MULTILINE)


def with_options_of(
    cls: type[Config],
    *,
    panel: str,
    panels: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Gives a verb one option per setting of a configuration; it gets those that were given as keyword arguments.

    Args:
        cls: The configuration class.
        panel: Heading of the options in the help.
        panels: Another heading for some settings.
        defaults: What a setting without a default is where it is not given, in words.
        without: Settings that are no options.
    """
    headings, words = panels or {}, defaults or {}
    helps = describe_fields(cls)
    added = [
        create_option(name, field, helps.get(name, ""), panel=headings.get(name, panel), default=words.get(name))
        for name, field in cls.model_fields.items()
        if name not in without
    ]
    names = [option.name for option in added]

    def decorate(verb: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(verb, eval_str=True).parameters.values() if p.kind is not p.VAR_KEYWORD]

        @functools.wraps(verb)
        def call(**arguments: Any) -> Any:
            return verb(**{n: value for n, value in arguments.items() if n not in names or value is not None})

        parameters = [*(p.replace(kind=p.KEYWORD_ONLY) for p in own), *added]
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        del call.__wrapped__  # type: ignore[attr-defined]
        return call

    return decorate


def describe_fields(cls: type[Config]) -> dict[str, str]:
    """What the settings of a configuration are, by name: their descriptions, or the class's section Attributes."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        section = _ATTRIBUTES.search(inspect.cleandoc(base.__doc__ or "")) if issubclass(base, Config) else None
        entries = re.split(r"^    (?=\w+: )", section[1], flags=re.MULTILINE)[1:] if section else []
        found |= {name: " ".join(text.split()) for name, text in (entry.split(": ", 1) for entry in entries)}
    return found | {name: field.description for name, field in cls.model_fields.items() if field.description}


def create_option(name: str, field: FieldInfo, text: str, *, panel: str, default: str | None) -> inspect.Parameter:
    """The parameter of a verb for one setting, None where it is not given.

    Args:
        name: The setting.
        field: Its type and default.
        text: What it is.
        panel: Heading in the help.
        default: Its default in words; by default that of the field.
    """
    quantity, kind = _quantity_of(field), _without_none(field.annotation)
    unit = DIMENSIONS[quantity.dimension][1] if quantity else ""
    if default is None and not (field.is_required() or field.default_factory or field.default is None):
        default = _in_words(field.default, unit)
    text = _UNIT.sub("", text).rstrip(".")
    option = typer.Option(
        help=f"{text}; default {default}." if default else f"{text}.",
        metavar=f'"N {unit}"' if quantity else None,
        rich_help_panel=panel,
    )
    given: Any = str if quantity else kind
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[given | None, option]
    )


def _in_words(default: Any, unit: str) -> str:
    if isinstance(default, bool):
        return "yes" if default else "no"
    return f"{default:g} {unit}" if unit else str(default)


def _quantity_of(field: FieldInfo) -> Quantity | None:
    """What says that a field is a number with a unit."""
    inner = [part for option in typing.get_args(field.annotation) for part in typing.get_args(option)]
    return next((part for part in [*field.metadata, *inner] if isinstance(part, Quantity)), None)


def _without_none(annotation: Any) -> Any:
    """The type of a setting that may also be None."""
    if typing.get_origin(annotation) not in (types.UnionType, typing.Union):
        return annotation
    (kind,) = (option for option in typing.get_args(annotation) if option is not types.NoneType)
    return kind
