"""Trajectory: the frames of beads that quantities are computed from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from openmm_cgml.analysis.chains import find_linear_molecules
from openmm_cgml.analysis.conformation import MIN_CHAIN_BEADS
from openmm_cgml.analysis.diffusion import MeanSquareDisplacement, check_unwrapped, compute_msd
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology

_MAX_STRUCTURE_BEADS = 4_000_000
"""Most beads, of all frames together, used for the distributions: large boxes need fewer frames."""
_MIN_STRUCTURE_FRAMES = 100
_MIN_MSD_FRAMES = 20


@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectory:
    """Frames of beads in a periodic box.

    Attributes:
        frames: All frames, positions unwrapped and molecules whole.
        sample: Frames for distributions, every `stride`-th of all.
        stride: Frames from one of the sample to the next.
        topology: The beads.
        time_scale: "CG time" or "atomistic time".
        degrees_of_freedom: Degrees of freedom behind the energy "kinetic"; None if unknown.
    """

    frames: Frames
    sample: Frames
    stride: int
    topology: CGTopology
    time_scale: str
    degrees_of_freedom: int | None

    @property
    def box(self) -> np.ndarray:
        """Box vectors of all frames [nm], shape (n_frames, 3, 3)."""
        assert self.frames.box is not None
        return self.frames.box

    @cached_property
    def interval(self) -> float | None:
        """Time between frames [ps]; None without times or where they are not evenly spaced."""
        return find_interval(self.frames.times)

    @cached_property
    def centers(self) -> np.ndarray:
        """Centers of mass of the molecules in all frames [nm], shape (n_frames, n_molecules, 3)."""
        return compute_centers_of_mass(self.frames.positions, self.topology.masses, self.topology.molecules)

    @cached_property
    def chain_lengths(self) -> tuple[int, ...]:
        """Numbers of beads of the linear chains, rising; empty without chains."""
        molecules = find_linear_molecules(self.topology, min_beads=MIN_CHAIN_BEADS)
        return tuple(np.unique(np.bincount(self.topology.molecules)[molecules]).tolist())

    def compute_msd(self, points: np.ndarray) -> MeanSquareDisplacement | None:
        """Mean square displacement of points, shape (n_frames, n, 3); None without enough evenly spaced times.

        Raises:
            InputError: If the points were wrapped into the box.
        """
        if self.interval is None or len(self.frames) < _MIN_MSD_FRAMES:
            return None
        check_unwrapped(points, self.box)
        return compute_msd(points, interval=self.interval, time_scale=self.time_scale)


def take_trajectory(
    frames: Frames,
    topology: CGTopology,
    *,
    time_scale: str,
    degrees_of_freedom: int | None,
    max_structure_frames: int,
) -> Trajectory:
    """Frames with the sample that distributions are computed from.

    Args:
        frames: Frames of beads in a periodic box, positions unwrapped and molecules whole.
        topology: The beads.
        time_scale: "CG time" or "atomistic time".
        degrees_of_freedom: Degrees of freedom behind the energy "kinetic"; None if unknown.
        max_structure_frames: Most frames used for the distributions; large boxes use fewer.

    Raises:
        InputError: If there is no box, the beads differ from the topology's, or there are fewer than two frames.
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
    return Trajectory(
        frames=frames,
        sample=frames[::stride],
        stride=stride,
        topology=topology,
        time_scale=time_scale,
        degrees_of_freedom=degrees_of_freedom,
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
