"""Which priors a fit uses: values by hand, or fitted to the data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from openmm_cgml.config import Angle, AngleStiffness, BondStiffness, Config, Energy, Length
from openmm_cgml.units import KILOCALORIE

Fit = Literal["fit"]
Convention = Literal["half", "full"]


class BondPriorConfig(Config):
    """Harmonic bonds. A value is "fit", one for all bonds, or a mapping from bead types such as "A-B".

    Attributes:
        length: Equilibrium length; fitted, it is the mean.
        stiffness: Force constant; fitted, it is kT / variance.
        convention: What a given stiffness means: "half" is 1/2 k (r - r0)^2, OpenMM's; "full" is k (r - r0)^2 as in the
            papers, and is doubled.
    """

    length: Fit | Length | dict[str, Fit | Length] = "fit"
    stiffness: Fit | BondStiffness | dict[str, Fit | BondStiffness] = "fit"
    convention: Convention = "half"


class AnglePriorConfig(Config):
    """Harmonic angles. A value is "fit", one for all angles, or a mapping from bead types such as "A-B-A".

    Attributes:
        angle: Equilibrium angle; fitted, it is the mean.
        stiffness: Force constant; fitted, it is kT / variance.
        convention: What a given stiffness means: "half" is 1/2 k (theta - theta0)^2, OpenMM's; "full" leaves out the
            half, and is doubled.
    """

    angle: Fit | Angle | dict[str, Fit | Angle] = "fit"
    stiffness: Fit | AngleStiffness | dict[str, Fit | AngleStiffness] = "fit"
    convention: Convention = "half"


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
        repulsion: None for no excluded volume.
        exclude_bonds: Beads up to this many bonds apart feel no excluded volume.
    """

    bonds: BondPriorConfig = BondPriorConfig()
    angles: AnglePriorConfig | None = None
    repulsion: RepulsionPriorConfig | None = RepulsionPriorConfig()
    exclude_bonds: int = Field(default=2, ge=0)
