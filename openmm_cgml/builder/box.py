"""Periodic boxes of molecules and chains at a given density, without overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from openmm_cgml.builder.composition import (
    ChainCount,
    chain_molecules,
    check_size,
    check_type_pairs,
    closest_approach,
    small_molecules,
)
from openmm_cgml.builder.geometry import relax_molecule
from openmm_cgml.builder.growth import grow_chains
from openmm_cgml.builder.local_statistics import LocalStatistics
from openmm_cgml.builder.packing import spread_molecules
from openmm_cgml.builder.push_off import push_apart
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.periodic import find_pairs, pair_distances
from openmm_cgml.system import check_box
from openmm_cgml.topology import CGTopology, MoleculeTemplate
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3, value_in

_ROUNDS = 300
_JITTER = 0.15  # of the grid spacing


def build_box(
    force_field: ForceField,
    molecules: int | Mapping[str, int] | None = None,
    *,
    chains: Sequence[ChainCount | tuple[int, int]] = (),
    density: Any = None,
    box: Any = None,
    temperature: Any = None,
    seed: int = 0,
) -> tuple[CGTopology, NDArray[np.float64], NDArray[np.float64]]:
    """A cubic box of molecules and chains with random places, orientations and conformations.

    Chains are grown from the distributions of bonds, angles and torsions that the force field knows, laid through each
    other with an even density, and pushed apart slowly, so that they keep the internal distances of a melt; see
    `grow_chains`, `spread_molecules` and `push_apart`.

    `force_field.create_system(topology, box=box)` makes an OpenMM System of it.

    Args:
        force_field: The force field that the box is for; its priors give the molecules their shape.
        molecules: How many molecules of one residue, by residue name; one number if the force field knows one.
        chains: Chains: pairs (how many, residues of each) or `ChainCount`s.
        density: Density [g/cm^3], a number, an OpenMM Quantity or a text like "0.84 g/cm^3"; by default that of the
            data the force field was trained on.
        box: Edge of the box instead [nm], in the same forms.
        temperature: Temperature of the conformations [K], in the same forms; by default that of the training data.
        seed: Seed of all that is random; the same seed gives the same box, to the last digit for molecules of one
            residue, and for chains on the same machine and versions.

    Returns:
        The topology, bead positions [nm] of shape (n_beads, 3), molecules whole, and box vectors [nm] of shape (3, 3).

    Raises:
        InputError: If a residue, a chain or a pair of bead types is unknown, a number or the density makes no sense or
            has no default, the box would be too small for the force field, or the molecules do not fit.
    """
    counts = small_molecules(force_field, molecules) + chain_molecules(force_field, chains)
    check_size(counts)
    topology = CGTopology.from_molecules(counts, type_names=force_field.type_names)
    potentials = force_field.priors.bind(topology)  # refuses what the priors lack, by name
    check_type_pairs(force_field, topology)
    edge = _edge(force_field, topology, density, box)
    try:
        check_box(np.eye(3) * edge, force_field.cutoffs)
    except InputError as error:
        raise InputError(f"{topology.n_molecules} molecules are too few: {error}") from error
    rng = np.random.default_rng(seed)
    statistics = LocalStatistics.of(force_field, _temperature(force_field, temperature))
    shapes = [shape for molecule, count in counts for shape in _shapes(force_field, molecule, count, statistics, rng)]
    if not chains:
        positions = place_molecules(shapes, edge, distance=statistics.distance, rng=rng)
        return topology, positions, np.eye(3) * edge
    positions = spread_molecules(shapes, edge, rng)
    distances = _distances(force_field, statistics.distance)
    positions = push_apart(topology, positions, edge, potentials, distances, statistics, seed=1 + seed % 2**30)
    check_overlaps(topology, positions, edge, distances)
    return topology, positions, np.eye(3) * edge


def check_overlaps(
    topology: CGTopology, positions: NDArray[np.float64], edge: float, distances: NDArray[np.float64]
) -> None:
    """Refuse positions in which beads of different molecules are closer than they ever were in the training data.

    Args:
        topology: The beads.
        positions: Bead positions [nm], shape (n_beads, 3).
        edge: Edge of the cubic box [nm].
        distances: Smallest distance by two bead types [nm], shape (n_types, n_types).

    Raises:
        InputError: Naming the closest pair.
    """
    pairs = find_pairs(positions, edge * np.eye(3), float(distances.max())).T
    pairs = pairs[topology.molecules[pairs[:, 0]] != topology.molecules[pairs[:, 1]]]
    lengths = pair_distances(positions, edge * np.eye(3), *pairs.T)
    types = topology.bead_types[pairs]
    missing = distances[types[:, 0], types[:, 1]] - lengths
    if len(missing) and missing.max() > 0:
        worst = int(np.argmax(missing))
        names = "-".join(topology.type_names[t] for t in types[worst])
        raise InputError(
            f"beads {pairs[worst, 0]} and {pairs[worst, 1]} ({names}) are {lengths[worst]:.3f} nm apart, closer than "
            f"any such pair that the force field was trained on ({distances[tuple(types[worst])]:.3f} nm): the box is "
            "too dense; build at a lower density and compress it with a barostat"
        )


def place_molecules(
    shapes: Sequence[NDArray[np.float64]], edge: float, *, distance: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Rigid molecules on a jittered cubic grid in random order, turned until none come closer than `distance`.

    Args:
        shapes: Bead positions of each molecule about its centre [nm], shape (n_beads, 3) each.
        edge: Edge of the cubic box [nm].
        distance: Smallest distance wanted between beads of different molecules [nm]; two thirds of it are accepted.
        rng: Source of randomness.

    Returns:
        Positions of all beads, molecules whole [nm], shape (total of n_beads, 3).

    Raises:
        InputError: If no arrangement was found.
    """
    n = len(shapes)
    sizes = np.array([len(shape) for shape in shapes])
    owner = np.repeat(np.arange(n), sizes)
    reference = np.concatenate(shapes)
    side = int(np.ceil(round(n ** (1 / 3), 9)))
    spacing = edge / side
    sites = rng.permutation(side**3)[:n]
    centers = (np.stack(np.unravel_index(sites, (side,) * 3), axis=1) + 0.5) * spacing

    def draw(some: NDArray[np.int64]) -> NDArray[np.float64]:
        """Beads of the molecules `some`, newly placed, in order."""
        beads = np.isin(owner, some)
        local = np.searchsorted(some, owner[beads])
        turns = Rotation.random(len(some), random_state=rng)[local]
        jitter = rng.uniform(-_JITTER, _JITTER, (len(some), 3)) * spacing
        return np.asarray(turns.apply(reference[beads]) + (centers[some] + jitter)[local])

    positions = draw(np.arange(n))
    for _ in range(_ROUNDS):
        clashing = _clashing_molecules(positions, owner, edge, distance)
        if not len(clashing):
            return positions
        again = np.unique(np.where(rng.random(len(clashing)) < 0.5, clashing[:, 0], clashing[:, 1]))
        positions[np.isin(owner, again)] = draw(again)
    close = _clashing_molecules(positions, owner, edge, distance * 2 / 3)
    if len(close):
        raise InputError(
            f"{n} molecules do not fit into a cube of {edge:.3f} nm: molecules {close[0, 0]} and {close[0, 1]} are "
            f"closer than {distance * 2 / 3:.3f} nm after {_ROUNDS} attempts; build at a lower density and compress it "
            "with a barostat"
        )
    return positions


def _clashing_molecules(
    positions: NDArray[np.float64], owner: NDArray[np.int64], edge: float, distance: float
) -> NDArray[np.int64]:
    pairs = owner[find_pairs(positions, edge * np.eye(3), distance).T]
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _shapes(
    force_field: ForceField,
    molecule: MoleculeTemplate,
    count: int,
    statistics: LocalStatistics,
    rng: np.random.Generator,
) -> list[NDArray[np.float64]]:
    """Beads of each copy of a molecule about its center [nm]."""
    alone = CGTopology.from_molecules([(molecule, 1)], type_names=force_field.type_names)
    if len(molecule.residues) > 1:
        return list(grow_chains(alone, count, statistics, rng))
    return [relax_molecule(alone, force_field.priors.bind(alone), rng)] * count


def _distances(force_field: ForceField, default: float) -> NDArray[np.float64]:
    """Closest approaches by two bead types [nm], shape (n_types, n_types)."""
    return np.array(
        [
            [closest_approach(force_field, a, b) or default for b in force_field.type_names]
            for a in force_field.type_names
        ]
    )


def _temperature(force_field: ForceField, temperature: Any) -> float:
    training = force_field.manifest.training
    if temperature is None:
        return training.temperature if training else 300.0
    number = value_in(temperature, "temperature")
    if not 1 <= number <= 1e4:
        raise InputError(f"temperature is {number:g} K; it must lie between 1 and 10 000 K")
    return number


def _edge(force_field: ForceField, topology: CGTopology, density: Any, box: Any) -> float:
    if box is None:
        mass = topology.masses.sum() * DALTON_PER_NM3_IN_G_PER_CM3
        return float((mass / _density(force_field, density)) ** (1 / 3))
    if density is not None:
        raise InputError("both density and box are given; one follows from the other: give one of them")
    edge = value_in(box, "length")
    if not 0 < edge < 1e4:
        raise InputError(f"box is {edge:g} nm; it must be positive")
    return edge


def _density(force_field: ForceField, density: Any) -> float:
    training = force_field.manifest.training
    if density is None:
        if training is None or training.density is None:
            raise InputError(
                f"force field {force_field.manifest.name!r} does not record the density of its data; "
                'pass density, for example "0.84 g/cm^3"'
            )
        return training.density
    number = value_in(density, "density")
    if not 1e-4 <= number <= 30:
        raise InputError(f"density is {number:g} g/cm^3; it must lie between 1e-4 and 30 g/cm^3")
    return number
