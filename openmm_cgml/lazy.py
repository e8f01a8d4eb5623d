"""Public names of a package that are imported on first use, so that importing one light part of it stays light."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
    package: str, module_of: Mapping[str, str], *, moved: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a package whose public names are imported on first use.

    A public name must not be that of a submodule: an import of the submodule would put it in the name's place.

    Args:
        package: Its `__name__`.
        module_of: The submodule that holds each public name.
        moved: Where names of earlier releases are now, as "package.name"; scripts that use them go on, with a warning.
    """

    def get(name: str) -> Any:
        if moved and name in moved:
            return _moved(package, name, moved[name])
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}; public names: {', '.join(module_of)}")
        value = getattr(importlib.import_module(f"{package}.{module_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *module_of})

    return get, names


def _moved(package: str, name: str, place: str) -> Any:
    warnings.warn(f"{package}.{name} is {place} now; import that", DeprecationWarning, stacklevel=3)
    home, _, now = place.rpartition(".")
    return getattr(importlib.import_module(home), now)
