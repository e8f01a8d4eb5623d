"""Force-matched pair potential: the baseline that a network has to beat.

A cubic B-spline pair force between beads of different molecules is fitted to the intermolecular forces of a dataset by
linear least squares (multiscale coarse-graining: Izvekov and Voth, J. Phys. Chem. B 109, 2469 (2005)), and tabulated as
a native OpenMM force. Bonded terms, where there are any, are those of the priors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.sparse import csr_matrix

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs, minimum_image
from openmm_cgml.potentials import closest_approach
from openmm_cgml.priors import PriorSet
from openmm_cgml.topology import CGTopology

SPACING = 0.02
"""Distance between knots [nm]."""
CORE_STIFFNESS = 1.0e4
"""Least stiffness of the harmonic core below the sampled distances [kJ/mol/nm^2]."""
CONTACTS_PER_BEAD = 0.0005
"""Inside the distance at which a bead has this many neighbors, the core replaces the spline."""
N_TABLE = 2000


@dataclass(frozen=True, eq=False, kw_only=True)
class PairSpline:
    """A pair force by type pair: spline, harmonic core inside, zero from the cutoff on.

    Attributes:
        types: Bead types of each pair of types.
        splines: Pair force over distance [kJ/mol/nm], positive where it repels.
        core: Distance at which the core begins [nm], for each pair of types.
        cutoff: Distance from which the force is zero [nm].
    """

    types: tuple[tuple[str, ...], ...]
    splines: tuple[BSpline, ...]
    core: tuple[float, ...]
    cutoff: float

    def force(self, distance: NDArray[np.float64], pair: int = 0) -> NDArray[np.float64]:
        """Pair force [kJ/mol/nm] at distances [nm]."""
        spline, core = self.splines[pair], self.core[pair]
        edge, stiffness = self._core_force(pair)
        inside = edge + stiffness * (core - distance)
        outside = spline(np.clip(distance, core, self.cutoff))
        return np.where(distance < core, inside, np.where(distance < self.cutoff, outside, 0.0))

    def energy(self, distance: NDArray[np.float64], pair: int = 0) -> NDArray[np.float64]:
        """Pair energy [kJ/mol] at distances [nm], the integral of the force from the cutoff inwards."""
        integral, core = self.splines[pair].antiderivative(), self.core[pair]
        edge, stiffness = self._core_force(pair)
        energy = integral(self.cutoff) - integral(np.clip(distance, core, self.cutoff))
        depth = np.maximum(core - distance, 0.0)
        return energy + edge * depth + stiffness * depth**2 / 2

    def forces(self, topology: CGTopology, frames: Frames) -> NDArray[np.float64]:
        """Intermolecular forces [kJ/mol/nm], shape (n_frames, n_beads, 3)."""
        result = np.zeros(frames.positions.shape)
        for index, (i, j, vectors, distances) in enumerate(inter_pairs(topology, frames, self.cutoff)):
            pair = pair_of_types(topology, self.types, i, j)
            sizes = np.zeros(len(distances))
            for number in range(len(self.types)):
                sizes[pair == number] = self.force(distances[pair == number], number)
            pull = vectors * (sizes / distances)[:, None]
            np.add.at(result[index], j, pull)
            np.add.at(result[index], i, -pull)
        return result

    def to_openmm(self, topology: CGTopology, *, exclude_bonds: int | None = None) -> list[openmm.CustomNonbondedForce]:
        """Native forces, one for each pair of types, over tables of the energy.

        Args:
            topology: The beads.
            exclude_bonds: Beads of one molecule farther apart than this act on one another like those of different
                molecules; None leaves out all pairs of one molecule.
        """
        pairs = topology.exclusions(topology.n_beads if exclude_bonds is None else exclude_bonds).tolist()
        return [self._table_force(topology, number, pairs) for number in range(len(self.types))]

    def _table_force(self, topology: CGTopology, pair: int, excluded: list[Any]) -> openmm.CustomNonbondedForce:
        force = openmm.CustomNonbondedForce("energy(r)")
        grid = np.linspace(0, self.cutoff, N_TABLE)
        table = openmm.Continuous1DFunction(self.energy(grid, pair).tolist(), 0.0, self.cutoff)
        force.addTabulatedFunction("energy", table)
        for _ in range(topology.n_beads):
            force.addParticle([])
        for i, j in excluded:
            force.addExclusion(i, j)
        if len(self.types) > 1:
            names = [topology.type_names[t] for t in topology.bead_types]
            force.addInteractionGroup(*([k for k, n in enumerate(names) if n == kind] for kind in self.types[pair]))
        force.setNonbondedMethod(force.CutoffPeriodic)
        force.setCutoffDistance(self.cutoff)
        force.setName(f"pair spline {'-'.join(self.types[pair])}")
        return force

    def _core_force(self, pair: int) -> tuple[float, float]:
        """Force and stiffness at the edge of the core."""
        spline, core = self.splines[pair], self.core[pair]
        return max(float(spline(core)), 0.0), max(-float(spline(core, 1)), CORE_STIFFNESS)


def fit_pair_spline(topology: CGTopology, frames: Frames, cutoff: float) -> PairSpline:
    """The pair forces that reproduce the intermolecular forces of the frames best."""
    smallest, edge = (
        closest_approach(topology, frames, cutoff=cutoff, exclude_bonds=topology.n_beads, contacts_per_bead=level)
        for level in (0.0, CONTACTS_PER_BEAD)
    )
    types = tuple(edge)
    knots = [_knots(smallest[key], cutoff) for key in types]
    sizes = [
        len(t) - 5 for t in knots
    ]  # cubic: len(t) - 4 functions, the last one left out so that the force ends at 0
    starts = np.concatenate([[0], np.cumsum(sizes)])
    matrix, vector = np.zeros((starts[-1], starts[-1])), np.zeros(starts[-1])
    for target, (i, j, vectors, distances) in zip(
        intermolecular_forces_of(frames), inter_pairs(topology, frames, cutoff), strict=True
    ):
        pair = pair_of_types(topology, types, i, j)
        basis = np.zeros((3 * topology.n_beads, starts[-1]))
        for number, t in enumerate(knots):
            chosen = pair == number
            if not chosen.any():
                continue  # types that are rare, such as ends of chains, need not meet in every frame
            values = BSpline.design_matrix(np.clip(distances[chosen], t[0], cutoff), t, 3)[:, :-1]
            directions = vectors[chosen] / distances[chosen][:, None]
            acting = _incidence(i[chosen], j[chosen], directions, topology.n_beads)
            basis[:, starts[number] : starts[number + 1]] = (acting @ values).toarray()
        matrix += basis.T @ basis
        vector += basis.T @ np.asarray(target, np.float64).ravel()
    matrix += 1e-9 * np.trace(matrix) / len(matrix) * np.eye(len(matrix))  # splines that no pair ever touched
    solution = np.linalg.solve(matrix, vector)
    splines = tuple(
        BSpline(t, np.append(solution[starts[n] : starts[n + 1]], 0.0), 3, extrapolate=True)
        for n, t in enumerate(knots)
    )
    return PairSpline(types=types, splines=splines, core=tuple(edge[key] for key in types), cutoff=cutoff)


def inter_pairs(topology: CGTopology, frames: Frames, cutoff: float) -> Iterator[tuple[NDArray[Any], ...]]:
    """Beads i < j of different molecules, vectors from i to j and distances, frame by frame."""
    boxes = [None] * len(frames) if frames.box is None else frames.box
    for positions, box in zip(frames.positions, boxes, strict=True):
        points = np.asarray(positions, np.float64)
        i, j = find_pairs(points, box, cutoff)
        apart = topology.molecules[i] != topology.molecules[j]
        i, j = i[apart], j[apart]
        vectors = minimum_image(points[j] - points[i], box)
        yield i, j, vectors, np.linalg.norm(vectors, axis=1)


def pair_of_types(
    topology: CGTopology, types: tuple[tuple[str, ...], ...], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index into `types` of each pair of beads; -1 where there is none."""
    table = np.full((len(topology.type_names),) * 2, -1)
    for number, names in enumerate(types):
        a, b = (topology.type_names.index(name) for name in names)
        table[a, b] = table[b, a] = number
    return table[topology.bead_types[i], topology.bead_types[j]]


def intermolecular_forces_of(frames: Frames) -> NDArray[np.floating]:
    """The intermolecular forces where they were recorded; without bonds the total forces are the same.

    Raises:
        InputError: If the frames have no forces.
    """
    if frames.forces_inter is not None:
        return frames.forces_inter
    if frames.forces is None:
        raise InputError("the frames have no forces; give those of a force-matching dataset")
    return frames.forces


def _knots(start: float, cutoff: float) -> NDArray[np.float64]:
    inner = np.linspace(start, cutoff, max(round((cutoff - start) / SPACING), 2) + 1)
    return np.concatenate([[start] * 3, inner, [cutoff] * 3])


def _incidence(i: NDArray[Any], j: NDArray[Any], directions: NDArray[Any], n_beads: int) -> csr_matrix:
    """What a unit force along each pair does to each component of each bead, shape (3 n_beads, n_pairs)."""
    axes, pairs = np.arange(3), np.repeat(np.arange(len(i)), 3)
    rows = np.concatenate([(3 * j[:, None] + axes).ravel(), (3 * i[:, None] + axes).ravel()])
    values = np.concatenate([directions.ravel(), -directions.ravel()])
    return csr_matrix((values, (rows, np.tile(pairs, 2))), shape=(3 * n_beads, len(i)))


def score(predicted: NDArray[Any], measured: NDArray[Any], error: NDArray[Any] | None = None) -> dict[str, float]:
    """RMSE, rms of the labels and R2; with standard errors of the labels also R2 without their noise."""
    residual, labels = float(np.mean((predicted - measured) ** 2)), float(np.mean(np.square(measured)))
    result = {"rmse": residual**0.5, "label_rms": labels**0.5, "r2": 1 - residual / labels}
    if error is not None:
        noise = float(np.mean(np.square(error)))
        result["r2_without_noise"] = 1 - (residual - noise) / (labels - noise)
    return result


def create_system(
    spline: PairSpline, bonds: PriorSet, topology: CGTopology, box: NDArray[Any], *, exclude_bonds: int | None = None
) -> openmm.System:
    """The OpenMM System of the spline and the bonded priors. See `PairSpline.to_openmm`."""
    system = openmm.System()
    for mass in topology.masses:
        system.addParticle(float(mass))
    system.setDefaultPeriodicBoxVectors(*np.asarray(box, float))
    for force in [
        *spline.to_openmm(topology, exclude_bonds=exclude_bonds),
        *(p.to_openmm(periodic=True) for p in bonds.bind(topology)),
    ]:
        system.addForce(force)
    return system
