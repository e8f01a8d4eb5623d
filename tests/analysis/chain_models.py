"""Chains whose dimensions are known in closed form, for the tests of chain statistics."""

import numpy as np

from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology


def make_chains(n_chains, n_beads, *, types=None, mass=14.0):
    """Topology of linear chains, one after the other."""
    n = n_chains * n_beads
    pairs = np.arange(n).reshape(n_chains, n_beads)
    kinds = np.zeros(n_beads, int) if types is None else np.asarray(types)
    return CGTopology(
        type_names=("M", "E")[: int(kinds.max()) + 1],
        bead_types=np.tile(kinds, n_chains),
        bead_names=("B",) * n,
        masses=np.full(n, mass),
        molecules=np.repeat(np.arange(n_chains), n_beads),
        residues=np.repeat(np.arange(n_chains), n_beads),
        residue_names=("CHN",) * n_chains,
        bonds=np.stack([pairs[:, :-1].ravel(), pairs[:, 1:].ravel()], axis=1),
    )


def join(topologies):
    """Topologies of one set of types side by side."""
    starts = np.cumsum([0, *[t.n_beads for t in topologies]])
    molecules = np.cumsum([0, *[t.n_molecules for t in topologies]])
    residues = np.cumsum([0, *[len(t.residue_names) for t in topologies]])
    return CGTopology(
        type_names=topologies[0].type_names,
        bead_types=np.concatenate([t.bead_types for t in topologies]),
        bead_names=sum((t.bead_names for t in topologies), ()),
        masses=np.concatenate([t.masses for t in topologies]),
        molecules=np.concatenate([t.molecules + m for t, m in zip(topologies, molecules, strict=False)]),
        residues=np.concatenate([t.residues + r for t, r in zip(topologies, residues, strict=False)]),
        residue_names=sum((t.residue_names for t in topologies), ()),
        bonds=np.concatenate([t.bonds + s for t, s in zip(topologies, starts, strict=False)]),
    )


def freely_jointed(rng, shape, n_beads, bond=0.25):
    """Positions of freely jointed chains, shape (*shape, n_beads, 3), starting at the origin."""
    bonds = rng.normal(size=(*shape, n_beads - 1, 3))
    bonds *= bond / np.linalg.norm(bonds, axis=-1, keepdims=True)
    return np.concatenate([np.zeros((*shape, 1, 3)), np.cumsum(bonds, axis=-2)], axis=-2)


def freely_rotating(rng, shape, n_beads, cosine, bond=0.25):
    """Positions of chains with fixed bond angle and free torsions: <u_i u_i+s> = cosine^s, the discrete worm-like chain."""
    direction = rng.normal(size=(*shape, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    points, here = [np.zeros((*shape, 3))], np.zeros((*shape, 3))
    for _ in range(n_beads - 1):
        here = here + bond * direction
        points.append(here)
        across = rng.normal(size=(*shape, 3))
        across -= np.sum(across * direction, axis=-1, keepdims=True) * direction
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        direction = cosine * direction + np.sqrt(1 - cosine**2) * across
    return np.stack(points, axis=-2)


def phantom_melt(n_chains, n_beads, *, seed, n_frames=40, cosine=0.6, bond=0.25, width=0.01, density=20.0, step=None):
    """Frames of freely rotating chains that do not see one another, at a number density of beads [1/nm^3].

    Every frame is independent, or where a `step` is given, the first frame with all beads walking from there.
    """
    rng = np.random.default_rng(seed)
    n = n_chains * n_beads
    box = (n / density) ** (1 / 3)
    count = n_frames if step is None else 1
    points = freely_rotating(rng, (count, n_chains), n_beads, cosine, bond)
    points += rng.uniform(0, box, (count, n_chains, 1, 3)) + rng.normal(0, width, points.shape)
    positions = points.reshape(count, n, 3)
    if step is not None:
        positions = positions + np.cumsum(rng.normal(0, step, (n_frames, n, 3)), axis=0)
    kinetic = 0.5 * 3 * n * 0.00831446261815324 * 300.0 * (1 + rng.normal(0, np.sqrt(2 / (3 * n)), n_frames))
    return Frames(
        positions=positions,
        box=np.stack([np.eye(3) * box] * n_frames),
        times=None if step is None else np.arange(n_frames) * 1.0,
        energies={"kinetic": kinetic},
    )


def rouse_modes(rng, n_frames, n_chains, n_beads, friction_step):
    """Overdamped Rouse chains, in equilibrium from the start, shape (n_frames, n_chains, n_beads, 3).

    Springs of unit mean squared length; mode p decays as exp(-4 sin^2(p pi / 2N) friction_step t).
    """
    p = np.arange(1, n_beads)
    rates = 4 * np.sin(p * np.pi / (2 * n_beads)) ** 2
    decay, width = np.exp(-rates * friction_step), np.sqrt(1 / (3 * rates))
    modes = rng.normal(size=(n_chains, n_beads - 1, 3)) * width[:, None]
    shapes = np.sqrt(2 / n_beads) * np.cos(np.outer(np.arange(n_beads) + 0.5, p) * np.pi / n_beads)
    frames = np.empty((n_frames, n_chains, n_beads, 3))
    for frame in range(n_frames):
        frames[frame] = np.einsum("bp,cpx->cbx", shapes, modes)
        noise = rng.normal(size=modes.shape) * width[:, None]
        modes = modes * decay[:, None] + np.sqrt(1 - decay[:, None] ** 2) * noise
    return frames
