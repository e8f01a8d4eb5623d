"""Looks up the parameters of internal coordinates by atom type, and collects what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff.parameter_file import TABLES, PCFFParameters

__all__ = ["ParameterLookup"]


@dataclass(eq=False)
class ParameterLookup:
    """Parameters by atom types; call `check` when everything has been asked for.

    Atom types are tried as they are, then as the types that the file declares equivalent to them for the section;
    each time without wildcards first.

    Attributes:
        parameters: Content of the parameter file.
        missing: Section and atom types of everything that was asked for and not found, in the order asked.
    """

    parameters: PCFFParameters
    missing: dict[tuple[str, tuple[str, ...]], None] = field(default_factory=dict)
    _found: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = field(default_factory=dict)

    def find(self, section: str, types: Sequence[str]) -> tuple[float, ...]:
        """Values in the order of `types`; NaN, and a note in `missing`, if there are none."""
        key = (section, tuple(types))
        if key not in self._found:
            values = self._search(section, key[1])
            if values is None:
                self.missing[key] = None
                values = (float("nan"),) * len(TABLES[section].units)
            self._found[key] = values
        return self._found[key]

    def check(self) -> None:
        """Raise an InputError that names every missing parameter, if there is one."""
        if not self.missing:
            return
        by_section: dict[str, list[str]] = {}
        for section, types in self.missing:
            by_section.setdefault(section, []).append("-".join(types))
        listed = "\n".join(f"  {section}: {', '.join(found)}" for section, found in by_section.items())
        raise InputError(
            f"parameters missing in {self.parameters.source} ({len(self.missing)} in all):\n{listed}\n"
            "Nothing is set to zero for them. Saturated hydrocarbons such as polyethylene are complete; the file's "
            "automatic parameters (cff91_auto), which PIM-1 would need, are not implemented: use GAFF there."
        )

    def _search(self, section: str, types: tuple[str, ...]) -> tuple[float, ...] | None:
        column = TABLES[section].column
        known = self.parameters.equivalences
        equivalent = tuple(known.get(name, {}).get(column, name) for name in types)
        for names in dict.fromkeys((types, equivalent)):
            for wildcards in (False, True):
                values = self._match(section, names, wildcards)
                if values is not None:
                    return values
        return None

    def _match(self, section: str, types: tuple[str, ...], wildcards: bool) -> tuple[float, ...] | None:
        table = self.parameters.tables[section]
        half = len(TABLES[section].units) // 2
        for order, is_reversed in _equal_orders(section, types):
            values = _find_wildcard(table, order) if wildcards else table.get(order)
            if values is not None:
                return values[half:] + values[:half] if is_reversed and TABLES[section].two_sided else values
        return None


def _equal_orders(section: str, types: tuple[str, ...]) -> list[tuple[tuple[str, ...], bool]]:
    """Orders of the atom types that mean the same coordinate, each with whether it is the reversed one."""
    if section == "angle-angle":  # angles i-j-k and k-j-l share the bond j-k
        i, j, k, m = types
        return [((i, j, k, m), False), ((m, j, k, i), False)]
    if section == "wilson_out_of_plane":  # j is the atom in the middle
        i, j, k, m = types
        ends = [(i, k, m), (i, m, k), (k, i, m), (k, m, i), (m, i, k), (m, k, i)]
        return [((a, j, b, c), False) for a, b, c in ends]
    return [(types, False), (types[::-1], True)]


def _find_wildcard(
    table: Mapping[tuple[str, ...], tuple[float, ...]], types: tuple[str, ...]
) -> tuple[float, ...] | None:
    for pattern, values in table.items():
        if "*" in pattern and all(p in ("*", t) for p, t in zip(pattern, types, strict=True)):
            return values
    return None
