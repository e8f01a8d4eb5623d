"""Priors: analytic terms by bead type, set by hand or fitted, that the network corrects."""

from openmm_cgml.priors.config import (
    AnglePriorConfig,
    BondPriorConfig,
    PriorConfig,
    RepulsionPriorConfig,
    TorsionPriorConfig,
)
from openmm_cgml.priors.fitting import (
    PriorWarning,
    closest_approach,
    fit_angle_priors,
    fit_bond_priors,
    fit_priors,
    fit_repulsion_priors,
    fit_torsion_priors,
)
from openmm_cgml.priors.prior_set import PriorSet
from openmm_cgml.priors.report import BondedFit, PriorReport, RepulsionFit, report_priors
from openmm_cgml.priors.scan import RepulsionScan, check_repulsion, scan_repulsion
from openmm_cgml.priors.term import FORMS, PriorTerm, cosine_term

__all__ = [
    "FORMS",
    "AnglePriorConfig",
    "BondPriorConfig",
    "BondedFit",
    "PriorConfig",
    "PriorReport",
    "PriorSet",
    "PriorTerm",
    "PriorWarning",
    "RepulsionFit",
    "RepulsionPriorConfig",
    "RepulsionScan",
    "TorsionPriorConfig",
    "check_repulsion",
    "closest_approach",
    "cosine_term",
    "fit_angle_priors",
    "fit_bond_priors",
    "fit_priors",
    "fit_repulsion_priors",
    "fit_torsion_priors",
    "report_priors",
    "scan_repulsion",
]
