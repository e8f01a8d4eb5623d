"""What the recipes need of the validation: references, metrics of runs, reports. Nothing else here imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.analysis import RadialDistribution
from openmm_cgml.analysis.compare import RMSE_RANGE, compute_gr_rmse, compute_half_rmse
from openmm_cgml.analysis.diffusion import ATOMISTIC_TIME
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology
from openmm_cgml.validation import (
    QUANTITIES,
    ReferenceSummary,
    ValidationLimits,
    collect_limits,
    compare_transfer,
    compare_with_reference,
    read_reference_summary,
    read_run,
    summarize_boxes,
    validate,
    write_reference_summary,
)
from openmm_cgml.validation.metric import format_value
from openmm_cgml.validation.quantities.density import DENSITY
from openmm_cgml.validation.quantities.energy import ENERGY
from openmm_cgml.validation.quantities.structure import (
    POLYMER_RMSE_RANGE,
    STRUCTURE,
    RadialStructure,
    Structure,
)
from openmm_cgml.validation.quantities.temperature import TEMPERATURE
from openmm_cgml.validation.trajectory import Trajectory, take_trajectory

__all__ = [
    "ReferenceSummary",
    "compare_g",
    "compare_lengths",
    "compare_run",
    "density_of_frames",
    "density_of_run",
    "energy_per_bead",
    "format_value",
    "g_of_run",
    "half_difference",
    "judged_g",
    "make_limits",
    "mean_temperature",
    "pictures_of",
    "read_reference_summary",
    "structure_of_frames",
    "summarize",
    "write_reference_summary",
    "write_report",
]


def make_limits(limits: Mapping[str, float]) -> ValidationLimits:
    """Limits of the validation, the usual ones where none is given.

    Raises:
        InputError: If there is no such limit.
    """
    known = collect_limits(QUANTITIES)
    if unknown := sorted(set(limits) - set(known)):
        raise InputError(f"limits: {', '.join(unknown)} unknown; there are {', '.join(known)}")
    return ValidationLimits(**limits)


def summarize(datasets: Sequence[ForceMatchingDataset], system: str, limits: Mapping[str, float]) -> ReferenceSummary:
    """What simulations of a system are compared with: the frames of all its boxes."""
    return summarize_boxes(datasets, system=system, limits=make_limits(limits))


def write_report(runs: Sequence[Path], reference: ReferenceSummary, output: Path) -> None:
    """Write the page, the metrics and the pictures of simulations, in place of those that are there."""
    validate(runs, reference=reference, output=output, overwrite=True)


def pictures_of(report: Path) -> Path:
    """Folder of the pictures of a report."""
    return report / "pictures"


def compare_run(path: Path, reference: ReferenceSummary, *, discard: float | None = None) -> dict[str, float]:
    """Every metric of a simulation beside the reference, by name.

    Args:
        path: Folder of the simulation.
        reference: The reference.
        discard: Time to leave out at the start [ps]; by default what the energies need to settle.
    """
    run = read_run(path, discard=discard)
    if run.summary is None:
        return {}
    metrics = compare_with_reference(run.summary, reference, name=run.name, status=run.status).metrics
    return {metric.key: metric.value for metric in metrics if metric.value is not None}


def half_difference(reference: ReferenceSummary) -> float | None:
    """Root mean square difference of the g(r) of the centers of mass between the reference's halves."""
    structure = reference.trajectory.get(STRUCTURE)
    return None if structure is None or structure.com is None else compute_half_rmse(structure.com)


def mean_temperature(path: Path, *, discard: float) -> tuple[float | None, float | None]:
    """Mean temperature of a simulation and its standard error [K]."""
    summary = read_run(path, discard=discard).summary
    temperature = None if summary is None else summary.get(TEMPERATURE)
    return (None, None) if temperature is None else (temperature.mean, temperature.standard_error)


def structure_of_frames(boxes: Sequence[Frames], topology: CGTopology, *, n_blocks: int = 10) -> RadialStructure:
    """Every g(r) of the frames of one or several boxes together.

    Args:
        boxes: Frames of each.
        topology: The beads, the same in all.
        n_blocks: Blocks of frames whose own g(r) is kept.
    """
    frames = Frames(
        positions=np.concatenate([box.positions for box in boxes]),
        box=np.concatenate([box.box for box in boxes if box.box is not None]),
    )
    return Structure(n_blocks=n_blocks).compute(_atomistic(frames, topology))


def judged_g(structure: RadialStructure, *, chains: bool) -> RadialDistribution:
    """The g(r) that force fields are judged by: between all beads of different chains, or of centers of mass."""
    found = structure.inter_all if chains else structure.com
    assert found is not None  # there are several molecules
    return found


def g_of_run(path: Path, *, chains: bool = False, discard: float | None = None) -> RadialDistribution | None:
    """The same of a simulation; None if too little was recorded.

    Args:
        path: Folder of the simulation.
        chains: Whether molecules are chains.
        discard: Time to leave out at the start [ps]; by default what the energies need to settle.
    """
    summary = read_run(path, discard=discard, quantities=(STRUCTURE,)).summary
    structure = None if summary is None else summary.get(STRUCTURE)
    return None if structure is None else judged_g(structure, chains=chains)


def compare_g(g: RadialDistribution | NDArray[np.float64], reference: RadialDistribution, *, chains: bool) -> float:
    """Root mean square difference over the usual distances, as far as both go.

    Args:
        g: A distribution, or its values in the reference's bins, shape (n_bins,).
        reference: The reference.
        chains: Whether molecules are chains.
    """
    values = g.g if isinstance(g, RadialDistribution) else g
    n = min(len(values), len(reference.g))
    first, last = POLYMER_RMSE_RANGE if chains else RMSE_RANGE
    r_range = (first, min(last, float(reference.bin_edges[n])))
    return compute_gr_rmse(values[:n], reference.g[:n], reference.bin_edges[: n + 1], r_range=r_range)


def density_of_run(path: Path, *, discard: float) -> float | None:
    """Mean mass density of a simulation [g/cm^3]; None if too little was recorded.

    Args:
        path: Folder of the simulation.
        discard: Time to leave out at the start [ps].
    """
    summary = read_run(path, discard=discard, quantities=(DENSITY,)).summary
    density = None if summary is None else summary.get(DENSITY)
    return None if density is None else density.mean


def density_of_frames(frames: Frames, topology: CGTopology) -> float:
    """Mean mass density of mapped frames [g/cm^3]."""
    return DENSITY.compute(_atomistic(frames, topology)).mean


def _atomistic(frames: Frames, topology: CGTopology) -> Trajectory:
    """Mapped frames, every one of which counts."""
    return take_trajectory(
        frames, topology, time_scale=ATOMISTIC_TIME, degrees_of_freedom=None, max_structure_frames=len(frames)
    )


def energy_per_bead(path: Path) -> float | None:
    """Mean potential energy per bead of a simulation [kJ/mol]; None if too little was recorded."""
    summary = read_run(path).summary
    energies = None if summary is None else summary.get(ENERGY)
    return None if energies is None else energies.per_bead["potential"].mean


def compare_lengths(paths: Sequence[Path]) -> dict[str, Any]:
    """Every quantity of boxes of chains with its error, and whether it differs from that of the first box."""
    runs = [(path.name, read_run(path).summary) for path in paths]
    compared = compare_transfer([(name, summary) for name, summary in runs if summary is not None])
    return {
        "quantities": [
            {
                "what": f"{quantity.group}: {quantity.label}",
                "unit": quantity.unit,
                "values": [None if each is None else each.value for each in quantity.values],
                "errors": [None if each is None else each.error for each in quantity.values],
                "verdicts": [None if test is None else test.verdict for test in quantity.tests],
            }
            for quantity in compared.quantities
        ],
        "differing": sum(quantity.differs for quantity in compared.quantities),
        "compared": len(compared.quantities),
    }
