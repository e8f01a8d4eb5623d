"""Builds a box of liquid from small molecules: a dilute random lattice that is compressed step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import openmm
from openmm import app, unit

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.reference.atomistic_box import AtomisticBox, box_length, check_length, scale_centers
from openmm_cgml.reference.interaction_split import split_interactions
from openmm_cgml.reference.mixture import Mixture
from openmm_cgml.specification import ReferenceSpecification
from openmm_cgml.units import DALTON_PER_NM3_IN_G_PER_CM3

__all__ = ["LiquidBox", "build_liquid", "create_reference_system", "lattice_density", "place_on_lattice"]

_LATTICE_DENSITY = 0.59  # g/cm^3, largest of the lattice that a box starts from
_GAP = 0.2  # nm, about a bond to hydrogen apart, between the spheres that the molecules turn in


class LiquidBox(AtomisticBox):
    """Small molecules of one kind or several.

    Args:
        mixture: The molecules with their force field.
    """

    def __init__(self, mixture: Mixture) -> None:
        self._mixture = mixture
        self.force_field, self.source = mixture.name, mixture.source
        self.n_molecules, self.total_mass, self.sizes = mixture.n_molecules, mixture.total_mass, mixture.sizes
        if len(mixture.models) > 1:
            names = [model.residue_name for model in mixture.models]
            self.counts = dict(zip(names, mixture.counts, strict=True))

    def topology(self) -> app.Topology:
        """See `AtomisticBox.topology`."""
        return self._mixture.topology()

    def create_system(self, settings: ReferenceSpecification, length: float) -> openmm.System:
        """See `AtomisticBox.create_system` and `split_interactions`."""
        return create_reference_system(self._mixture, settings, length)[1]

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
        check_length(box_length(self.total_mass, density), settings.cutoff, f"{self.n_molecules} molecules")
        initial = min(lattice_density(self._mixture), density)
        return build_liquid(
            self._mixture,
            self.create_system(settings, box_length(self.total_mass, initial)),
            density=density,
            temperature=temperature,
            initial_density=initial,
            platform=platform,
            properties=properties,
            seed=seed,
            progress=progress,
        )


def create_reference_system(
    mixture: Mixture, settings: ReferenceSpecification, length: float
) -> tuple[app.Topology, openmm.System]:
    """Topology and interaction-split System of the molecules in a cubic box of edge `length` [nm].

    Bonds to hydrogen are constrained, water is rigid, and other hydrogens carry `settings.hydrogen_mass`.
    Electrostatics by PME, Lennard-Jones switched and with the dispersion correction.

    Raises:
        InputError: The box is smaller than twice the cutoff, or the force field does not describe a molecule.
    """
    check_length(length, settings.cutoff, f"{mixture.n_molecules} molecules")
    topology = mixture.topology()
    topology.setUnitCellDimensions(openmm.Vec3(length, length, length))
    system = mixture.create_system(
        topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=settings.cutoff,
        switchDistance=settings.switch_distance,
        constraints=app.HBonds,
        hydrogenMass=settings.hydrogen_mass,
    )
    split_interactions(system, mixture.molecules())
    return topology, system


def lattice_density(mixture: Mixture) -> float:
    """Density [g/cm^3] of the lattice that a box starts from: molecules of any orientation find room on it."""
    spacing = 2.0 * max(model.radius for model in mixture.models) + _GAP
    sparse = mixture.total_mass / mixture.n_molecules / spacing**3 * DALTON_PER_NM3_IN_G_PER_CM3
    return min(_LATTICE_DENSITY, sparse)


def place_on_lattice(mixture: Mixture, length: float, seed: int) -> np.ndarray:
    """Positions [nm], shape (n_atoms, 3): molecules in random orientations on a cubic lattice of edge `length`.

    Kinds of molecules are mixed at random.
    """
    generator = np.random.default_rng(seed)
    n_molecules = mixture.n_molecules
    per_edge = int(np.ceil(n_molecules ** (1.0 / 3.0) - 1e-9))
    sites = np.stack(np.meshgrid(*[np.arange(per_edge)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    chosen = generator.permutation(len(sites))[:n_molecules]
    if len(mixture.models) == 1:
        chosen = np.sort(chosen)
    centers = (sites[chosen] + 0.5) * (length / per_edge)
    rotations = [_random_rotation(generator) for _ in range(n_molecules)]
    kinds = mixture.kind_of_molecule.tolist()
    placed = [
        center + mixture.models[kind].positions @ rotation.T
        for center, rotation, kind in zip(centers, rotations, kinds, strict=True)
    ]
    return np.concatenate(placed)


def build_liquid(
    mixture: Mixture,
    system: openmm.System,
    *,
    density: float,
    temperature: float,
    platform: openmm.Platform,
    properties: dict[str, str] | None = None,
    seed: int = 0,
    initial_density: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> tuple[np.ndarray, float]:
    """Positions [nm], shape (n_atoms, 3), and edge [nm] of a cubic box of liquid at `density`.

    Starts at `initial_density`, then alternates a shrink of the molecules' centers by 2 %, a minimization and a little
    dynamics. The molecules come out whole and the box is not equilibrated.

    Args:
        mixture: The molecules.
        system: System of them, in the order of `mixture.topology()`.
        density: Final density [g/cm^3].
        temperature: Temperature of the dynamics [K].
        platform: OpenMM platform.
        properties: Platform properties, e.g. {"Threads": "1"}.
        seed: Seed of orientations and velocities.
        initial_density: Density of the lattice [g/cm^3]; by default that of `lattice_density`, or `density` if that is
            lower.
        progress: Called with the density reached so far.

    Raises:
        InputError: `initial_density` exceeds `density`.
        SimulationError: The dynamics gave positions that are not finite.
    """
    if initial_density is None:
        initial_density = min(lattice_density(mixture), density)
    if not 0.0 < initial_density <= density:
        raise InputError(f"initial density {initial_density} g/cm^3 must be positive and at most {density} g/cm^3")
    length, final_length = (box_length(mixture.total_mass, each) for each in (initial_density, density))
    positions = place_on_lattice(mixture, length, seed)
    integrator = openmm.LangevinMiddleIntegrator(temperature, 5.0, 0.002)
    integrator.setRandomNumberSeed(seed + 1)
    simulation = app.Simulation(mixture.topology(), system, integrator, platform, properties or {})
    _relax(simulation, positions, length, temperature, n_steps=200, seed=seed)
    while length > final_length:
        scale = max(0.98, final_length / length)
        length *= scale
        positions = scale_centers(_whole_positions(simulation), mixture.sizes, scale)
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
