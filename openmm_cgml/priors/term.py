"""One prior: an analytic form with its parameters, keyed by bead types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from openmm_cgml.errors import InputError


@dataclass(frozen=True, kw_only=True)
class PriorForm:
    """What a term of one form consists of.

    Attributes:
        n_types: Number of bead types that key it.
        units: Unit of each parameter, by name.
    """

    n_types: int
    units: Mapping[str, str]


FORMS: Mapping[str, PriorForm] = MappingProxyType(
    {
        "harmonic_bond": PriorForm(n_types=2, units={"length": "nm", "stiffness": "kJ/mol/nm^2"}),
        "harmonic_angle": PriorForm(n_types=3, units={"angle": "rad", "stiffness": "kJ/mol/rad^2"}),
        "power_repulsion": PriorForm(
            n_types=2,
            units={"sigma": "nm", "epsilon": "kJ/mol", "exponent": "1", "cutoff": "nm", "switch_distance": "nm"},
        ),
    }
)
"""The forms a prior can have: 1/2 k (r - r0)^2, 1/2 k (theta - theta0)^2, and epsilon (sigma/r)^n switched to zero."""


def type_key(types: tuple[str, ...]) -> tuple[str, ...]:
    """The bead types in the one of their two directions that sorts first."""
    return min(types, types[::-1])


@dataclass(frozen=True, kw_only=True)
class PriorTerm:
    """Parameters of one form for one combination of bead types.

    Attributes:
        form: A key of `FORMS`.
        types: Names of the bead types, the middle one of an angle at index 1; A-B and B-A are the same.
        parameters: Every parameter of the form, in the units that `FORMS` states; all are positive.

    Raises:
        InputError: If the form is unknown, or a parameter is missing, unknown or not positive.
    """

    form: str
    types: tuple[str, ...]
    parameters: Mapping[str, float]

    def __post_init__(self) -> None:
        form = FORMS.get(self.form)
        if form is None:
            raise InputError(f"unknown prior form {self.form!r}; known are {', '.join(FORMS)}")
        if len(self.types) != form.n_types:
            raise InputError(f"{self.form} needs {form.n_types} bead types, not {len(self.types)}: {self.types}")
        object.__setattr__(self, "types", type_key(tuple(self.types)))
        missing, unknown = form.units.keys() - self.parameters.keys(), self.parameters.keys() - form.units.keys()
        if missing or unknown:
            raise InputError(
                f"{self}: parameters missing: {_listed(missing)}; unknown: {_listed(unknown)}; "
                f"it takes {', '.join(form.units)}"
            )
        for name, value in self.parameters.items():
            if isinstance(value, bool) or not (math.isfinite(value) and value > 0):
                raise InputError(f"{self}: {name} is {value} {form.units[name]}; it must be a positive number")
        object.__setattr__(self, "parameters", MappingProxyType({n: float(self.parameters[n]) for n in form.units}))

    def __str__(self) -> str:
        return f"{self.form} {'-'.join(self.types)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {"form": self.form, "types": list(self.types), "parameters": dict(self.parameters)}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
