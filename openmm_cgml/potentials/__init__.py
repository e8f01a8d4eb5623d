"""Analytic potentials, each with all that is particular to it in one file: a form declares itself.

A form of your own is a final subclass of `BondedPotential` or `PairPotential`, and is known to everything here from
`POTENTIALS.append(MyForm)` on: configurations, fitting, files, time steps, boxes, simulations, refinement and reports.
"""

from openmm_cgml.potentials.bonded import Basis, BondedConfig, BondedPotential
from openmm_cgml.potentials.centers import CenterKind, Centers
from openmm_cgml.potentials.contacts import closest_approach
from openmm_cgml.potentials.coordinate import ANGLE, BOND, COORDINATES, TORSION, Coordinate, group_by_types, type_key
from openmm_cgml.potentials.cosine_angle import CosineAngle, CosineAngleConfig
from openmm_cgml.potentials.cosine_torsion import CosineTorsion, CosineTorsionConfig
from openmm_cgml.potentials.fading_torsion import FadingTorsion, FadingTorsionConfig
from openmm_cgml.potentials.force_matching import intermolecular_forces
from openmm_cgml.potentials.forms import POTENTIALS, bonded_forms, find_form, pair_forms
from openmm_cgml.potentials.harmonic_angle import HarmonicAngle, HarmonicAngleConfig
from openmm_cgml.potentials.harmonic_bond import HarmonicBond, HarmonicBondConfig
from openmm_cgml.potentials.inversion import Samples
from openmm_cgml.potentials.pair import PairConfig, PairData, PairFit, PairPotential
from openmm_cgml.potentials.pair_spline import PairSpline, PairSplineConfig
from openmm_cgml.potentials.potential import (
    EnergyFunction,
    Parameter,
    Parameters,
    Period,
    Potential,
    Value,
    evaluate,
    evaluate_energies,
    minimum_image,
)
from openmm_cgml.potentials.power_repulsion import PowerRepulsion, PowerRepulsionConfig
from openmm_cgml.potentials.site_pairs import NO_NATIVE_FORCE, SitePairs
from openmm_cgml.potentials.sites import Sites, SiteTemplate
from openmm_cgml.potentials.spline_angle import SplineAngle, SplineAngleConfig
from openmm_cgml.potentials.spline_bond import SplineBond, SplineBondConfig
from openmm_cgml.potentials.spline_torsion import SplineTorsion, SplineTorsionConfig
from openmm_cgml.potentials.three_body import NO_NATIVE_THREE_BODY, ThreeBody, ThreeBodyConfig, three_body_types

__all__ = [
    "ANGLE",
    "BOND",
    "COORDINATES",
    "NO_NATIVE_FORCE",
    "NO_NATIVE_THREE_BODY",
    "POTENTIALS",
    "TORSION",
    "Basis",
    "BondedConfig",
    "BondedPotential",
    "CenterKind",
    "Centers",
    "Coordinate",
    "CosineAngle",
    "CosineAngleConfig",
    "CosineTorsion",
    "CosineTorsionConfig",
    "EnergyFunction",
    "FadingTorsion",
    "FadingTorsionConfig",
    "HarmonicAngle",
    "HarmonicAngleConfig",
    "HarmonicBond",
    "HarmonicBondConfig",
    "PairConfig",
    "PairData",
    "PairFit",
    "PairPotential",
    "PairSpline",
    "PairSplineConfig",
    "Parameter",
    "Parameters",
    "Period",
    "Potential",
    "PowerRepulsion",
    "PowerRepulsionConfig",
    "Samples",
    "SitePairs",
    "SiteTemplate",
    "Sites",
    "SplineAngle",
    "SplineAngleConfig",
    "SplineBond",
    "SplineBondConfig",
    "SplineTorsion",
    "SplineTorsionConfig",
    "ThreeBody",
    "ThreeBodyConfig",
    "Value",
    "bonded_forms",
    "closest_approach",
    "evaluate",
    "evaluate_energies",
    "find_form",
    "group_by_types",
    "intermolecular_forces",
    "minimum_image",
    "pair_forms",
    "three_body_types",
    "type_key",
]
