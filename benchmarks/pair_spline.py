"""Force-matched pair potential: the baseline that a network has to beat.

A cubic B-spline pair force between beads of different molecules is fitted to the intermolecular forces of a dataset by
linear least squares (multiscale coarse-graining: Izvekov and Voth, J. Phys. Chem. B 109, 2469 (2005)), and tabulated as
a native OpenMM force. Bonds, where there are any, come from the harmonic prior.

    python benchmarks/pair_spline.py DATASET [--mean-force DATASET ...] [--cutoffs 0.8 1.0 1.2] [--simulate 100]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import unit
from scipy.interpolate import BSpline
from scipy.sparse import csr_matrix

from openmm_cgml.analysis import RadialDistribution, compare_rdf, compute_centers_of_mass, compute_rdf
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs
from openmm_cgml.potentials import HarmonicBondConfig, closest_approach
from openmm_cgml.priors import PriorSet, fit_bonded_priors
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

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

    types: tuple[tuple[str, str], ...]
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
    for target, (i, j, vectors, distances) in zip(_labels(frames), inter_pairs(topology, frames, cutoff), strict=True):
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
    for positions, box in zip(frames.positions, frames.box, strict=True):
        points, cell = np.asarray(positions, np.float64), np.asarray(box, np.float64)
        i, j = find_pairs(points, cell, cutoff)
        apart = topology.molecules[i] != topology.molecules[j]
        i, j = i[apart], j[apart]
        vectors = points[j] - points[i]
        for axis in (2, 1, 0):
            vectors -= np.round(vectors[:, axis, None] / cell[axis, axis]) * cell[axis]
        yield i, j, vectors, np.linalg.norm(vectors, axis=1)


def pair_of_types(
    topology: CGTopology, types: tuple[tuple[str, str], ...], i: NDArray[np.int64], j: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index into `types` of each pair of beads; -1 where there is none."""
    table = np.full((len(topology.type_names),) * 2, -1)
    for number, names in enumerate(types):
        a, b = (topology.type_names.index(name) for name in names)
        table[a, b] = table[b, a] = number
    return table[topology.bead_types[i], topology.bead_types[j]]


def _labels(frames: Frames) -> NDArray[np.floating]:
    """The intermolecular forces where they were recorded; without bonds the total forces are the same."""
    return frames.forces if frames.forces_inter is None else frames.forces_inter


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


def simulate(
    system: openmm.System, positions: NDArray[Any], *, temperature: float, picoseconds: float, time_step: float
) -> tuple[NDArray[np.float64], float]:
    """Positions every 0.25 ps after a tenth of the time for equilibration, and the mean temperature [K]."""
    integrator = openmm.LangevinMiddleIntegrator(temperature, 1.0, time_step)
    integrator.setRandomNumberSeed(1)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(np.asarray(positions, float))
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=100)
    context.setVelocitiesToTemperature(temperature, 1)
    stride = round(0.25 / time_step)
    integrator.step(round(picoseconds / 10 / time_step))
    frames, kinetic = [], []
    for _ in range(round(picoseconds / 0.25)):
        integrator.step(stride)
        state = context.getState(positions=True, energy=True)
        frames.append(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        kinetic.append(state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole))
    return np.array(frames), 2 * float(np.mean(kinetic)) / (3 * system.getNumParticles() * BOLTZMANN)


def center_of_mass_rdf(topology: CGTopology, positions: NDArray[Any], box: NDArray[Any]) -> RadialDistribution:
    """g(r) of the molecules' centers of mass up to 1.2 nm."""
    centers = compute_centers_of_mass(np.asarray(positions, float), topology.masses, topology.molecules)
    return compute_rdf(centers, np.asarray(box, float), r_max=1.2)


def run(
    dataset: ForceMatchingDataset,
    mean_forces: list[ForceMatchingDataset],
    cutoff: float,
    *,
    picoseconds: float = 0.0,
    time_step: float = 0.005,
) -> dict[str, Any]:
    """Fit on the training part, score on the test part and on mean forces, and compare g(r) after a simulation."""
    topology, parts = dataset.topology, dataset.split()
    train, test = dataset.frames(parts["train"]), dataset.frames(parts["test"])
    spline = fit_pair_spline(topology, train, cutoff)
    result: dict[str, Any] = {"cutoff_nm": cutoff, "training_frames": len(train), "core_nm": spline.core}
    result["test"] = score(spline.forces(topology, test), _labels(test))
    for number, held in enumerate(mean_forces):
        frames = held.frames()
        predicted = spline.forces(held.topology, frames)
        result[f"mean_force_{number}"] = score(predicted, _labels(frames), frames.force_error)
    if picoseconds:
        bonds = PriorSet(terms=fit_bonded_priors(HarmonicBondConfig(), topology, train, dataset.temperature))
        start = test.positions[0]
        system = create_system(spline, bonds, topology, test.box[0])
        positions, temperature = simulate(
            system, start, temperature=dataset.temperature, picoseconds=picoseconds, time_step=time_step
        )
        reference = dataset.frames()
        found = center_of_mass_rdf(topology, positions, np.tile(test.box[0], (len(positions), 1, 1)))
        wanted = center_of_mass_rdf(topology, reference.positions, reference.box)
        result["simulation"] = {
            "picoseconds": picoseconds,
            "temperature_K": temperature,
            "gr_com_rmse": compare_rdf(found, wanted),
        }
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", help="folder of a force-matching dataset")
    parser.add_argument("--mean-force", nargs="*", default=[], help="mean-force datasets to score on")
    parser.add_argument("--cutoffs", nargs="*", type=float, default=[0.8, 1.0, 1.2], help="cutoffs in nm")
    parser.add_argument("--simulate", type=float, default=0.0, help="picoseconds of dynamics for g(r); 0 for none")
    parser.add_argument("--time-step", type=float, default=0.005, help="time step in ps")
    given = parser.parse_args()
    dataset = ForceMatchingDataset.open(given.dataset)
    held = [ForceMatchingDataset.open(path) for path in given.mean_force]
    for cutoff in given.cutoffs:
        result = run(dataset, held, cutoff, picoseconds=given.simulate, time_step=given.time_step)
        print(json.dumps(result, indent=2), flush=True)


if __name__ == "__main__":
    main()
