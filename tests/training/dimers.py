"""Frames of dimers in a box with arbitrary but reproducible labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import BOLTZMANN

EDGE = 2.0
TEMPLATE = ResidueTemplate(
    name="DIM", bead_names=("A1", "B1"), bead_type_names=("A", "B"), masses=(40.0, 30.0), bonds=((0, 1),)
)
PRIORS: dict[str, Any] = {
    "bonds": {"length": 0.25, "stiffness": 2000.0},
    "repulsion": {"sigma": 0.2, "epsilon": 4.184, "cutoff": 0.6},
}
NETWORK: dict[str, Any] = {"n_features": 6, "n_filters": 5, "n_basis": 8, "cutoff": 0.7, "n_inter_blocks": 2}


def dimer_topology(n_molecules: int = 16) -> CGTopology:
    return CGTopology.from_residues([(TEMPLATE, n_molecules)])


def dimer_frames(n_frames: int, n_molecules: int = 16, seed: int = 0, edge: float = EDGE) -> Frames:
    """Molecules scattered over the box and its faces, with arbitrary but reproducible labels, bonds apart.

    The forces along bonds are those that keep their lengths in equilibrium at 300 K, as a fit expects of its data.
    """
    rng = np.random.default_rng(seed)
    sites = np.stack(np.meshgrid(*3 * [np.arange(3)], indexing="ij"), axis=-1).reshape(-1, 3) * edge / 3
    chosen = np.array([rng.permutation(len(sites))[:n_molecules] for _ in range(n_frames)])
    centers = (sites[chosen] + rng.normal(0, 0.08, (n_frames, n_molecules, 3)))[:, :, None]
    axes = rng.normal(size=(n_frames, n_molecules, 1, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    lengths = rng.normal(0.25, 0.02, (n_frames, n_molecules, 1, 1))
    pull = BOLTZMANN * 300.0 / 0.02**2 * (lengths - 0.25) * axes * np.array([1.0, -1.0])[:, None]
    shape = (n_frames, 2 * n_molecules, 3)
    inter = rng.normal(0, 50, shape)
    return Frames(
        positions=(centers + lengths * axes * np.array([-0.5, 0.5])[:, None]).reshape(shape),
        box=np.tile(np.eye(3) * edge, (n_frames, 1, 1)),
        forces=inter + rng.normal(0, 200, shape) + pull.reshape(shape),
        forces_inter=inter,
        energies={"inter": rng.normal(-500, 20, n_frames), "bonded": rng.normal(100, 5, n_frames)},
        times=np.arange(n_frames) * 0.5,
    )
