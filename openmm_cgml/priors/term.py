"""One prior: an analytic form with its parameters, keyed by bead types."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
        signed: Whether parameters may be zero or negative.
    """

    n_types: int
    units: Mapping[str, str]
    signed: bool = False


N_HARMONICS = 6
"""Coefficients of a series of cosines, k_1 to k_6."""

_COSINES = {f"k{n + 1}": "kJ/mol" for n in range(N_HARMONICS)}


FORMS: Mapping[str, PriorForm] = MappingProxyType(
    {
        "harmonic_bond": PriorForm(n_types=2, units={"length": "nm", "stiffness": "kJ/mol/nm^2"}),
        "harmonic_angle": PriorForm(n_types=3, units={"angle": "rad", "stiffness": "kJ/mol/rad^2"}),
        "cosine_angle": PriorForm(n_types=3, units=_COSINES, signed=True),
        "cosine_torsion": PriorForm(n_types=4, units=_COSINES, signed=True),
        "power_repulsion": PriorForm(
            n_types=2,
            units={"sigma": "nm", "epsilon": "kJ/mol", "exponent": "1", "cutoff": "nm", "switch_distance": "nm"},
        ),
    }
)
"""The forms a prior can have.

1/2 k (r - r0)^2, 1/2 k (theta - theta0)^2, sum over n of k_n (1 + cos(n theta)) or k_n (1 + cos(n phi)), and
epsilon (sigma/r)^n switched to zero.
"""


def type_key(types: tuple[str, ...]) -> tuple[str, ...]:
    """The bead types in the one of their two directions that sorts first."""
    return min(types, types[::-1])


@dataclass(frozen=True, kw_only=True)
class PriorTerm:
    """Parameters of one form for one combination of bead types.

    Attributes:
        form: A key of `FORMS`.
        types: Names of the bead types, the middle one of an angle at index 1; A-B and B-A are the same.
        parameters: Every parameter of the form, in the units that `FORMS` states; all but coefficients are positive.

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
            if isinstance(value, bool) or not (math.isfinite(value) and (form.signed or value > 0)):
                kind = "finite" if form.signed else "positive"
                raise InputError(f"{self}: {name} is {value} {form.units[name]}; it must be a {kind} number")
        object.__setattr__(self, "parameters", MappingProxyType({n: float(self.parameters[n]) for n in form.units}))

    def __str__(self) -> str:
        return f"{self.form} {'-'.join(self.types)}"

    @property
    def coefficients(self) -> tuple[float, ...]:
        """k_1, k_2, ... of a series of cosines [kJ/mol]."""
        return tuple(self.parameters[name] for name in _COSINES)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {"form": self.form, "types": list(self.types), "parameters": dict(self.parameters)}


def cosine_term(form: str, types: tuple[str, ...], coefficients: Sequence[float]) -> PriorTerm:
    """A "cosine_angle" or "cosine_torsion" of at most six coefficients k_1, k_2, ... [kJ/mol], the rest being zero.

    Raises:
        InputError: If there are none, or more than six.
    """
    if not 1 <= len(coefficients) <= N_HARMONICS:
        raise InputError(
            f"{form} {'-'.join(types)} has {len(coefficients)} coefficients; it takes 1 to {N_HARMONICS}: k1, k2, ..."
        )
    values = [*coefficients, *[0.0] * (N_HARMONICS - len(coefficients))]
    return PriorTerm(form=form, types=types, parameters=dict(zip(_COSINES, values, strict=True)))


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
