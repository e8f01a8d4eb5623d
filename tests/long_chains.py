"""Chains that are longer than their box, and what the network gives for them pair by pair and image by image."""

import numpy as np
import torch

from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.topology import CGTopology

BOX = np.array([[1.9, 0, 0], [0.3, 2.0, 0], [-0.4, 0.2, 1.8]])
STEP = 0.28
WRAPPINGS = ("whole", "wrapped", "scattered")


def chain_topology(n_chains=2, n_beads=26):
    """Linear chains of beads M with ends E; every bead is a residue."""
    n = n_chains * n_beads
    place = np.arange(n) % n_beads
    first = np.flatnonzero(place < n_beads - 1)
    ends = (place == 0) | (place == n_beads - 1)
    return CGTopology(
        type_names=("E", "M"),
        bead_types=np.where(ends, 0, 1),
        bead_names=("B",) * n,
        masses=np.full(n, 14.0),
        molecules=np.arange(n) // n_beads,
        residues=np.arange(n),
        residue_names=("R",) * n,
        bonds=np.stack([first, first + 1], axis=1),
    )


def grown_chains(n_chains=2, n_beads=26, *, box=BOX, seed=0):
    """Whole chains, several boxes long, in which no bead comes near another one or its images [nm]."""
    rng = np.random.default_rng(seed)
    placed = np.zeros((0, 3))
    drift = np.array([0.5, 0.3, 0.2])
    for _ in range(n_chains):
        last = None
        for _ in range(n_beads):
            for _ in range(1000):
                step = rng.normal(size=3) + drift
                bead = rng.random(3) @ box if last is None else last + STEP * step / np.linalg.norm(step)
                away = placed - bead
                away -= np.rint(away @ np.linalg.inv(box)) @ box
                if not np.any(np.linalg.norm(away, axis=1) < 0.22):
                    break
            placed, last = np.concatenate([placed, bead[None]]), bead
    return placed


def rewrapped(whole, wrapping, *, box=BOX):
    """The same positions in another wrapping: whole chains, each bead in the box, or each bead in any image."""
    if wrapping == "whole":
        return whole
    inside = whole - np.floor(whole @ np.linalg.inv(box)) @ box
    if wrapping == "wrapped":
        return inside
    return inside + np.random.default_rng(1).integers(-3, 4, size=whole.shape) @ box


def doubled(whole, *, box=BOX):
    """Two copies side by side along the first box vector, and their box."""
    return np.concatenate([whole, whole + box[0]]), box * np.array([[2.0], [1.0], [1.0]])


def chain_network(**settings):
    """A network for the chains, with random weights."""
    torch.manual_seed(0)
    values = {"n_features": 12, "n_filters": 16, "n_basis": 12, "cutoff": 0.8, "intra_cutoff": 0.7}
    values |= {"n_intra_blocks": 1, "n_inter_blocks": 2, "energy_scale": 10.0}
    network = SchNet(SchNetConfig(**{**values, **settings}), 2).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.3)
    return network.eval()


def image_pairs(topology, whole, cutoff, *, box=BOX, by_index=False):
    """Pairs i < j within a cutoff and their vectors from j to i: between molecules or images, and within molecules.

    With `by_index`, pairs are told apart by the molecules' numbers alone, which is wrong for these chains.
    """
    i, j = np.triu_indices(len(whole), 1)
    about = -np.rint((whole[i] - whole[j]) @ np.linalg.inv(box))
    near = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    shifts = about[:, None] + near  # (n_pairs, 27, 3): with every image that could be within the cutoff
    vectors = (whole[i] - whole[j])[:, None] + shifts @ box
    pair, image = np.nonzero(np.linalg.norm(vectors, axis=-1) < cutoff)
    i, j, vectors = i[pair], j[pair], vectors[pair, image]
    same = topology.molecules[i] == topology.molecules[j]
    intra = same if by_index else same & ~shifts[pair, image].any(axis=1)
    assert len(np.unique(i * len(whole) + j)) == len(i)  # one image of each pair
    return tuple((np.stack([i[chosen], j[chosen]]), vectors[chosen]) for chosen in (~intra, intra))


def reference(network, topology, whole, *, box=BOX, exclude_bonds=0, by_index=False):
    """Energy [kJ/mol] and forces [kJ/mol/nm] of the network from whole chains by the sum over images."""
    reach = max(network.cutoff, network.intra_cutoff)
    inter, intra = image_pairs(topology, whole, reach, box=box, by_index=by_index)
    if exclude_bonds:
        excluded = {tuple(pair) for pair in topology.exclusions(exclude_bonds).tolist()}
        kept = np.array([tuple(pair) not in excluded for pair in intra[0].T.tolist()], dtype=bool)
        intra = intra[0][:, kept], intra[1][kept]
    x = torch.tensor(whole).requires_grad_()

    def pair_list(pairs, vectors):
        first, second = torch.tensor(pairs)
        images = torch.tensor(vectors - (whole[pairs[0]] - whole[pairs[1]]))
        return PairList(first, second, torch.linalg.norm(x[first] - x[second] + images, dim=1))

    energy = network(torch.tensor(topology.bead_types), pair_list(*inter), pair_list(*intra)).sum()
    (gradient,) = torch.autograd.grad(energy, x)
    return float(energy.detach()), -gradient.numpy()
