"""Energies and forces recorded when a force field is saved, and recomputed when it is loaded.

Both are made in float64 by the network itself and the torch form of the priors, so a force field that loads behaves as
the one that was saved, whatever versions of the libraries lie between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.errors import ArtifactError
from openmm_cgml.networks import SchNet
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.periodic import find_pairs
from openmm_cgml.potentials import evaluate, minimum_image
from openmm_cgml.priors import PriorSet
from openmm_cgml.topology import CGTopology, ChainTemplate, MoleculeTemplate, ResidueTemplate
from openmm_cgml.topology.architectures import SHORT_CHAIN
from openmm_cgml.wholeness import BondForest

TOLERANCE = 1e-6
"""Largest deviation accepted, relative to the root mean square of the recorded values."""
_N_FRAMES = 3
_MIN_EDGE = 1.2  # nm
_BEADS_PER_NM3 = 8.0
_STEP = 0.25  # nm between successive beads of a molecule
_MAX_RESIDUES = 60  # of one molecule
_SPACING = 0.3  # nm, of the lattice along which chains lie

Arrays = dict[str, NDArray[np.generic]]


def record_self_test(
    priors: PriorSet,
    network: SchNet | None,
    templates: Sequence[ResidueTemplate],
    type_names: Sequence[str],
    chains: Sequence[ChainTemplate],
    edge: float,
    architectures: Sequence[MoleculeTemplate] = (),
) -> Arrays:
    """Frames of random molecules with the energies and forces that the force field gives them.

    Args:
        priors: The priors.
        network: The network, or None.
        templates: Residues it knows; every one occurs.
        type_names: Bead types.
        chains: Polymers made of the residues; short ones of each occur.
        edge: Smallest admissible edge of a cubic box [nm], twice the longest cutoff.
        architectures: Other molecules of the residues; a piece of each occurs.
    """
    rng = np.random.default_rng(0)
    edge = max(1.05 * edge, _MIN_EDGE)
    molecules = _pieces(templates, chains, architectures)
    linked = bool(chains or architectures)
    beads = sum(len(residue.bead_names) for molecule in molecules for residue in molecule.residues)
    copies = max(2, round((_SPACING**-3 if linked else _BEADS_PER_NM3) * edge**3 / beads))
    counts = np.full(len(molecules), copies)
    topology = _topology(molecules, type_names, counts)
    if architectures:  # which may be larger than a box that just holds the cutoffs
        edge = max(edge, _SPACING * float(np.ceil(round(topology.n_beads ** (1 / 3), 9))))
    box = np.eye(3) * edge
    place = _lattice_positions if linked else _random_positions
    positions = np.stack([place(topology, edge, rng) for _ in range(_N_FRAMES)])
    return {
        "residue_counts": counts.astype(np.int64),
        "box": box,
        "positions": positions,
        **evaluate_parts(priors, network, topology, positions, box),
    }


def verify_self_test(
    recorded: Mapping[str, NDArray[np.generic]],
    priors: PriorSet,
    network: SchNet | None,
    templates: Sequence[ResidueTemplate],
    type_names: Sequence[str],
    chains: Sequence[ChainTemplate],
    architectures: Sequence[MoleculeTemplate] = (),
    *,
    name: str,
) -> None:
    """Raise unless the force field reproduces what was recorded when it was saved.

    Raises:
        ArtifactError: If a value deviates by more than `TOLERANCE`, or the record has not the expected tensors.
    """
    try:
        counts = recorded["residue_counts"].astype(np.int64)
        topology = _topology(_pieces(templates, chains, architectures), type_names, counts)
        positions, box = recorded["positions"].astype(np.float64), recorded["box"].astype(np.float64)
        found = evaluate_parts(priors, network, topology, positions, box)
    except (KeyError, ValueError, IndexError) as error:
        raise ArtifactError(f"{name}: not a self-test of this force field ({error}); restore the original") from error
    for key, value in found.items():
        expected = recorded.get(key)
        if expected is None or expected.shape != value.shape:
            raise ArtifactError(f"{name}: {key} is missing or not of shape {value.shape}; restore the original")
        scale = max(float(np.sqrt(np.mean(expected.astype(np.float64) ** 2))), 1e-9)
        deviation = float(np.abs(value - expected.astype(np.float64)).max()) / scale
        if not deviation <= TOLERANCE:
            raise ArtifactError(
                f"{name}: {key.replace('_', ' of the ')} differ by {deviation:.1e} of their size from those recorded "
                f"when the force field was saved, more than {TOLERANCE:.0e}: this installation computes something else "
                "than the one that saved it; compare the versions in manifest.json with `openmm-cgml doctor`"
            )


def evaluate_parts(
    priors: PriorSet,
    network: SchNet | None,
    topology: CGTopology,
    positions: NDArray[np.float64],
    box: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Energies [kJ/mol] and forces [kJ/mol/nm] of priors and network in float64, each under a key of its own.

    Args:
        priors: The priors.
        network: The network, or None, which leaves its keys out.
        topology: The beads.
        positions: Bead positions [nm], shape (n_frames, n_beads, 3).
        box: Box vectors [nm], shape (3, 3).
    """
    cell = torch.from_numpy(box)
    energy, forces = evaluate(priors.bind(topology), torch.from_numpy(positions), cell)
    parts = {"energies_priors": energy.numpy(), "forces_priors": forces.numpy()}
    if network is not None:
        exclusions = topology.exclusions(priors.exclude_bonds)
        results = [network_energy_and_forces(network, topology, exclusions, frame, box) for frame in positions]
        parts["energies_network"] = np.array([e for e, _ in results])
        parts["forces_network"] = np.stack([f for _, f in results])
    return parts


def network_energy_and_forces(
    network: SchNet,
    topology: CGTopology,
    exclusions: NDArray[np.int64],
    positions: NDArray[np.float64],
    box: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3), of the network as trained, in its own precision.

    Args:
        network: The network.
        topology: The beads.
        exclusions: Bonded pairs i < j, left out if the network is built without them, shape (n_exclusions, 2).
        positions: Bead positions [nm], shape (n_beads, 3).
        box: Box vectors [nm], shape (3, 3).
    """
    dtype = next(network.parameters()).dtype
    pairs = find_pairs(positions, box, network_range(network))
    within = BondForest.from_topology(topology).is_intra(positions, box, pairs)
    inter, intra = pairs[:, ~within], pairs[:, within]
    if not network.config.include_bonded and len(exclusions):
        n = topology.n_beads
        intra = intra[:, ~np.isin(intra[0] * n + intra[1], exclusions[:, 0] * n + exclusions[:, 1])]
    x = torch.from_numpy(positions).to(dtype).requires_grad_()
    cell = torch.from_numpy(box).to(dtype)

    def pair_list(numbers: NDArray[np.int64]) -> PairList:
        first, second = torch.from_numpy(numbers.copy())
        return PairList(first, second, torch.linalg.norm(minimum_image(x[second] - x[first], cell), dim=-1))

    types = torch.from_numpy(topology.bead_types.copy())
    energy = network(types, pair_list(inter), pair_list(intra)).sum()
    (gradient,) = torch.autograd.grad(energy, x)
    return float(energy.detach()), (-gradient).numpy()


def network_range(network: SchNet) -> float:
    """Largest distance at which two beads interact directly through the network [nm]."""
    return max(network.cutoff, network.intra_cutoff) if len(network.intra_blocks) else network.cutoff


def one_of_each(
    templates: Sequence[ResidueTemplate],
    chains: Sequence[ChainTemplate],
    architectures: Sequence[MoleculeTemplate] = (),
) -> list[MoleculeTemplate]:
    """Every kind of molecule: residues of no other alone, and the architectures, or else a short chain of each polymer.

    Where there are architectures, they are all that the data holds: chains of one kind of residue may not be among it.
    """
    linked = {name for chain in chains for name in (chain.head, chain.body, chain.tail)}
    linked |= {name for molecule in architectures for name in molecule.residue_names}
    alone = [MoleculeTemplate(residues=(template,)) for template in templates if template.name not in linked]
    short = [MoleculeTemplate.from_names(chain.residues(SHORT_CHAIN), templates, chains) for chain in chains]
    return alone + (list(architectures) or short)


def _pieces(
    templates: Sequence[ResidueTemplate],
    chains: Sequence[ChainTemplate],
    architectures: Sequence[MoleculeTemplate],
) -> list[MoleculeTemplate]:
    """One of each kind of molecule, or a piece where it is large: its bonds and angles are those of the whole."""
    return [molecule.piece(_MAX_RESIDUES) for molecule in one_of_each(templates, chains, architectures)]


def _topology(
    molecules: Sequence[MoleculeTemplate], type_names: Sequence[str], counts: NDArray[np.int64]
) -> CGTopology:
    pairs = [(molecule, int(count)) for molecule, count in zip(molecules, counts, strict=True)]
    return CGTopology.from_molecules(pairs, type_names=type_names)


def _lattice_positions(topology: CGTopology, edge: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Beads one after the other along a path that fills a jittered cubic lattice, so that chains do not cross."""
    side = int(np.ceil(round(topology.n_beads ** (1 / 3), 9)))
    planes = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
    planes[:, 1::2] = planes[:, 1::2, ::-1]
    planes[1::2] = planes[1::2, ::-1, ::-1]
    sites = planes.reshape(-1, 3)[: topology.n_beads] + 0.5
    return (sites + rng.uniform(-0.2, 0.2, sites.shape)) * edge / side


def _random_positions(topology: CGTopology, edge: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Molecules on a jittered grid, the beads of each along a random walk; no liquid, but its distances."""
    n = topology.n_molecules
    side = int(np.ceil(round(n ** (1 / 3), 9)))
    sites = np.stack(np.unravel_index(rng.permutation(side**3)[:n], (side,) * 3), axis=1) + 0.5
    centers = (sites + rng.uniform(-0.2, 0.2, sites.shape)) * edge / side
    steps = rng.normal(size=(topology.n_beads, 3))
    steps *= _STEP / np.linalg.norm(steps, axis=1, keepdims=True)
    starts = np.flatnonzero(np.diff(topology.molecules, prepend=-1))
    steps[starts] = 0.0
    walk = np.cumsum(steps, axis=0)
    return centers[topology.molecules] + walk - walk[starts][topology.molecules]
