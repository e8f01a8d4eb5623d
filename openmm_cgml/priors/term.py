"""One prior: an analytic form with its parameters, keyed by bead types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from openmm_cgml.errors import InputError
from openmm_cgml.potentials import BondedPotential, Potential, Value, find_form, type_key


@dataclass(frozen=True, kw_only=True)
class PriorTerm:
    """Parameters of one form for one combination of bead types.

    Attributes:
        form: Key of the form, one of `POTENTIALS`.
        types: Names of the bead types, the middle one of an angle at index 1; A-B and B-A are the same.
        parameters: Every parameter of the form, in the units that the form states.

    Raises:
        InputError: If the form is unknown, a parameter is missing, unknown or not positive, or they do not fit each
            other.
    """

    form: str
    types: tuple[str, ...]
    parameters: Mapping[str, Value]

    def __post_init__(self) -> None:
        form = find_form(self.form)
        if len(self.types) != form.n_types():
            raise InputError(f"{self.form} needs {form.n_types()} bead types, not {len(self.types)}: {self.types}")
        object.__setattr__(self, "types", type_key(tuple(self.types)))
        wanted = form.parameters
        missing, unknown = wanted.keys() - self.parameters.keys(), self.parameters.keys() - wanted.keys()
        if missing or unknown:
            raise InputError(
                f"{self}: parameters missing: {_listed(missing)}; unknown: {_listed(unknown)}; "
                f"it takes {', '.join(wanted)}"
            )
        for name, value in self.parameters.items():
            if (problem := wanted[name].problem(value)) is not None:
                raise InputError(f"{self}: {name} is {problem}")
        object.__setattr__(self, "parameters", MappingProxyType({n: _frozen(self.parameters[n]) for n in wanted}))
        try:
            form.check_term(self.parameters)
        except InputError as error:
            raise InputError(f"{self}: {error}") from error

    def __str__(self) -> str:
        return f"{self.form} {'-'.join(self.types)}"

    @property
    def potential(self) -> type[Potential]:
        """Its form."""
        return find_form(self.form)

    @property
    def does_nothing(self) -> bool:
        """Whether it is a bonded term whose every parameter is zero, which says that there is none of its kind."""
        return issubclass(self.potential, BondedPotential) and not any(np.any(v) for v in self.parameters.values())

    @property
    def bonded(self) -> type[BondedPotential]:
        """Its form, if that is a bonded one.

        Raises:
            InputError: If it is not.
        """
        form = self.potential
        if not issubclass(form, BondedPotential):
            raise InputError(f"{self} is no bonded term; those of bonds, angles and torsions are")
        return form

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        plain = {name: _plain(value) for name, value in self.parameters.items()}
        return {"form": self.form, "types": list(self.types), "parameters": plain}

    def describe(self) -> str:
        """The parameters with their units, for people."""
        if self.does_nothing:
            return "none"
        known = self.potential.parameters
        return ", ".join(f"{name} {known[name].text(value)}" for name, value in self.parameters.items())


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _frozen(value: Value) -> Value:
    return tuple(map(float, value)) if isinstance(value, tuple | list) else float(value)


def _plain(value: Value) -> float | list[float]:
    return list(value) if isinstance(value, tuple) else value
