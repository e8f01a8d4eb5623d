"""Every picture that the runs and the reference allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openmm_cgml.validation.quantity import Quantity
from openmm_cgml.validation.reference_summary import ReferenceSummary
from openmm_cgml.validation.report.pictures import draw_series
from openmm_cgml.validation.report.plate import Plate
from openmm_cgml.validation.simulation_run import SimulationRun


def draw_plates(
    runs: Sequence[SimulationRun], reference: ReferenceSummary, quantities: Sequence[Quantity[Any]]
) -> list[Plate]:
    """The pictures of the quantities in their order, then temperature and energy over time.

    Args:
        runs: Simulations.
        reference: Their reference.
        quantities: What is drawn.
    """
    plates = []
    done = [(run.name, run.summary) for run in runs if run.summary is not None]
    for quantity in quantities:
        found = [(name, part) for name, summary in done if (part := summary.get(quantity)) is not None]
        plates += quantity.draw(found, reference) if found else []
    if any(len(run.times) for run in runs):
        png = draw_series(runs, reference.temperature)
        caption = "Temperature and potential energy; dotted: end of what is left out as equilibration"
        plates.append(Plate(name="time-series", png=png, caption=caption))
    return plates
