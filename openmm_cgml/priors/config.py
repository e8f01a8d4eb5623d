"""Which priors a fit uses: forms, and values by hand or fitted to the data.

Fitted bonds, angles and torsions are those of largest likelihood with the Jacobian of their coordinate, see
`openmm_cgml.potentials.inversion`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo, model_validator

from openmm_cgml.config import Config
from openmm_cgml.potentials import (
    ANGLE,
    BOND,
    TORSION,
    BondedConfig,
    BondedPotential,
    Coordinate,
    HarmonicBondConfig,
    PairConfig,
    PairPotential,
    PowerRepulsionConfig,
    ThreeBodyConfig,
    bonded_forms,
    pair_forms,
)

_Forms = Mapping[str, type[BondedPotential] | type[PairPotential]]


def _settings_of(forms: Callable[[], _Forms], usual: str) -> BeforeValidator:
    """Read a section with the settings of the form that it names, `usual` if it names none."""

    def read(value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, Mapping):
            return value
        known, name = forms(), value.get("form", usual)
        if name not in known:
            raise ValueError(f"form is {name!r}; known are {', '.join(known)}")
        _check_keys(value, name, known[name].Config)
        return known[name].Config.model_validate({**value, "form": name}, context=info.context)

    return BeforeValidator(read)


def _check_keys(value: Mapping[str, Any], form: str, settings: type[Config]) -> None:
    """Raise ValueError if a section has a key that its form does not know."""
    valid = list(settings.model_fields)
    for key in value:
        if key not in valid:
            near = difflib.get_close_matches(str(key), valid, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"valid keys: {', '.join(valid)}; or change form"
            raise ValueError(f"form is {form!r}, which has no {key}; {hint}")


def _bonded(coordinate: Coordinate, usual: str) -> BeforeValidator:
    return _settings_of(lambda: bonded_forms(coordinate), usual)


class PriorConfig(Config):
    """The priors of a force field. Each section holds the settings of the form that its key `form` names.

    Attributes:
        bonds: For every bond of the topology; "harmonic" by default, or "spline".
        angles: None for no angle terms; "harmonic" by default, or "cosine" or "spline".
        torsions: None for no torsion terms; "cosine" by default, or "spline".
        repulsion: None for no excluded volume; "power" by default.
        pairs: A pair form that is fitted to the forces between molecules, in place of excluded volume: "spline" by
            default. None for none.
        three_body: A term for pairs of neighbors of a bead in other molecules, by distances and angle, that is fitted
            together with `pairs` between beads. None for none.
        exclude_bonds: Beads up to this many bonds apart feel no excluded volume, and a network with
            `include_bonded: false` does not see them either: the one place where this is said.
    """

    bonds: Annotated[SerializeAsAny[BondedConfig], _bonded(BOND, "harmonic")] = HarmonicBondConfig()
    angles: Annotated[SerializeAsAny[BondedConfig] | None, _bonded(ANGLE, "harmonic")] = None
    torsions: Annotated[SerializeAsAny[BondedConfig] | None, _bonded(TORSION, "cosine")] = None
    repulsion: Annotated[SerializeAsAny[PairConfig] | None, _settings_of(pair_forms, "power")] = PowerRepulsionConfig()
    pairs: Annotated[SerializeAsAny[PairConfig] | None, _settings_of(pair_forms, "spline")] = None
    three_body: ThreeBodyConfig | None = None
    exclude_bonds: int = Field(default=2, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_repulsion(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("pairs") is None:
            return values
        if values.get("repulsion") is not None:
            raise ValueError(
                "pairs and repulsion are both given; what is fitted as pairs has a wall of its own: leave repulsion out"
            )
        return {**values, "repulsion": None}

    @model_validator(mode="after")
    def _check_three_body(self) -> Self:
        if self.three_body is not None and not (self.pairs is not None and self.pairs.takes_three_body):
            raise ValueError(
                "three_body is fitted together with splines between beads, which keep these apart; give "
                "pairs: {form: spline, ...} without sites and alike, or leave three_body out"
            )
        return self

    @property
    def pair_form(self) -> PairConfig | None:
        """The settings of the pair form, whichever section has them."""
        return self.pairs if self.repulsion is None else self.repulsion
