"""Reports: a folder of simulations turned into a page with figures and pictures."""

from openmm_cgml.analysis.report.reference_source import load_reference, summarize_dataset
from openmm_cgml.analysis.report.run_validation import compare_runs, validate, write_report
from openmm_cgml.analysis.report.simulation_run import SimulationRun, read_run
from openmm_cgml.analysis.report.transfer_report import validate_transfer

__all__ = [
    "SimulationRun",
    "compare_runs",
    "load_reference",
    "read_run",
    "summarize_dataset",
    "validate",
    "validate_transfer",
    "write_report",
]
