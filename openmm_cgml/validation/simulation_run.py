"""What a report needs of a simulation's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from openmm_cgml.analysis.block_average import detect_equilibration
from openmm_cgml.analysis.thermo import compute_temperatures, count_degrees_of_freedom
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.frames import Frames
from openmm_cgml.runs.folder import RunFolder
from openmm_cgml.runs.record import RunRecord
from openmm_cgml.runs.result import COMPLETE
from openmm_cgml.shards import FrameStore
from openmm_cgml.topology import CGTopology
from openmm_cgml.validation.quantities import QUANTITIES
from openmm_cgml.validation.quantity import Quantity
from openmm_cgml.validation.trajectory_summary import TrajectorySummary, summarize_trajectory

_MAX_FRAMES = 4000
_MIN_FRAMES_TO_CUT = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class SimulationRun:
    """A simulation as its folder tells it.

    Attributes:
        name: Name of the folder.
        status: "complete", "interrupted", "unstable", or "unfinished" if it was killed.
        notes: Remarks of the run, and why it is not complete.
        n_beads: Beads.
        n_molecules: Molecules.
        times: Times of all frames [ps], shape (n_frames,).
        temperatures: Temperatures [K], shape (n_frames,).
        energies_per_bead: Potential energies per bead [kJ/mol], shape (n_frames,).
        discarded: Time left out at the start as equilibration [ps].
        summary: Everything that is compared; None if fewer than two frames are left.
        settings: Settings and versions to show.
    """

    name: str
    status: str
    notes: tuple[str, ...]
    n_beads: int
    n_molecules: int
    times: np.ndarray
    temperatures: np.ndarray
    energies_per_bead: np.ndarray
    discarded: float
    summary: TrajectorySummary | None
    settings: Mapping[str, str]


def read_run(
    path: str | os.PathLike[str],
    *,
    discard: float | None = None,
    quantities: Sequence[Quantity[Any]] = QUANTITIES,
) -> SimulationRun:
    """Read and analyze a simulation's folder.

    Args:
        path: The folder.
        discard: Time to leave out at the start [ps]; by default what the energies need to settle.
        quantities: What to compute.

    Raises:
        ArtifactError: If the folder is not a simulation's, or its files are damaged.
        InputError: If `discard` leaves nothing of a complete run, or the run has replicas.
    """
    path, folder = Path(path), RunFolder.at(path)
    if not folder.topology.is_file() or len(replicas := folder.replicas()) == 1:
        topology = folder.read_topology()
    else:
        raise InputError(f"{path} holds {len(replicas)} replicas; read each of them: {replicas[0].path} and so on")
    record, result = folder.read_record(), folder.describe_result()
    frames, energies = _read_frames(folder.open_frames())
    ensemble = record.config.get("ensemble", "NVT")
    degrees = record.degrees_of_freedom or count_degrees_of_freedom(
        topology.n_beads, center_of_mass_fixed=ensemble == "NVE"
    )
    start = _find_start(energies, discard)
    production = None
    if frames is not None and frames.times is not None:
        production = frames[np.flatnonzero(frames.times >= start - 1e-9)]
    status = str(result["status"])
    if discard is not None and status == COMPLETE and (production is None or len(production) < 2):
        raise InputError(f"{path}: {discard:g} ps are left out and nothing remains of the run; discard less")
    summary = None
    if production is not None and len(production) >= 2:
        summary = summarize_trajectory(production, topology, degrees_of_freedom=degrees, quantities=quantities)
    return SimulationRun(
        name=path.resolve().name,
        status=status,
        notes=tuple(filter(None, [result.get("reason"), *result.get("notes", ())])),
        n_beads=topology.n_beads,
        n_molecules=topology.n_molecules,
        times=energies["times"],
        temperatures=compute_temperatures(energies["kinetic"], degrees),
        energies_per_bead=energies["potential"] / topology.n_beads,
        discarded=start - float(energies["times"][0]) if len(energies["times"]) else 0.0,
        summary=summary,
        settings=_collect_settings(record, result, topology),
    )


def find_replicas(path: str | os.PathLike[str]) -> list[Path]:
    """The folders of a simulation's replicas, or its own where it has one."""
    return [folder.path for folder in RunFolder.at(path).replicas()]


def _read_frames(store: FrameStore) -> tuple[Frames | None, dict[str, np.ndarray]]:
    """At most `_MAX_FRAMES` evenly spaced frames, and times and energies of all."""
    stride = max(1, -(-store.n_frames // _MAX_FRAMES))
    kept, series, offset = [], [], 0
    for chunk in store.chunks(200):
        missing = {"potential", "kinetic"} - set(chunk.energies)
        if missing or chunk.times is None:
            raise ArtifactError(
                f"{store.path}: frames without {', '.join(missing) or 'times'}; not written by a simulation"
            )
        series.append((chunk.times, chunk.energies["potential"], chunk.energies["kinetic"]))
        if (chosen := np.flatnonzero((np.arange(len(chunk)) + offset) % stride == 0)).size:
            kept.append(chunk[chosen])
        offset += len(chunk)
    columns = [np.concatenate(column) for column in zip(*series, strict=True)] if series else [np.zeros(0)] * 3
    return Frames.concatenate(kept) if kept else None, dict(
        zip(("times", "potential", "kinetic"), columns, strict=True)
    )


def _find_start(energies: Mapping[str, np.ndarray], discard: float | None) -> float:
    """Time of the first frame to use [ps]: where potential and kinetic energy have both settled, if not told."""
    times = energies["times"]
    if len(times) == 0:
        return 0.0
    if discard is not None:
        return float(times[0]) + discard
    if len(times) < _MIN_FRAMES_TO_CUT:
        return float(times[0])
    return float(times[max(detect_equilibration(energies[name]) for name in ("potential", "kinetic"))])


def _collect_settings(record: RunRecord, result: Mapping[str, Any], topology: CGTopology) -> dict[str, str]:
    config, segments = record.config, record.segments
    settings = {
        "beads": f"{topology.n_beads} in {topology.n_molecules} molecules",
        "force field": record.force_field or record.others.get("model"),
        "ensemble": config.get("ensemble"),
        "temperature": _with_unit(config.get("temperature"), "K"),
        "time step": _with_unit(config.get("time_step"), "ps"),
        "friction": _with_unit(config.get("friction"), "1/ps"),
        "density": _with_error(result, "mean_density", "density_error", "g/cm^3"),
        "pressure": _with_error(result, "mean_pressure", "pressure_error", "bar"),
        "simulated": _with_unit(result.get("time"), "ps (CG time)"),
        "seed": config.get("seed"),
        "platform": record.platform,
        "ML backend": record.ml_backend,
        "speed": _with_unit(result.get("ns_per_day"), "ns/day"),
        "resumed": f"{len(segments) - 1} times" if len(segments) > 1 else None,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return {name: str(value) for name, value in settings.items() if value not in (None, "")}


def _with_error(result: Mapping[str, Any], name: str, error: str, unit: str) -> str | None:
    if result.get(name) is None:
        return None
    spread = "" if result.get(error) is None else f" +- {result[error]:.2g}"
    return f"{result[name]:.4g}{spread} {unit}"


def _with_unit(value: Any, unit: str) -> str | None:
    return f"{value:.4g} {unit}" if isinstance(value, int | float) else None
