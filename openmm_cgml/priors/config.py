"""Which priors a fit uses: values by hand, or fitted to the data.

Fitted bonds, angles and torsions are those of largest likelihood with the Jacobian of their coordinate, see
`openmm_cgml.priors.inversion`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from openmm_cgml.config import Angle, AngleStiffness, BondStiffness, Config, Energy, Length
from openmm_cgml.priors.term import N_HARMONICS
from openmm_cgml.units import KILOCALORIE

Fit = Literal["fit"]
Convention = Literal["half", "full"]
Coefficients = Annotated[tuple[Energy, ...], Field(min_length=1, max_length=N_HARMONICS)]


class BondPriorConfig(Config):
    """Harmonic bonds. A value is "fit", one for all bonds, or a mapping from bead types such as "A-B".

    Attributes:
        length: Equilibrium length.
        stiffness: Force constant.
        convention: What a given stiffness means: "half" is 1/2 k (r - r0)^2, OpenMM's; "full" is k (r - r0)^2 as in the
            papers, and is doubled.
    """

    length: Fit | Length | dict[str, Fit | Length] = "fit"
    stiffness: Fit | BondStiffness | dict[str, Fit | BondStiffness] = "fit"
    convention: Convention = "half"


class AnglePriorConfig(Config):
    """Angles, harmonic or a series of cosines. A value is "fit", one for all angles, or a mapping such as "A-B-A".

    Attributes:
        form: "harmonic" is 1/2 k (theta - theta0)^2, right for one narrow valley away from 180 degrees. "cosine" is
            sum over n of k_n (1 + cos(n theta)), which has no kink at 180 degrees and may be skewed.
        angle: Equilibrium angle of the harmonic form.
        stiffness: Force constant of the harmonic form.
        convention: What a given stiffness means: "half" is 1/2 k (theta - theta0)^2, OpenMM's; "full" leaves out the
            half, and is doubled.
        coefficients: [k_1, k_2, ...] of the cosine form.
        harmonics: Length of a fitted series.
    """

    form: Literal["harmonic", "cosine"] = "harmonic"
    angle: Fit | Angle | dict[str, Fit | Angle] = "fit"
    stiffness: Fit | AngleStiffness | dict[str, Fit | AngleStiffness] = "fit"
    convention: Convention = "half"
    coefficients: Fit | Coefficients | dict[str, Fit | Coefficients] = "fit"
    harmonics: int = Field(default=4, ge=1, le=N_HARMONICS)

    @model_validator(mode="after")
    def _check(self) -> AnglePriorConfig:
        others = {"harmonic": ("coefficients", "harmonics"), "cosine": ("angle", "stiffness", "convention")}
        foreign = [name for name in others[self.form] if name in self.model_fields_set and self._is_set(name)]
        if foreign:
            raise ValueError(
                f"form is {self.form!r}, which has no {' or '.join(foreign)}; take that out or change form"
            )
        return self

    def _is_set(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


class TorsionPriorConfig(Config):
    """Torsions, sum over n of k_n (1 + cos(n phi)) with trans at 180 degrees.

    Attributes:
        coefficients: [k_1, k_2, ...], "fit", or a mapping from bead types such as "A-B-B-A" to either.
        harmonics: Length of a fitted series.
    """

    coefficients: Fit | Coefficients | dict[str, Fit | Coefficients] = "fit"
    harmonics: int = Field(default=3, ge=1, le=N_HARMONICS)


class RepulsionPriorConfig(Config):
    """Excluded volume epsilon (sigma/r)^n. Sigma and epsilon are one value, or a mapping from bead types such as "A-B".

    A fitted sigma makes the energy at the closest approach of the two bead types in the data `contact_energy` kT:
    sigma = r_closest (contact_energy kT / epsilon)^(1/n), where r_closest is the distance at which a bead has
    `contacts_per_bead` neighbors of the other type.

    Attributes:
        exponent: The power n.
        epsilon: Energy at r = sigma; the papers' (sigma/r)^n means "1 kcal/mol".
        sigma: Length, or "fit".
        cutoff: Distance from which the energy is zero; usually that of the network.
        switch_distance: Distance from which it is switched off smoothly; by default 0.9 of the cutoff.
        contact_energy: Energy at the closest approach in kT, for a fitted sigma.
        contacts_per_bead: Neighbors within the closest approach, for a fitted sigma; 0 takes the one smallest distance.
    """

    exponent: int = Field(default=12, ge=1)
    epsilon: Energy | dict[str, Energy] = KILOCALORIE
    sigma: Fit | Length | dict[str, Fit | Length] = "fit"
    cutoff: Length = Field(default=0.8, gt=0)
    switch_distance: Length | None = None
    contact_energy: float = Field(default=5.0, gt=0)
    contacts_per_bead: float = Field(default=0.002, ge=0, lt=1)

    @model_validator(mode="after")
    def _check(self) -> RepulsionPriorConfig:
        if self.switch_distance is not None and not 0 < self.switch_distance < self.cutoff:
            raise ValueError(
                f"switch_distance {self.switch_distance:g} nm must lie below the cutoff {self.cutoff:g} nm"
            )
        return self


class PriorConfig(Config):
    """The priors of a force field.

    Attributes:
        bonds: For every bond of the topology.
        angles: None for no angle terms.
        torsions: None for no torsion terms.
        repulsion: None for no excluded volume.
        exclude_bonds: Beads up to this many bonds apart feel no excluded volume, and a network with
            `include_bonded: false` does not see them either: the one place where this is said.
    """

    bonds: BondPriorConfig = BondPriorConfig()
    angles: AnglePriorConfig | None = None
    torsions: TorsionPriorConfig | None = None
    repulsion: RepulsionPriorConfig | None = RepulsionPriorConfig()
    exclude_bonds: int = Field(default=2, ge=0)
