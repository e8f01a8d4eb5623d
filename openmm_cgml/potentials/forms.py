"""The list of all forms, and finding one in it."""

from __future__ import annotations

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.bonded import BondedPotential
from openmm_cgml.potentials.coordinate import Coordinate
from openmm_cgml.potentials.cosine_angle import CosineAngle
from openmm_cgml.potentials.cosine_torsion import CosineTorsion
from openmm_cgml.potentials.fading_torsion import FadingTorsion
from openmm_cgml.potentials.harmonic_angle import HarmonicAngle
from openmm_cgml.potentials.harmonic_bond import HarmonicBond
from openmm_cgml.potentials.pair import PairPotential
from openmm_cgml.potentials.pair_spline import PairSpline
from openmm_cgml.potentials.potential import Potential
from openmm_cgml.potentials.power_repulsion import PowerRepulsion
from openmm_cgml.potentials.spline_angle import SplineAngle
from openmm_cgml.potentials.spline_bond import SplineBond
from openmm_cgml.potentials.spline_torsion import SplineTorsion
from openmm_cgml.potentials.three_body import ThreeBody

POTENTIALS: list[type[Potential]] = [
    HarmonicBond,
    HarmonicAngle,
    CosineAngle,
    CosineTorsion,
    PowerRepulsion,
    PairSpline,
    SplineBond,
    SplineAngle,
    SplineTorsion,
    FadingTorsion,
    ThreeBody,
]
"""Every form there is; nothing else lists them."""


def find_form(key: str) -> type[Potential]:
    """The form that files call `key`.

    Raises:
        InputError: If there is none.
    """
    for form in POTENTIALS:
        if form.key == key:
            return form
    raise InputError(
        f"unknown prior form {key!r}; known are {', '.join(form.key for form in POTENTIALS)}. "
        "Append a form of your own to openmm_cgml.potentials.POTENTIALS first"
    )


def bonded_forms(coordinate: Coordinate) -> dict[str, type[BondedPotential]]:
    """The forms of a coordinate, by what a configuration calls them."""
    forms = [form for form in POTENTIALS if issubclass(form, BondedPotential) and form.coordinate is coordinate]
    return {form.Config.model_fields["form"].default: form for form in forms}


def pair_forms() -> dict[str, type[PairPotential]]:
    """The pair forms, by what a configuration calls them."""
    forms = [form for form in POTENTIALS if issubclass(form, PairPotential)]
    return {form.Config.model_fields["form"].default: form for form in forms}
