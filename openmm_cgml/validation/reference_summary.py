"""ReferenceSummary: what is kept of a mapped atomistic run to validate simulations against."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openmm_cgml.analysis.compare import POLYMER_RMSE_RANGE, RMSE_RANGE, compute_half_rmse, compute_js_divergence
from openmm_cgml.analysis.diffusion import ATOMISTIC_TIME
from openmm_cgml.analysis.distributions import compute_angle_distributions, compute_torsion_distributions
from openmm_cgml.analysis.rdf import RadialDistribution
from openmm_cgml.analysis.result import Result
from openmm_cgml.errors import ArtifactError
from openmm_cgml.frames import Frames
from openmm_cgml.storage import read_json, write_atomically
from openmm_cgml.topology import CGTopology
from openmm_cgml.validation.trajectory_summary import TrajectorySummary, summarize_trajectory

SCHEMA = "openmm-cgml/reference-summary"
VERSION = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class ValidationLimits(Result):
    """How far a simulation may be from its reference.

    Attributes:
        temperature: Largest deviation of the mean temperature [K].
        density_error: Largest relative deviation of the density.
        gr_com_rmse: Largest RMSE of g(r) of the centers of mass.
        gr_inter_rmse: Largest RMSE of g(r) between beads of different molecules, of the worst pair of types; for
            chains, over all beads.
        gr_intra_rmse: Largest RMSE of g(r) within chains over all beads, relative to the height of its peak.
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
    gr_intra_rmse: float = 0.05
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
        half_rmse: RMSE of g(r) between the two halves of the run, by "com", "inter A-B", and for chains "inter",
            "intra" and "far" (more than two bonds apart) over all beads: its own statistical error.
        half_js: Jensen-Shannon divergence between the two halves [bits], by "angle A-B-C" and "torsion A-B-C-D"; empty
            without chains.
        limits: Limits for simulations of this system.
        source: Where the run comes from.
    """

    schema: str = SCHEMA
    version: int = VERSION
    system: str
    temperature: float
    trajectory: TrajectorySummary
    half_rmse: Mapping[str, float]
    half_js: Mapping[str, float]
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
        half_js=_compute_half_divergences(frames, topology, max_structure_frames) if trajectory.chains else {},
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
    if content.get("version") == 1:
        content = _upgrade_from_1(content, where=str(path))
    if content.get("version") != VERSION:
        raise ArtifactError(
            f"{path}: version {content.get('version')!r}, and this release reads up to {VERSION}; update openmm-cgml, "
            "or write the file again"
        )
    return ReferenceSummary.from_dict(content)


def _upgrade_from_1(content: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Version 2: g(r) between molecules counts in the density of all pairs, as within; chains; errors of widths."""
    try:
        old = content["trajectory"]
        distributions = {
            kind: {name: {"std_error": None, **each} for name, each in old[kind].items()}
            for kind in ("bonds", "angles")
        }
        inter = {name: _rescale(each, old["intra"].get(name, each)["n_pairs"]) for name, each in old["inter"].items()}
        absent: dict[str, Any] = {"torsions": {}, "chains": {}, "bead_msd": None, "inner_msd": None, "intra_far": None}
        limits = {"gr_intra_rmse": ValidationLimits.gr_intra_rmse, **content["limits"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"{where}: lacks {error}; the file was edited or damaged") from error
    trajectory = {**old, **distributions, **absent, "inter": inter}
    return {**content, "version": 2, "trajectory": trajectory, "limits": limits, "half_js": {}}


def _rescale(rdf: Mapping[str, Any], n_pairs: int) -> dict[str, Any]:
    """A stored radial distribution in units of another number of pairs."""
    factor = rdf["n_pairs"] / n_pairs
    block_g = [[value * factor for value in block] for block in rdf["block_g"]]
    return {**rdf, "g": [value * factor for value in rdf["g"]], "block_g": block_g, "n_pairs": n_pairs}


def _compute_half_errors(trajectory: TrajectorySummary) -> dict[str, float]:
    named: dict[str, RadialDistribution | None] = {f"inter {name}": rdf for name, rdf in trajectory.inter.items()}
    named["com"] = trajectory.com
    ranges = dict.fromkeys(named, RMSE_RANGE)
    if trajectory.chains:
        named |= {"inter": trajectory.inter_all, "intra": trajectory.intra_all, "far": trajectory.intra_far}
        ranges |= dict.fromkeys(("inter", "intra", "far"), POLYMER_RMSE_RANGE)
    errors: dict[str, float] = {}
    for name, rdf in named.items():
        if rdf is not None:
            first, last = ranges[name]
            error = compute_half_rmse(rdf, r_range=(first, min(last, float(rdf.bin_edges[-1]))))
            errors |= {} if error is None else {name: error}
    return errors


def _compute_half_divergences(frames: Frames, topology: CGTopology, max_frames: int) -> dict[str, float]:
    half = len(frames) // 2
    stride = max(1, -(-len(frames) // max_frames))
    halves = [frames[:half:stride], frames[half::stride]]
    errors: dict[str, float] = {}
    for kind, compute in (("angle", compute_angle_distributions), ("torsion", compute_torsion_distributions)):
        first, second = (compute(part, topology) for part in halves)
        errors |= {f"{kind} {name}": compute_js_divergence(first[name], second[name]) for name in first}
    return errors
