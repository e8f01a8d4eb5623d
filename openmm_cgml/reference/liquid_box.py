"""Builds a box of liquid from small rigid-ish molecules: a dilute random lattice that is compressed step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import openmm
from openmm import app, unit

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.reference.atomistic_box import AtomisticBox, box_length, check_length, scale_centers
from openmm_cgml.reference.atomistic_models import AtomisticModel
from openmm_cgml.reference.interaction_split import split_interactions
from openmm_cgml.specification import ReferenceSpecification

__all__ = ["LiquidBox", "build_liquid", "create_reference_system", "place_on_lattice"]

_LATTICE_DENSITY = 0.59  # g/cm^3, of the lattice that a box starts from


class LiquidBox(AtomisticBox):
    """Small molecules of one kind.

    Args:
        model: The molecule with its force field.
        n_molecules: Number of molecules.
    """

    def __init__(self, model: AtomisticModel, n_molecules: int) -> None:
        self._model = model
        self.force_field, self.source = model.name, model.source
        self.n_molecules = n_molecules
        self.total_mass = float(model.masses.sum()) * n_molecules

    def topology(self) -> app.Topology:
        """See `AtomisticBox.topology`."""
        return self._model.topology(self.n_molecules)

    def create_system(self, settings: ReferenceSpecification, length: float) -> openmm.System:
        """See `AtomisticBox.create_system` and `split_interactions`."""
        return create_reference_system(self._model, self.n_molecules, settings, length)[1]

    def start(
        self,
        settings: ReferenceSpecification,
        *,
        density: float,
        temperature: float,
        seed: int,
        platform: openmm.Platform,
        properties: dict[str, str],
        progress: Callable[[float], None],
    ) -> tuple[np.ndarray, float]:
        """See `AtomisticBox.start` and `build_liquid`."""
        initial = min(_LATTICE_DENSITY, density)
        return build_liquid(
            self._model,
            self.create_system(settings, box_length(self.total_mass, initial)),
            self.n_molecules,
            density=density,
            temperature=temperature,
            initial_density=initial,
            platform=platform,
            properties=properties,
            seed=seed,
            progress=progress,
        )


def create_reference_system(
    model: AtomisticModel, n_molecules: int, settings: ReferenceSpecification, length: float
) -> tuple[app.Topology, openmm.System]:
    """Topology and interaction-split System of `n_molecules` in a cubic box of edge `length` [nm].

    Bonds to hydrogen are constrained and hydrogens carry `settings.hydrogen_mass`. Electrostatics by PME,
    Lennard-Jones switched and with the dispersion correction.

    Raises:
        InputError: The box is smaller than twice the cutoff.
    """
    check_length(length, settings.cutoff, f"{n_molecules} molecules")
    topology = model.topology(n_molecules)
    topology.setUnitCellDimensions(openmm.Vec3(length, length, length))
    system = model.force_field().createSystem(
        topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=settings.cutoff,
        switchDistance=settings.switch_distance,
        constraints=app.HBonds,
        hydrogenMass=settings.hydrogen_mass,
    )
    split_interactions(system, np.arange(n_molecules * model.n_atoms).reshape(n_molecules, -1).tolist())
    return topology, system


def place_on_lattice(model: AtomisticModel, n_molecules: int, length: float, seed: int) -> np.ndarray:
    """Positions [nm], shape (n_molecules * n_atoms, 3): random orientations on a cubic lattice of edge `length`."""
    generator = np.random.default_rng(seed)
    per_edge = int(np.ceil(n_molecules ** (1.0 / 3.0) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(per_edge)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = sites[np.sort(generator.permutation(len(sites))[:n_molecules])]
    centers = (chosen + 0.5) * (length / per_edge)
    rotations = np.stack([_random_rotation(generator) for _ in range(n_molecules)])
    return (centers[:, None, :] + np.einsum("nij,aj->nai", rotations, model.positions)).reshape(-1, 3)


def build_liquid(
    model: AtomisticModel,
    system: openmm.System,
    n_molecules: int,
    *,
    density: float,
    temperature: float,
    platform: openmm.Platform,
    properties: dict[str, str] | None = None,
    seed: int = 0,
    initial_density: float = 0.59,
    progress: Callable[[float], None] | None = None,
) -> tuple[np.ndarray, float]:
    """Positions [nm], shape (n_atoms, 3), and edge [nm] of a cubic box of liquid at `density`.

    Starts at `initial_density` [g/cm^3], then alternates a shrink of the molecules' centers by 2 %, a minimization and
    a little dynamics. The molecules come out whole and the box is not equilibrated.

    Args:
        model: The molecule.
        system: System of `n_molecules` copies, in the order of `model.topology(n_molecules)`.
        n_molecules: Number of molecules.
        density: Final density [g/cm^3].
        temperature: Temperature of the dynamics [K].
        platform: OpenMM platform.
        properties: Platform properties, e.g. {"Threads": "1"}.
        seed: Seed of orientations and velocities.
        initial_density: Density of the lattice [g/cm^3].
        progress: Called with the density reached so far.

    Raises:
        InputError: `initial_density` exceeds `density`.
        SimulationError: The dynamics gave positions that are not finite.
    """
    if not 0.0 < initial_density <= density:
        raise InputError(f"initial density {initial_density} g/cm^3 must be positive and at most {density} g/cm^3")
    total_mass = float(model.masses.sum()) * n_molecules
    length, final_length = box_length(total_mass, initial_density), box_length(total_mass, density)
    positions = place_on_lattice(model, n_molecules, length, seed)
    integrator = openmm.LangevinMiddleIntegrator(temperature, 5.0, 0.002)
    integrator.setRandomNumberSeed(seed + 1)
    simulation = app.Simulation(model.topology(n_molecules), system, integrator, platform, properties or {})
    _relax(simulation, positions, length, temperature, n_steps=200, seed=seed)
    while length > final_length:
        scale = max(0.98, final_length / length)
        length *= scale
        positions = scale_centers(_whole_positions(simulation), model.n_atoms, scale)
        _relax(simulation, positions, length, temperature, n_steps=100, seed=seed)
        if progress is not None:
            progress(density * (final_length / length) ** 3)
    return _whole_positions(simulation), length


def _relax(
    simulation: app.Simulation, positions: np.ndarray, length: float, temperature: float, *, n_steps: int, seed: int
) -> None:
    simulation.context.setPeriodicBoxVectors(*(length * np.eye(3)))
    simulation.context.setPositions(positions)
    simulation.minimizeEnergy(tolerance=100.0, maxIterations=50)
    simulation.context.setVelocitiesToTemperature(temperature, seed + 2)
    simulation.step(n_steps)


def _whole_positions(simulation: app.Simulation) -> np.ndarray:
    state = simulation.context.getState(positions=True)
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    if not np.isfinite(positions).all():
        raise SimulationError("the box could not be compressed: positions are not finite; lower the initial density")
    return np.asarray(positions)


def _random_rotation(generator: np.random.Generator) -> np.ndarray:
    # A uniformly random unit quaternion gives a uniformly random rotation (Shoemake 1992).
    w, x, y, z = (lambda q: q / np.linalg.norm(q))(generator.normal(size=4))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
