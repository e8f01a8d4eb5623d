"""Periodic boxes of molecules at a given density, placed at random without overlaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from openmm_cgml.builder.geometry import relax_molecule
from openmm_cgml.errors import InputError
from openmm_cgml.force_field import ForceField
from openmm_cgml.system import check_box
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3, value_in

MAX_BEADS = 2_000_000
_DEFAULT_DISTANCE = 0.25  # nm, where the force field does not say how close its beads come
_ROUNDS = 300
_JITTER = 0.15  # of the grid spacing


def build_box(
    force_field: ForceField, molecules: int | Mapping[str, int], *, density: Any = None, seed: int = 0
) -> tuple[CGTopology, NDArray[np.float64], NDArray[np.float64]]:
    """A cubic box of molecules with random places and orientations.

    Args:
        force_field: The force field that the box is for; its priors give the molecules their shape.
        molecules: How many, by residue name; one number if the force field knows one residue.
        density: Density [g/cm^3], a number, an OpenMM Quantity or a text like "0.84 g/cm^3"; by default that of the
            data the force field was trained on.
        seed: Seed of the random placement; the same seed gives the same box.

    Returns:
        The topology, bead positions [nm] of shape (n_beads, 3), and box vectors [nm] of shape (3, 3).

    Raises:
        InputError: If a residue is unknown, a number or the density makes no sense or has no default, the box would
            be too small for the force field, or the molecules do not fit.
    """
    counts = _counts(force_field.templates, molecules)
    topology = CGTopology.from_residues(counts, type_names=force_field.type_names)
    box = np.eye(3) * _edge(topology, _density(force_field, density))
    try:
        check_box(box, force_field.cutoffs)
    except InputError as error:
        raise InputError(f"{topology.n_molecules} molecules are too few: {error}") from error
    rng = np.random.default_rng(seed)
    shapes = []
    for template, count in counts:
        molecule = CGTopology.from_residues([(template, 1)], type_names=force_field.type_names)
        shapes += [relax_molecule(molecule, force_field.priors.bind(molecule), rng)] * count
    positions = place_molecules(shapes, float(box[0, 0]), distance=_closest_distance(force_field), rng=rng)
    return topology, positions, box


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
    wrapped = positions % edge
    wrapped[wrapped >= edge] = 0.0  # rounding can leave a bead on the upper face
    pairs = owner[cKDTree(wrapped, boxsize=edge).query_pairs(distance, output_type="ndarray")]
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def _counts(
    templates: Sequence[ResidueTemplate], molecules: int | Mapping[str, int]
) -> list[tuple[ResidueTemplate, int]]:
    known = {template.name: template for template in templates}
    if isinstance(molecules, int):
        if len(known) != 1:
            example = dict.fromkeys(known, 100)
            raise InputError(f"this force field knows {', '.join(known)}; say how many of each, like {example}")
        molecules = {next(iter(known)): molecules}
    unknown = [name for name in molecules if name not in known]
    if unknown:
        raise InputError(f"unknown residue {unknown[0]!r}; this force field knows {', '.join(known)}")
    for name, count in molecules.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError(f"number of {name} is {count!r}; it must be a whole number")
    total = sum(count * len(known[name].bead_names) for name, count in molecules.items())
    if not 0 < total <= MAX_BEADS:
        raise InputError(f"{total} beads; build at least one molecule and at most {MAX_BEADS} beads")
    return [(known[name], count) for name, count in molecules.items() if count]


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


def _edge(topology: CGTopology, density: float) -> float:
    return float((topology.masses.sum() * DALTON_PER_NM3_IN_G_PER_CM3 / density) ** (1 / 3))


def _closest_distance(force_field: ForceField) -> float:
    training = force_field.manifest.training
    return min(training.closest_approach.values()) if training and training.closest_approach else _DEFAULT_DISTANCE
