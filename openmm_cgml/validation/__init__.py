"""Validation: simulations of beads against their atomistic reference, and against one another."""

from openmm_cgml.validation.limits import ValidationLimits, collect_limits
from openmm_cgml.validation.metric import Metric
from openmm_cgml.validation.quantities import QUANTITIES
from openmm_cgml.validation.quantity import Comparison, Quantity
from openmm_cgml.validation.reference_source import load_reference, summarize_boxes, summarize_dataset
from openmm_cgml.validation.reference_summary import (
    ReferenceSummary,
    read_reference_summary,
    summarize_reference,
    write_reference_summary,
)
from openmm_cgml.validation.report.plate import Plate
from openmm_cgml.validation.run_validation import compare_runs, validate, write_report
from openmm_cgml.validation.simulation_run import SimulationRun, read_run
from openmm_cgml.validation.trajectory import Trajectory
from openmm_cgml.validation.trajectory_summary import TrajectorySummary, summarize_trajectory
from openmm_cgml.validation.transfer import Transfer, TransferLimits, compare_transfer
from openmm_cgml.validation.transfer_validation import validate_transfer
from openmm_cgml.validation.verdict import Validation, ValidationResult, compare_with_reference

__all__ = [
    "QUANTITIES",
    "Comparison",
    "Metric",
    "Plate",
    "Quantity",
    "ReferenceSummary",
    "SimulationRun",
    "Trajectory",
    "TrajectorySummary",
    "Transfer",
    "TransferLimits",
    "Validation",
    "ValidationLimits",
    "ValidationResult",
    "collect_limits",
    "compare_runs",
    "compare_transfer",
    "compare_with_reference",
    "load_reference",
    "read_reference_summary",
    "read_run",
    "summarize_boxes",
    "summarize_dataset",
    "summarize_reference",
    "summarize_trajectory",
    "validate",
    "validate_transfer",
    "write_reference_summary",
    "write_report",
]
