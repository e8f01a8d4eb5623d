"""The workloads of the speed benchmarks: liquids made from a seed, and the networks' sizes.

Positions are consecutive frames of a short run of a Lennard-Jones liquid or a united-atom melt, so that neighbor lists
that are kept between calls are rebuilt as often as in molecular dynamics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openmm
from numpy.typing import NDArray

from openmm_cgml.topology import CGTopology, ResidueTemplate

N_FRAMES = 64
JITTER = 1e-5
"""Random displacement of every bead in every frame [nm]: no two calls see the same positions."""

BENZENE = ResidueTemplate(name="BNZ", bead_names=("B1",), bead_type_names=("B",), masses=(78.1134,))
UNITED_ATOM = ResidueTemplate(name="CH2", bead_names=("C1",), bead_type_names=("C",), masses=(14.0266,))


@dataclass(frozen=True, kw_only=True)
class NetworkSize:
    """Size of a SchNet, and its cutoff [nm]."""

    features: int
    filters: int
    blocks: int
    gaussians: int
    cutoff: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Workload:
    """Beads to evaluate, a network for them, and the frames to evaluate it on.

    Attributes:
        name: Short name.
        size: Size of the network.
        template: The residue that every bead is.
        edge: Edge of the cubic box [nm].
        frames: Positions [nm], shape (n_frames, n_beads, 3).
        time_step: Time between frames [ps].
    """

    name: str
    size: NetworkSize
    template: ResidueTemplate
    edge: float
    frames: NDArray[np.float64]
    time_step: float

    @property
    def n_beads(self) -> int:
        """Number of beads."""
        return self.frames.shape[1]

    @property
    def box(self) -> NDArray[np.float64]:
        """Box vectors [nm], shape (3, 3)."""
        return self.edge * np.eye(3)

    @property
    def topology(self) -> CGTopology:
        """Every bead a molecule of its own: the network sees all pairs, as the peers' networks do."""
        return CGTopology.from_residues([(self.template, self.n_beads)])


BENZENE_SIZE = NetworkSize(features=240, filters=256, blocks=2, gaussians=80, cutoff=0.8)
POLYETHYLENE_SIZE = NetworkSize(features=128, filters=128, blocks=3, gaussians=80, cutoff=0.7)


def benzene(seed: int = 1, n_frames: int = N_FRAMES) -> Workload:
    """benz-500: 500 one-bead benzenes at 0.876 g/cm^3."""
    edge, time_step = 4.199, 0.005
    system = _empty_system(500, BENZENE.masses[0], edge)
    system.addForce(_lennard_jones(500, sigma=0.49, epsilon=2.5, cutoff=1.2))
    frames = _run(system, _lattice(500, edge), time_step, n_frames, seed)
    return Workload(name="benz-500", size=BENZENE_SIZE, template=BENZENE, edge=edge, frames=frames, time_step=time_step)


def polyethylene(seed: int = 1, n_frames: int = N_FRAMES, *, chains: int = 20, length: int = 50) -> Workload:
    """PE-1000: a melt of 20 chains of 50 united atoms at 0.84 g/cm^3; or other chains at the same density."""
    n, time_step = chains * length, 0.002
    edge = 3.027 * (n / 1000) ** (1 / 3)
    cutoff = min(1.0, 0.49 * edge)
    bonds = [(c * length + k, c * length + k + 1) for c in range(chains) for k in range(length - 1)]
    start = _random_chains(chains, length, edge, seed)
    apart = _melt(chains, length, edge, _soft_repulsion(n, bonds))
    start = _run(apart, start, time_step, 1, seed)[0]
    system = _melt(chains, length, edge, _lennard_jones(n, sigma=0.395, epsilon=0.382, cutoff=cutoff, bonds=bonds))
    frames = _run(system, start, time_step, n_frames, seed)
    return Workload(
        name=f"PE-{n}", size=POLYETHYLENE_SIZE, template=UNITED_ATOM, edge=edge, frames=frames, time_step=time_step
    )


def replicate(workload: Workload, copies: int, *, n_frames: int = N_FRAMES, seed: int = 2) -> Workload:
    """The workload in a box `copies` times as wide in each direction, jittered bead by bead.

    Args:
        workload: The small box.
        copies: Copies along each axis.
        n_frames: Frames to keep.
        seed: Seed of the jitter.
    """
    frames = np.stack([tile(frame, workload.edge, copies) for frame in workload.frames[:n_frames]])
    frames += np.random.default_rng(seed).normal(scale=JITTER, size=frames.shape)
    return Workload(
        name=f"{workload.name}x{copies**3}",
        size=workload.size,
        template=workload.template,
        edge=workload.edge * copies,
        frames=frames,
        time_step=workload.time_step,
    )


def tile(positions: NDArray[np.float64], edge: float, copies: int) -> NDArray[np.float64]:
    """Positions (n, 3) in a cubic box, `copies` of it along each axis, shape (copies^3 n, 3)."""
    offsets = edge * np.stack(np.meshgrid(*3 * [np.arange(copies)], indexing="ij"), -1).reshape(-1, 1, 3)
    return (positions[None] + offsets).reshape(-1, 3)


def count_pairs(workload: Workload, positions: NDArray[np.float64] | None = None) -> int:
    """Pairs within the cutoff, each once, at the first frame or at `positions`."""
    from scipy.spatial import cKDTree

    x = np.mod(workload.frames[0] if positions is None else positions, workload.edge)
    return len(cKDTree(x, boxsize=workload.edge).query_pairs(workload.size.cutoff, output_type="ndarray"))


def most_neighbors(workload: Workload) -> int:
    """The largest number of neighbors a bead has at the first frame."""
    from scipy.spatial import cKDTree

    tree = cKDTree(np.mod(workload.frames[0], workload.edge), boxsize=workload.edge)
    return max(len(found) for found in tree.query_ball_tree(tree, workload.size.cutoff)) - 1


class Playback:
    """The frames of a workload forwards and backwards without end, one a call."""

    def __init__(self, workload: Workload, unit_length: float = 1.0) -> None:
        """Args:
        workload: The workload.
        unit_length: What the positions are multiplied by, 10 for angstrom.
        """
        frames = workload.frames * unit_length
        self._frames = np.concatenate([frames, frames[-2:0:-1]]) if len(frames) > 2 else frames
        self._next = 0

    def __call__(self) -> NDArray[np.float64]:
        """The next positions, shape (n_beads, 3)."""
        frame = self._frames[self._next % len(self._frames)]
        self._next += 1
        return frame


def _empty_system(n: int, mass: float, edge: float) -> openmm.System:
    system = openmm.System()
    for _ in range(n):
        system.addParticle(mass)
    system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in (edge * np.eye(3)).tolist()))
    return system


def _melt(chains: int, length: int, edge: float, pair_force: openmm.Force) -> openmm.System:
    system = _empty_system(chains * length, UNITED_ATOM.masses[0], edge)
    for force in (pair_force, *_chain_forces(chains, length)):
        system.addForce(force)
    return system


def _lennard_jones(
    n: int, *, sigma: float, epsilon: float, cutoff: float, bonds: list[tuple[int, int]] | None = None
) -> openmm.NonbondedForce:
    force = openmm.NonbondedForce()
    for _ in range(n):
        force.addParticle(0.0, sigma, epsilon)
    force.setNonbondedMethod(openmm.NonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(cutoff)
    force.setUseDispersionCorrection(False)
    force.createExceptionsFromBonds(bonds or [], 0.0, 0.0)
    return force


def _soft_repulsion(n: int, bonds: list[tuple[int, int]]) -> openmm.CustomNonbondedForce:
    """What takes overlapping chains apart, where Lennard-Jones forces would be infinite."""
    force = openmm.CustomNonbondedForce("100*(1+cos(3.14159265*r/0.4))")
    for _ in range(n):
        force.addParticle([])
    force.createExclusionsFromBonds(bonds, 3)
    force.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    force.setCutoffDistance(0.4)
    return force


def _chain_forces(chains: int, length: int) -> list[openmm.Force]:
    bonds, angles = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    for chain in range(chains):
        first = chain * length
        for k in range(first, first + length - 1):
            bonds.addBond(k, k + 1, 0.154, 2.0e5)
        for k in range(first, first + length - 2):
            angles.addAngle(k, k + 1, k + 2, np.radians(114.0), 520.0)
    for force in (bonds, angles):
        force.setUsesPeriodicBoundaryConditions(True)
    return [bonds, angles]


def _lattice(n: int, edge: float) -> NDArray[np.float64]:
    side = int(np.ceil(n ** (1 / 3)))
    grid = np.stack(np.meshgrid(*3 * [np.arange(side)], indexing="ij"), -1).reshape(-1, 3)[:n]
    return (grid + 0.5) * edge / side


def _random_chains(chains: int, length: int, edge: float, seed: int) -> NDArray[np.float64]:
    """Freely rotating chains with the melt's bond length and angle."""
    rng = np.random.default_rng(seed)
    bend = np.cos(np.radians(180.0 - 114.0))
    positions = np.zeros((chains, length, 3))
    for chain in positions:
        chain[0] = rng.uniform(0, edge, 3)
        direction = _unit(rng.normal(size=3))
        for k in range(1, length):
            chain[k] = chain[k - 1] + 0.154 * direction
            sideways = _unit(np.cross(direction, rng.normal(size=3)))
            direction = bend * direction + np.sqrt(1 - bend**2) * sideways
    return positions.reshape(-1, 3)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


def _run(
    system: openmm.System, start: NDArray[np.float64], time_step: float, n_frames: int, seed: int, settle: int = 5000
) -> NDArray[np.float64]:
    """Frames at every step of a run at 300 K, after `settle` steps, shape (n_frames, n, 3)."""
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, time_step)
    integrator.setRandomNumberSeed(seed)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system, integrator, platform, {"Threads": "1"})
    context.setPositions(start)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 500)
    context.setVelocitiesToTemperature(300.0, seed)
    integrator.step(settle)
    frames = np.zeros((n_frames, len(start), 3))
    for frame in frames:
        integrator.step(1)
        frame[:] = context.getState(positions=True).getPositions(asNumpy=True)._value
    return frames + np.random.default_rng(seed).normal(scale=JITTER, size=frames.shape)
