"""ChainBox: polymer chains, grown at low density."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app, unit

from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.reference.atomistic_box import AtomisticBox, box_length, check_length
from openmm_cgml.reference.chain_force_fields import ChainForceField
from openmm_cgml.reference.isolated_molecules import IsolatedMolecules
from openmm_cgml.reference.pim1 import pim1
from openmm_cgml.reference.polyethylene import POLYETHYLENE
from openmm_cgml.reference.polymers import AtomisticPolymer
from openmm_cgml.specification import ReferenceSpecification

__all__ = ["POLYMERS", "ChainBox", "find_polymer"]

_RELAXATION = (1.0, 0.001, 10.0)  # ps, time step [ps] and friction [1/ps] of the dynamics after minimization

POLYMERS: dict[str, Callable[[], AtomisticPolymer]] = {"polyethylene": lambda: POLYETHYLENE, "pim-1": pim1}
"""Polymers by the name of their chain in a system.yaml."""


def find_polymer(name: str) -> AtomisticPolymer:
    """The polymer called `name`.

    Raises:
        InputError: There is none.
    """
    if name not in POLYMERS:
        raise InputError(
            f"unknown polymer {name!r}; known: {', '.join(sorted(POLYMERS))}. openmm-cgml init --repeat writes "
            "the folder of another one; or attach openmm_cgml.reference.ForceRecorder to your own simulation."
        )
    return POLYMERS[name]()


class ChainBox(AtomisticBox):
    """Chains of one length.

    Args:
        polymer: What the chains are made of.
        n_chains: Number of chains.
        monomers: Residues per chain.
        force_field: Their force field; see `find_chain_force_field` and `read_chain_force_field`.
    """

    def __init__(self, polymer: AtomisticPolymer, n_chains: int, monomers: int, force_field: ChainForceField) -> None:
        self._force_field = force_field
        self.polymer, self.monomers = polymer, monomers
        self.force_field, self.source = force_field.name, f"{force_field.source}; {polymer.source}"
        self.n_molecules = n_chains
        self.total_mass = sum(atom.element.mass._value for atom in self._topology.atoms())
        self.sizes = np.full(n_chains, self._topology.getNumAtoms() // n_chains)

    @cached_property
    def _topology(self) -> app.Topology:
        return self.polymer.topology(self.n_molecules, self.monomers)

    def topology(self) -> app.Topology:
        """See `AtomisticBox.topology`."""
        return self._topology

    def create_system(self, settings: ReferenceSpecification, length: float) -> openmm.System:
        """See `AtomisticBox.create_system`: bonded forces in group 0, all non-bonded ones in group 1."""
        check_length(length, settings.cutoff, f"{self.n_molecules} chains of {self.monomers} monomers")
        self._topology.setUnitCellDimensions(openmm.Vec3(length, length, length))
        return self._force_field.create_system(self.polymer, self._topology, settings)

    def isolated(
        self, settings: ReferenceSpecification, length: float, platform: openmm.Platform, properties: dict[str, str]
    ) -> IsolatedMolecules:
        """See `AtomisticBox.isolated`."""
        box = self.create_system(settings, length)
        systems = self._force_field.isolate(self.polymer, self.monomers, settings, box)
        return IsolatedMolecules(systems, self.n_molecules, platform, properties)

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
    ) -> tuple[NDArray[np.float64], float]:
        """Grown chains, minimized and warmed up with short steps. See `AtomisticBox.start`."""
        length = box_length(self.total_mass, density)
        grown = self.polymer.grow(self.n_molecules, self.monomers, length, np.random.default_rng(seed))
        duration, time_step, friction = _RELAXATION
        integrator = openmm.LangevinMiddleIntegrator(temperature, friction, time_step)
        integrator.setRandomNumberSeed(seed + 1)
        system = self.create_system(settings, length)
        simulation = app.Simulation(self._topology, system, integrator, platform, properties)
        simulation.context.setPositions(grown)
        simulation.minimizeEnergy(tolerance=50.0, maxIterations=1000)
        simulation.context.setVelocitiesToTemperature(temperature, seed + 2)
        simulation.step(round(duration / time_step))
        progress(density)
        state = simulation.context.getState(positions=True)
        positions = np.asarray(state.getPositions(asNumpy=True).value_in_unit(unit.nanometer))
        if not np.isfinite(positions).all():
            raise SimulationError(
                "the grown chains flew apart: positions are not finite; grow them at a lower reference.density in "
                "system.yaml"
            )
        return positions, length
