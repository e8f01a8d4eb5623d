"""ReferenceSummary: what is kept of a mapped atomistic run to validate simulations against."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openmm_cgml.analysis.compare import RMSE_RANGE, compute_half_rmse
from openmm_cgml.analysis.diffusion import ATOMISTIC_TIME
from openmm_cgml.analysis.result import Result
from openmm_cgml.analysis.trajectory_summary import TrajectorySummary, summarize_trajectory
from openmm_cgml.errors import ArtifactError
from openmm_cgml.frames import Frames
from openmm_cgml.storage import read_json, write_atomically
from openmm_cgml.topology import CGTopology

SCHEMA = "openmm-cgml/reference-summary"
VERSION = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationLimits(Result):
    """How far a simulation may be from its reference.

    Attributes:
        temperature: Largest deviation of the mean temperature [K].
        density_error: Largest relative deviation of the density.
        gr_com_rmse: Largest RMSE of g(r) of the centers of mass.
        gr_inter_rmse: Largest RMSE of g(r) between beads of different molecules, over all pairs of types.
        gr_below_first_bin: Largest fraction of g(r) below the reference's first occupied bin.
        bond_mean_error: Largest relative deviation of a mean bond length.
        bond_std_deviation: Largest deviation from one of the ratio of the bond lengths' standard deviations.
        frozen_ratio: Smallest ratio of the diffusion coefficient to the reference's; below it the run is frozen.
        energy_spread: Largest relative spread of the energy per bead over systems of different size.
    """

    temperature: float = 3.0
    density_error: float = 0.01
    gr_com_rmse: float = 0.06
    gr_inter_rmse: float = 0.06
    gr_below_first_bin: float = 1e-4
    bond_mean_error: float = 0.01
    bond_std_deviation: float = 0.15
    frozen_ratio: float = 0.01
    energy_spread: float = 0.01


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceSummary(Result):
    """A mapped atomistic run, summarized.

    Attributes:
        schema: Kind of file.
        version: Version of the kind.
        system: Name of the system.
        temperature: Temperature of the run's thermostat [K].
        trajectory: Its structure, energies and mobility.
        half_rmse: RMSE of g(r) between the two halves of the run, by "com" and "inter A-B": its own statistical error.
        limits: Limits for simulations of this system.
        source: Where the run comes from.
    """

    schema: str = SCHEMA
    version: int = VERSION
    system: str
    temperature: float
    trajectory: TrajectorySummary
    half_rmse: Mapping[str, float]
    limits: ValidationLimits
    source: Mapping[str, Any]

    @property
    def effective_samples(self) -> float | None:
        """Independent samples of the intermolecular energy in the run; None without energies."""
        energies = self.trajectory.energies_per_bead
        return next((energies[name].n_effective for name in ("inter", "potential") if name in energies), None)


def summarize_reference(
    frames: Frames,
    topology: CGTopology,
    *,
    system: str,
    temperature: float,
    degrees_of_freedom: int | None = None,
    limits: ValidationLimits | None = None,
    source: Mapping[str, Any] | None = None,
    max_structure_frames: int = 2000,
) -> ReferenceSummary:
    """The summary of a mapped atomistic run.

    Args:
        frames: Mapped frames, with times and energies.
        topology: The beads.
        system: Name of the system.
        temperature: Temperature of the run's thermostat [K].
        degrees_of_freedom: Degrees of freedom of the *atoms* behind the energy "kinetic"; None if unknown.
        limits: Limits for simulations of this system, if others than the usual.
        source: Provenance: force field, protocol, versions.
        max_structure_frames: Most frames used for the distributions.

    Raises:
        InputError: As `summarize_trajectory`.
    """
    trajectory = summarize_trajectory(
        frames,
        topology,
        time_scale=ATOMISTIC_TIME,
        degrees_of_freedom=degrees_of_freedom,
        max_structure_frames=max_structure_frames,
    )
    return ReferenceSummary(
        system=system,
        temperature=temperature,
        trajectory=trajectory,
        half_rmse=_compute_half_errors(trajectory),
        limits=limits or ValidationLimits(),
        source=dict(source or {}),
    )


def write_reference_summary(path: str | os.PathLike[str], summary: ReferenceSummary) -> None:
    """Write a summary as JSON, `systems/<name>/reference.json`, replacing an older one atomically."""
    write_atomically(path, summary.to_json())


def read_reference_summary(path: str | os.PathLike[str]) -> ReferenceSummary:
    """The summary that `write_reference_summary` wrote.

    Raises:
        ArtifactError: If the file is missing, damaged, of another kind, or of a newer version.
    """
    content = read_json(path)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ArtifactError(f"{path}: not a reference summary (schema {schema!r}, expected {SCHEMA!r})")
    if content.get("version") != VERSION:
        raise ArtifactError(
            f"{path}: version {content.get('version')!r}, and this release reads {VERSION}; update openmm-cgml, "
            "or write the file again"
        )
    return ReferenceSummary.from_dict(content)


def _compute_half_errors(trajectory: TrajectorySummary) -> dict[str, float]:
    distributions = {f"inter {name}": rdf for name, rdf in trajectory.inter.items()}
    if trajectory.com is not None:
        distributions["com"] = trajectory.com
    errors = {
        name: compute_half_rmse(rdf, r_range=(RMSE_RANGE[0], min(RMSE_RANGE[1], float(rdf.bin_edges[-1]))))
        for name, rdf in distributions.items()
    }
    return {name: error for name, error in errors.items() if error is not None}
