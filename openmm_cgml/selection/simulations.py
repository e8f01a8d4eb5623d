"""Simulations that are made once: finished ones are kept, others go on, and unstable ones are results."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.builder import build_box
from openmm_cgml.errors import SimulationError
from openmm_cgml.force_field import ForceField
from openmm_cgml.runs import RunFolder
from openmm_cgml.runs.result import COMPLETE, UNSTABLE
from openmm_cgml.simulation import SimulationConfig, SimulationResult, simulate
from openmm_cgml.topology import CGTopology

_LOG = logging.getLogger(__name__)

Structure = tuple[CGTopology, NDArray[Any], NDArray[Any]]
"""Beads, their positions [nm], and box vectors [nm]."""


def read_outcome(path: Path) -> SimulationResult | None:
    """How a simulation ended; None if it has not.

    Raises:
        ArtifactError: If its record is damaged.
    """
    folder = RunFolder.at(path)
    return folder.read_result() if folder.result.is_file() else None


def is_finished(path: Path) -> bool:
    """Whether a simulation has reached its end or became unstable."""
    outcome = read_outcome(path)
    return outcome is not None and outcome.status in (COMPLETE, UNSTABLE)


def is_complete(path: Path) -> bool:
    """Whether a simulation has reached its end."""
    outcome = read_outcome(path)
    return outcome is not None and outcome.status == COMPLETE


def run_once(output: Path, run: Callable[[], object]) -> None:
    """Run unless it is there; a simulation that fails is noted, not an error of the measurement."""
    if is_finished(output):
        return
    try:
        run()
    except SimulationError as error:
        _LOG.warning("%s: %s", output, error)


def simulate_once(force_field: ForceField, start: Structure, output: Path, config: SimulationConfig) -> None:
    """Simulate a force field unless that has been done, going on where it was interrupted."""
    topology, positions, box = start
    run_once(
        output,
        lambda: simulate(
            force_field,
            topology,
            positions,
            box,
            output=output,
            config=config,
            resume=output.exists(),
            progress=False,
        ),
    )


def simulate_built(
    force_field: ForceField,
    output: Path,
    config: SimulationConfig,
    *,
    molecules: int | None = None,
    chains: tuple[int, int] | None = None,
    seed: int,
) -> None:
    """Simulate a box that is built from nothing, unless that has been done.

    Args:
        force_field: The force field.
        output: Folder of the simulation.
        config: Its settings.
        molecules: Number of molecules, for a force field of molecules.
        chains: Number of chains and monomers of each, for one of chains.
        seed: Seed of the box.
    """
    if not is_finished(output):
        start = build_box(force_field, molecules, chains=() if chains is None else (chains,), seed=seed)
        simulate_once(force_field, start, output, config)


def last_positions(path: Path) -> NDArray[np.float64]:
    """Positions of the last recorded frame [nm], shape (n_beads, 3)."""
    store = RunFolder.at(path).open_frames()
    return store.read(store.n_frames - 1, store.n_frames).positions[0].astype(np.float64)


def total_energies(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times [ps] and total energies [kJ/mol] of the recorded frames."""
    frames = RunFolder.at(path).open_frames().read()
    assert frames.times is not None  # every simulation records them
    return np.asarray(frames.times), np.asarray(frames.energies["potential"]) + np.asarray(frames.energies["kinetic"])
