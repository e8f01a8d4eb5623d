"""Forces between molecules of a force field, apart from those within, and how good they are."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.networks import SchNet
from openmm_cgml.topology import CGTopology


def has_intermolecular_part(force_field: ForceField) -> bool:
    """Whether the network's energy is a sum of one between and one within molecules."""
    network = force_field.network
    return network is None or network.separate or not network.intra_blocks


def compute_intermolecular_forces(force_field: ForceField, topology: CGTopology, frames: Frames) -> NDArray[np.float64]:
    """Forces between molecules [kJ/mol/nm], shape (n_frames, n_beads, 3).

    Args:
        force_field: One that has an intermolecular part.
        topology: The beads.
        frames: Their positions and boxes.
    """
    forces = force_field.priors.forces(topology, frames, part="inter")
    if force_field.network is None:
        return forces
    exclude_bonds = force_field.priors.exclude_bonds
    deployed = DeployedNetwork(_between(force_field.network), topology, exclude_bonds=exclude_bonds)
    boxes = [None] * len(frames) if frames.box is None else list(frames.box)
    for number, (positions, box) in enumerate(zip(frames.positions, boxes, strict=True)):
        cell = None if box is None else torch.tensor(box, dtype=torch.float64)
        forces[number] += deployed(torch.tensor(positions, dtype=torch.float64), cell)[1].numpy()
    return forces


def _between(network: SchNet) -> SchNet:
    """The network without its intramolecular part."""
    if not network.intra_blocks:
        return network
    between = copy.deepcopy(network)
    between.intra_blocks = nn.ModuleList()
    return between


def score(predicted: NDArray[Any], measured: NDArray[Any], error: NDArray[Any] | None = None) -> dict[str, float]:
    """RMSE, rms of the labels and R2; with standard errors of the labels also R2 without their noise."""
    residual, labels = float(np.mean((predicted - measured) ** 2)), float(np.mean(np.square(measured)))
    result = {"rmse": residual**0.5, "label_rms": labels**0.5, "r2": 1 - residual / labels}
    if error is not None:
        noise = float(np.mean(np.square(error)))
        result["r2_without_noise"] = 1 - (residual - noise) / (labels - noise)
    return result
