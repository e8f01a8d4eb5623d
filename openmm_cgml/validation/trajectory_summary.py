"""Everything that a validation compares, computed from the frames of one trajectory of beads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from openmm_cgml.analysis.block_average import Average, compute_average
from openmm_cgml.analysis.chains import find_chains, find_linear_molecules
from openmm_cgml.analysis.conformation import MIN_CHAIN_BEADS, ChainStatistics, compute_chain_statistics
from openmm_cgml.analysis.diffusion import (
    CG_TIME,
    DiffusionCoefficient,
    MeanSquareDisplacement,
    check_unwrapped,
    compute_msd,
    fit_diffusion,
)
from openmm_cgml.analysis.distributions import (
    Distribution,
    compute_angle_distributions,
    compute_bond_distributions,
    compute_torsion_distributions,
)
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.analysis.periodic import box_widths
from openmm_cgml.analysis.rdf import (
    PairDistributions,
    RadialDistribution,
    add_distributions,
    combine_distributions,
    compute_pair_distributions,
    compute_rdf,
)
from openmm_cgml.analysis.result import Result
from openmm_cgml.analysis.thermo import compute_temperatures
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

_LONGEST_RDF = 1.5
_MIN_MSD_FRAMES = 20
_MAX_STRUCTURE_BEADS = 4_000_000
"""Most beads, of all frames together, used for the distributions: large boxes need fewer frames."""
_MIN_STRUCTURE_FRAMES = 100
_NEAR_BONDS = 2


@dataclass(frozen=True, eq=False, kw_only=True)
class TrajectorySummary(Result):
    """Structure, temperature, energies and mobility of one trajectory.

    Attributes:
        n_frames: Frames of the trajectory.
        n_structure_frames: Frames used for distributions, evenly taken from the trajectory.
        n_beads: Beads.
        n_molecules: Molecules.
        duration: Time from the first to the last frame [ps]; None without times.
        density: Mean mass density [g/cm^3].
        temperature: Temperature [K]; None without kinetic energies or degrees of freedom.
        energies_per_bead: Energy components per bead [kJ/mol].
        com: g(r) of the molecules' centers of mass; None for a single molecule.
        inter: g(r) between beads of different molecules by "A-B"; empty where the beads are the molecules.
        intra: g(r) between beads of one molecule by "A-B", bonded ones included.
        intra_far: g(r) between all beads of one molecule more than two bonds apart; None without chains.
        bonds: Bond lengths [nm] by "A-B".
        angles: Angles [rad] by "A-B-C".
        torsions: Magnitudes of torsion angles [rad] by "A-B-C-D".
        chains: Dimensions of linear chains by their number of beads; empty where there are none.
        msd: Mean square displacement of the centers of mass; None without evenly spaced times.
        diffusion: Diffusion coefficient of the centers of mass; None where there is no `msd`.
        bead_msd: Mean square displacement of all beads of systems with chains; None elsewhere, as `msd`.
        inner_msd: That of the beads in the inner half of each chain, which do not feel the chain's ends.
    """

    n_frames: int
    n_structure_frames: int
    n_beads: int
    n_molecules: int
    duration: float | None
    density: float
    temperature: Average | None
    energies_per_bead: Mapping[str, Average]
    com: RadialDistribution | None
    inter: Mapping[str, RadialDistribution]
    intra: Mapping[str, RadialDistribution]
    intra_far: RadialDistribution | None
    bonds: Mapping[str, Distribution]
    angles: Mapping[str, Distribution]
    torsions: Mapping[str, Distribution]
    chains: Mapping[str, ChainStatistics]
    msd: MeanSquareDisplacement | None
    diffusion: DiffusionCoefficient | None
    bead_msd: MeanSquareDisplacement | None
    inner_msd: MeanSquareDisplacement | None

    @property
    def inter_all(self) -> RadialDistribution | None:
        """g(r) between all beads of different molecules; None where the beads are the molecules."""
        return combine_distributions(self.inter, self.n_beads) if self.inter else None

    @property
    def intra_all(self) -> RadialDistribution | None:
        """g(r) between all beads of one molecule, in units of the density of all beads; None without bonds."""
        return combine_distributions(self.intra, self.n_beads) if self.intra else None


def summarize_trajectory(
    frames: Frames,
    topology: CGTopology,
    *,
    time_scale: str = CG_TIME,
    degrees_of_freedom: int | None = None,
    r_max: float | None = None,
    bin_width: float = 0.01,
    n_blocks: int = 10,
    max_structure_frames: int = 1000,
) -> TrajectorySummary:
    """Compute all that a validation compares.

    Args:
        frames: Frames of beads in a periodic box, positions unwrapped and molecules whole.
        topology: The beads.
        time_scale: "CG time", or "atomistic time" for a mapped reference.
        degrees_of_freedom: Degrees of freedom behind the energy "kinetic"; None leaves the temperature out.
        r_max: End of g(r) [nm]; by default 1.5 nm or half the smallest box width, whichever is smaller.
        bin_width: Bin width of g(r) [nm].
        n_blocks: Blocks of frames for the errors of g(r).
        max_structure_frames: Most frames used for the distributions; large boxes use fewer.

    Raises:
        InputError: If there is no box, the beads differ from the topology's, there are fewer than two frames, or the
            positions were wrapped.
    """
    if frames.box is None:
        raise InputError("the frames have no box; radial distributions and densities need one")
    if frames.n_particles != topology.n_beads:
        raise InputError(f"frames of {frames.n_particles} beads and a topology of {topology.n_beads}; use one system")
    if len(frames) < 2:
        raise InputError(
            f"{len(frames)} frame; averages with errors need at least two: run longer or record more often"
        )
    affordable = max(_MIN_STRUCTURE_FRAMES, _MAX_STRUCTURE_BEADS // topology.n_beads)
    stride = -(-len(frames) // min(max_structure_frames, affordable))
    sample, boxes = frames[::stride], frames.box[::stride]
    r_max = _choose_r_max(frames.box, bin_width) if r_max is None else r_max
    centers = compute_centers_of_mass(frames.positions, topology.masses, topology.molecules)
    com = None
    if topology.n_molecules > 1:
        com = compute_rdf(centers[::stride], boxes, r_max=r_max, bin_width=bin_width, n_blocks=n_blocks)
    pairs = _compute_pairs(sample.positions, boxes, topology, r_max, bin_width, n_blocks)
    interval = find_interval(frames.times)
    chains = compute_chain_statistics(
        sample, topology, interval=None if interval is None else interval * stride, time_scale=time_scale
    )
    msd = _compute_msd(frames, centers, time_scale)
    return TrajectorySummary(
        n_frames=len(frames),
        n_structure_frames=len(sample),
        n_beads=topology.n_beads,
        n_molecules=topology.n_molecules,
        duration=None if frames.times is None else float(frames.times[-1] - frames.times[0]),
        density=float(topology.masses.sum() * (1 / np.linalg.det(frames.box)).mean() * DALTON_PER_NM3_IN_G_PER_CM3),
        temperature=_average_temperature(frames, degrees_of_freedom),
        energies_per_bead=_average_energies(frames),
        com=com,
        inter=pairs.inter,
        intra={
            name: add_distributions(rdf, pairs.excluded[name]) if pairs.excluded else rdf
            for name, rdf in pairs.intra.items()
        },
        intra_far=combine_distributions(pairs.intra, topology.n_beads) if chains else None,
        bonds=compute_bond_distributions(sample, topology),
        angles=compute_angle_distributions(sample, topology),
        torsions=compute_torsion_distributions(sample, topology),
        chains={str(n_beads): found for n_beads, found in chains.items()},
        msd=msd,
        diffusion=None if msd is None else fit_diffusion(msd),
        bead_msd=_compute_msd(frames, frames.positions, time_scale) if chains else None,
        inner_msd=_compute_msd(frames, frames.positions[:, _find_inner_beads(topology)], time_scale)
        if chains
        else None,
    )


def find_interval(times: np.ndarray | None) -> float | None:
    """Time between frames [ps]; None without times or where they are not evenly spaced.

    Args:
        times: Times of the frames [ps], shape (n_frames,), or None.
    """
    if times is None or len(times) < 2:
        return None
    steps = np.diff(times)
    return float(steps.mean()) if steps.min() > 0 and np.ptp(steps) < 1e-3 * steps.mean() else None


def _choose_r_max(box: np.ndarray, bin_width: float) -> float:
    half = float(box_widths(box).min()) / 2
    return int(min(_LONGEST_RDF, half) / bin_width * (1 + 1e-9)) * bin_width


def _compute_pairs(
    positions: np.ndarray, box: np.ndarray, topology: CGTopology, r_max: float, bin_width: float, n_blocks: int
) -> PairDistributions:
    if topology.n_beads == topology.n_molecules and len(set(topology.bead_types.tolist())) == 1:
        return PairDistributions(inter={}, intra={}, excluded={})  # the centers of mass are the beads
    return compute_pair_distributions(
        positions,
        box,
        bead_types=topology.bead_types,
        type_names=topology.type_names,
        molecules=topology.molecules,
        r_max=r_max,
        bin_width=bin_width,
        n_blocks=n_blocks,
        excluded=topology.exclusions(_NEAR_BONDS),
    )


def _average_temperature(frames: Frames, degrees_of_freedom: int | None) -> Average | None:
    if degrees_of_freedom is None or "kinetic" not in frames.energies:
        return None
    temperatures = compute_temperatures(frames.energies["kinetic"], degrees_of_freedom)
    return compute_average(temperatures, interval=find_interval(frames.times) or 1.0)


def _average_energies(frames: Frames) -> dict[str, Average]:
    interval = find_interval(frames.times) or 1.0
    return {
        name: compute_average(values / frames.n_particles, interval=interval)
        for name, values in frames.energies.items()
    }


def _find_inner_beads(topology: CGTopology) -> np.ndarray:
    """Beads of the inner half of each chain, shape (n_inner,)."""
    chains = find_chains(topology, find_linear_molecules(topology, min_beads=MIN_CHAIN_BEADS))
    return np.concatenate([chain[len(chain) // 4 : len(chain) - len(chain) // 4] for chain in chains])


def _compute_msd(frames: Frames, points: np.ndarray, time_scale: str) -> MeanSquareDisplacement | None:
    interval = find_interval(frames.times)
    if interval is None or len(frames) < _MIN_MSD_FRAMES:
        return None
    assert frames.box is not None
    check_unwrapped(points, frames.box)
    return compute_msd(points, interval=interval, time_scale=time_scale)
