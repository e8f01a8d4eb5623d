"""TypedAtoms: a topology with PCFF atom types, charges and internal coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import openmm
from numpy.typing import ArrayLike, NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.pcff.atom_types import assign_pcff_types, compute_bond_increment_charges
from openmm_cgml.reference.pcff.internal_coordinates import InternalCoordinates
from openmm_cgml.reference.pcff.lookup import ParameterLookup
from openmm_cgml.reference.pcff.parameter_file import PCFFParameters, read_pcff_parameters

__all__ = ["TypedAtoms"]


@dataclass(frozen=True, eq=False, kw_only=True)
class TypedAtoms:
    """What the forces are made from.

    Attributes:
        elements: Element symbol of each atom, "" for none.
        types: PCFF type of each atom.
        charges: Charge of each atom [e], shape (n_atoms,).
        coordinates: Bonds, angles and the like.
        lookup: Where parameters are looked up.
    """

    elements: tuple[str, ...]
    types: tuple[str, ...]
    charges: NDArray[np.float64]
    coordinates: InternalCoordinates
    lookup: ParameterLookup

    @classmethod
    def from_topology(
        cls,
        topology: app.Topology,
        types: Sequence[str] | None,
        parameters: PCFFParameters | None,
        charges: ArrayLike | None,
    ) -> TypedAtoms:
        """Types, parameters and charges as given or, if None, assigned, read from the installed file, and summed up."""
        parameters = read_pcff_parameters() if parameters is None else parameters
        types = tuple(assign_pcff_types(topology) if types is None else types)
        n_atoms = topology.getNumAtoms()
        if len(types) != n_atoms:
            raise InputError(f"{len(types)} atom types for {n_atoms} atoms; give one for each")
        unknown = sorted(set(types) - set(parameters.masses))
        if unknown:
            raise InputError(f"atom types {', '.join(map(repr, unknown))} are not among those of {parameters.source}")
        if charges is None:
            charges = compute_bond_increment_charges(topology, types, parameters)
        numbers = np.asarray(charges, dtype=np.float64)
        if numbers.shape != (n_atoms,) or not np.all(np.isfinite(numbers)):
            raise InputError(f"charges of shape {numbers.shape} for {n_atoms} atoms; give a finite one [e] for each")
        return cls(
            elements=tuple(atom.element.symbol if atom.element is not None else "" for atom in topology.atoms()),
            types=types,
            charges=numbers,
            coordinates=InternalCoordinates.from_topology(topology),
            lookup=ParameterLookup(parameters),
        )

    def rigid_bonds(self, constraints: Any) -> dict[tuple[int, int], float]:
        """Reference length [nm] of each bond that `constraints` (HBonds or None) makes rigid."""
        if constraints is None:
            return {}
        if constraints is not app.HBonds:
            raise InputError(f"constraints={constraints!r} is not implemented; use openmm.app.HBonds or None")
        return {
            (i, j): self.lookup.find("quartic_bond", (self.types[i], self.types[j]))[0]
            for i, j in self.coordinates.bonds
            if "H" in (self.elements[i], self.elements[j])
        }

    def create_empty_system(self, hydrogen_mass: float | None = None) -> openmm.System:
        """The particles, without forces; hydrogens take mass from their neighbor up to `hydrogen_mass` [Da]."""
        masses = [self.lookup.parameters.masses[name] for name in self.types]
        for i, around in enumerate(self.coordinates.neighbors):
            if hydrogen_mass is not None and self.elements[i] == "H" and len(around) == 1:
                masses[around[0]] -= hydrogen_mass - masses[i]
                masses[i] = hydrogen_mass
        if min(masses) <= 0:
            raise InputError(
                f"hydrogen_mass={hydrogen_mass} Da leaves an atom a mass of {min(masses):g} Da; 3 Da is usual"
            )
        system = openmm.System()
        for mass in masses:
            system.addParticle(mass)
        return system
