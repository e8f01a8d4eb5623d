"""Priors: analytic terms by bead type, set by hand or fitted, that the network corrects."""

from typing import TYPE_CHECKING

from openmm_cgml.lazy import lazy_names

if TYPE_CHECKING:
    from openmm_cgml.priors.config import PriorConfig
    from openmm_cgml.priors.fitting import PriorWarning, fit_bonded_priors, fit_pair_priors, fit_priors
    from openmm_cgml.priors.prior_set import PriorSet
    from openmm_cgml.priors.report import BondedFit, PriorReport, RepulsionFit, report_priors
    from openmm_cgml.priors.scan import RepulsionScan, check_repulsion, scan_repulsion
    from openmm_cgml.priors.term import PriorTerm

__all__ = [
    "BondedFit",
    "PriorConfig",
    "PriorReport",
    "PriorSet",
    "PriorTerm",
    "PriorWarning",
    "RepulsionFit",
    "RepulsionScan",
    "check_repulsion",
    "fit_bonded_priors",
    "fit_pair_priors",
    "fit_priors",
    "report_priors",
    "scan_repulsion",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BondedFit": "report",
        "PriorConfig": "config",
        "PriorReport": "report",
        "PriorSet": "prior_set",
        "PriorTerm": "term",
        "PriorWarning": "fitting",
        "RepulsionFit": "report",
        "RepulsionScan": "scan",
        "check_repulsion": "scan",
        "fit_bonded_priors": "fitting",
        "fit_pair_priors": "fitting",
        "fit_priors": "fitting",
        "report_priors": "report",
        "scan_repulsion": "scan",
    },
)
