#!/usr/bin/env python3
"""Write docs/settings.md: every key of every configuration, from the classes that read them."""

from __future__ import annotations

import inspect
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic.fields import FieldInfo

from openmm_cgml.cli.options import describe_fields
from openmm_cgml.config import Config, Quantity
from openmm_cgml.networks import SchNetConfig
from openmm_cgml.potentials import ANGLE, BOND, TORSION, ThreeBodyConfig, bonded_forms, pair_forms
from openmm_cgml.potentials.pair_spline import CenterSplineConfig
from openmm_cgml.priors import PriorConfig
from openmm_cgml.reference import MeanForceConfig, ReferenceConfig
from openmm_cgml.refinement.config import CONFIGS
from openmm_cgml.selection.pages import format_markdown
from openmm_cgml.simulation.config import SimulationConfig
from openmm_cgml.specification import (
    AtomSpecification,
    BeadSpecification,
    ChainSpecification,
    LiteratureValue,
    ProtocolSpecification,
    ReferenceSpecification,
    ResidueSpecification,
    StageSpecification,
    SystemSpecification,
)
from openmm_cgml.starting import StartConfig, StartFromRecordingConfig, StartPolymerConfig
from openmm_cgml.training.config import DataConfig, FitConfig, TrainingConfig
from openmm_cgml.units import DIMENSIONS
from openmm_cgml.validation.quantities import QUANTITIES

PAGE = Path(__file__).resolve().parent / "settings.md"
_HEAD = """# Settings

Every key of every file and what it means. This page is written from the classes that read the files
(`docs/write_settings_page.py`), and a test compares the two.

Quantities carry their unit (`8 angstrom`, `0.84 g/cm^3`, `1 atm`, `20 kcal/mol/angstrom^2`); the unit in the tables is
that of the defaults, and of plain numbers in Python. `null` is YAML for none. An unknown key is refused with the
nearest known one.
"""
_UNIT = re.compile(r" \[[^\]]+\](?=[.,;:]|$| and| or)")
_WORDS = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", Path: "path"}


def main() -> None:
    """Command line."""
    PAGE.write_text(settings_page(), encoding="utf8")
    print(f"{PAGE.name} written")


def settings_page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_system(), *_fit(), *_refine(), *_runs(), *_limits()])


def configurations() -> dict[str, type[Config]]:
    """Every class of the page by the place of its keys."""
    bonded = {
        f"fit.yaml: priors.{coordinate.section}, form: {form}": kind.Config
        for coordinate in (BOND, ANGLE, TORSION)
        for form, kind in bonded_forms(coordinate).items()
    }
    pairs = {f"fit.yaml: priors.{_section_of(form)}, form: {form}": kind.Config for form, kind in pair_forms().items()}
    return {
        "system.yaml": SystemSpecification,
        "system.yaml: residues[]": ResidueSpecification,
        "system.yaml: residues[].atoms[]": AtomSpecification,
        "system.yaml: residues[].beads[]": BeadSpecification,
        "system.yaml: chains[]": ChainSpecification,
        "system.yaml: reference": ReferenceSpecification,
        "system.yaml: reference.equilibration[]": StageSpecification,
        "system.yaml: literature.NAME": LiteratureValue,
        "protocol.yaml": ProtocolSpecification,
        "fit.yaml": FitConfig,
        "fit.yaml: data": DataConfig,
        "fit.yaml: priors": PriorConfig,
        **bonded,
        **pairs,
        "fit.yaml: priors.pairs.centers": CenterSplineConfig,
        "fit.yaml: priors.three_body": ThreeBodyConfig,
        "fit.yaml: network": SchNetConfig,
        "fit.yaml: training": TrainingConfig,
        **{f"refine.yaml, target: {target}": kind for target, kind in CONFIGS.items()},
        "simulate": SimulationConfig,
        "reference": ReferenceConfig,
        "reference --mean-force": MeanForceConfig,
        "init": StartConfig,
        "init --repeat": StartPolymerConfig,
        "init --from": StartFromRecordingConfig,
    }


def _section_of(form: str) -> str:
    """The section of fit.yaml that takes a pair form by default."""
    return "repulsion" if form == "power" else "pairs"


def _system() -> Iterator[str]:
    yield from _chapter("system.yaml", "Molecules, beads and the atomistic reference, for `reference` and `map`.")
    yield from _sections("system.yaml")
    yield from _sections("protocol.yaml", "A file for `reference --protocol`")


def _fit() -> Iterator[str]:
    yield from _chapter("fit.yaml", "What `fit` makes; [priors](priors.md) shows the forms and which to take.")
    yield from _sections("fit.yaml")


def _refine() -> Iterator[str]:
    text = "What `refine` adjusts; `target` says which table holds. Options of the same names go before the file."
    yield from _chapter("refine.yaml", text)
    yield from _sections("refine.yaml")


def _runs() -> Iterator[str]:
    texts = {
        "simulate": "Options of `simulate`, or a file for its `--config`.",
        "reference": "Options of `reference` (with dashes: `--frame-interval`), and `ReferenceConfig` in Python.",
        "reference --mean-force": "Options of `reference --mean-force`, where `duration` is `--sampling`.",
        "init": "Options of `init` ([your own liquid](your-own-liquid.md)), and `StartConfig` in Python.",
        "init --repeat": "Options of `init` for a polymer ([your own polymer](your-own-polymer.md)), and "
        "`StartPolymerConfig` in Python.",
        "init --from": "Options of `init` for a recording, which is its `--from` ([I have a trajectory "
        "already](importing.md)), and `StartFromRecordingConfig` in Python.",
    }
    classes = configurations()
    for name, text in texts.items():
        yield from _chapter(name, text)
        yield _table(classes[name])
        yield ""


def _limits() -> Iterator[str]:
    yield from _chapter("validate", "Limits, as `--limit NAME=VALUE`; what each quantity says of its own.")
    rows = [
        (f"`{name}`", f"{value:g}", " ".join(inspect.cleandoc(type(quantity).__doc__ or "").split()))
        for quantity in QUANTITIES
        for name, value in quantity.limits.items()
    ]
    yield format_markdown(("limit", "default", "quantity"), rows)
    yield ""


def _chapter(name: str, text: str) -> list[str]:
    return [f"## {name}", "", text, ""]


def _sections(file: str, title: str | None = None) -> Iterator[str]:
    """The tables of one file, each under the place of its keys."""
    for place, cls in configurations().items():
        if place == file or place.startswith((f"{file}:", f"{file},")):
            inner = place[len(file) :].lstrip(":, ")
            if inner or title:
                yield f"### {title or inner}\n"
            yield _summary(cls) + "\n"
            yield _table(cls) + "\n"


def _summary(cls: type[Config]) -> str:
    """The first paragraph of a docstring."""
    return " ".join(inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].split())


def _table(cls: type[Config]) -> str:
    meanings = {name: _UNIT.sub("", text) for name, text in describe_fields(cls).items()}
    rows = [
        (f"`{name}`", _cell(kind_of(field)), unit_of(field), _default(field), _cell(meanings.get(name, "")))
        for name, field in cls.model_fields.items()
    ]
    return format_markdown(("key", "type", "unit", "default", "meaning"), rows)


def kind_of(field: FieldInfo) -> str:
    """The type of a key in words."""
    if _quantities(field.annotation) | {part for part in field.metadata if isinstance(part, Quantity)}:
        return "quantity" if _inner(field.annotation) in (float, None) else _words(field.annotation)
    return _words(field.annotation)


def unit_of(field: FieldInfo) -> str:
    """The unit of a key's default; empty where it has none."""
    found = _quantities(field.annotation) | {part for part in field.metadata if isinstance(part, Quantity)}
    return ", ".join(sorted({DIMENSIONS[quantity.dimension][1] for quantity in found}))


def _quantities(annotation: Any) -> set[Quantity]:
    """What says that there are quantities in a type."""
    own = {part for part in getattr(annotation, "__metadata__", ()) if isinstance(part, Quantity)}
    return own.union(*(_quantities(part) for part in typing.get_args(annotation)))


def _inner(annotation: Any) -> Any:
    """The one type of an optional or annotated one; None for several."""
    while typing.get_args(annotation) and typing.get_origin(annotation) not in (tuple, list, dict, Mapping):
        parts = [part for part in _options(annotation) if part is not types.NoneType]
        if len(parts) != 1:
            return None
        annotation = parts[0]
    return annotation


def _options(annotation: Any) -> tuple[Any, ...]:
    """The types of a union; the type of an annotated one."""
    is_annotated = hasattr(annotation, "__metadata__")
    return (annotation.__origin__,) if is_annotated else typing.get_args(annotation)


def _words(annotation: Any) -> str:
    origin = typing.get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        is_quantity = any(isinstance(part, Quantity) for part in annotation.__metadata__)
        return "quantity" if is_quantity else _words(annotation.__origin__)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    if origin in (typing.Union, types.UnionType):
        parts = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        return " or ".join(dict.fromkeys(map(_words, parts)))
    if origin in (tuple, list):
        return _list_words(annotation)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        _, value = typing.get_args(annotation)
        return f"names with {_words(value)}"
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return "section"
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _list_words(annotation: Any) -> str:
    parts = typing.get_args(annotation)
    if len(parts) == 1 or parts[-1] is Ellipsis:
        return f"list of {_words(parts[0])}".replace("list of section", "list of sections")
    return f"list of {len(parts)}: {_words(parts[0])}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be given"
    if field.default_factory is not None:
        factory: Any = field.default_factory
        return _plain(factory()) if isinstance(factory, type) else "see there"
    return _plain(field.default)


def _plain(value: Any) -> str:
    """A default as YAML has it."""
    if value is None:
        return "`null`"
    if isinstance(value, Config):
        form = getattr(value, "form", None)
        return f"`{{form: {form}}}`" if form else "its defaults"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    if isinstance(value, dict):
        return "`{}`"
    return f"`{value:g}`" if isinstance(value, float) else (f"`{value}`" if value != "" else "empty")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
