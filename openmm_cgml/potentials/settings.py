"""Settings that may be one value for all bead types, "fit", or a mapping from bead types to either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from openmm_cgml.errors import InputError


def by_types(
    values: Mapping[str, Any], known: Iterable[tuple[str, ...]], section: str
) -> dict[tuple[str, ...], dict[str, Any]]:
    """What a configuration says of each setting for each combination of bead types: a value or "fit".

    Args:
        values: The settings by name.
        known: The combinations of bead types that occur.
        section: Where the settings stand in the configuration, for error messages.

    Raises:
        InputError: If a mapping names types that do not occur, or lacks some that do.
    """
    known = tuple(known)
    result: dict[tuple[str, ...], dict[str, Any]] = {types: {} for types in known}
    for name, value in values.items():
        given = {}
        for text, entry in value.items() if isinstance(value, dict) else ():
            match = [types for types in known if text in ("-".join(types), "-".join(types[::-1]))]
            if not match:
                names = ", ".join("-".join(types) for types in known) or "none"
                raise InputError(f"{section}.{name} names {text!r}, which does not occur here; there are {names}")
            given[match[0]] = entry
        for types in known:
            if isinstance(value, dict) and types not in given:
                raise InputError(
                    f'{section}.{name} has no value for {"-".join(types)}; give one, or "fit" where it can'
                )
            result[types][name] = given.get(types, value)
    return result
