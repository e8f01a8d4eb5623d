"""Plan: what an atomistic run will do, settled and checked before anything is written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openmm

from openmm_cgml.errors import InputError
from openmm_cgml.reference.atomistic_box import AtomisticBox
from openmm_cgml.reference.atomistic_models import check_atoms
from openmm_cgml.reference.chain_box import ChainBox, find_polymer
from openmm_cgml.reference.chain_force_fields import (
    ChainForceField,
    find_chain_force_field,
    read_chain_force_field,
)
from openmm_cgml.reference.config import ReferenceConfig
from openmm_cgml.reference.liquid_box import LiquidBox
from openmm_cgml.reference.mixture import mixture_of, share_out
from openmm_cgml.reference.polymer_files import read_polymer
from openmm_cgml.reference.polymers import AtomisticPolymer
from openmm_cgml.specification import (
    ChainSpecification,
    ReferenceSpecification,
    StageSpecification,
    SystemSpecification,
)
from openmm_cgml.storage import read_object, refusing_damage, write_sealed_json

__all__ = ["Plan", "check_same_run", "make_plan"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Plan:
    """A run of one system.

    Attributes:
        specification: The system.
        settings: How it is simulated.
        config: Lengths and settings.
        box: The molecules.
    """

    specification: SystemSpecification
    settings: ReferenceSpecification
    config: ReferenceConfig
    box: AtomisticBox

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of all stages in order."""
        names = [self.stage_name(stage) for stage in self.settings.equilibration]
        return ("build", *names, "density", "relaxation", "recording")

    def stage_name(self, stage: StageSpecification) -> str:
        """Name of an equilibration stage in checkpoints."""
        return f"equilibration-{stage.name}"

    def steps(self, duration: float, time_step: float | None = None) -> int:
        """Steps in `duration` [ps]."""
        return round(duration / (time_step or self.settings.time_step))

    def describe(self) -> dict[str, Any]:
        """What must agree for a run to be resumed, and versions."""
        settings = self.settings.model_dump(mode="json", exclude={"molecule"})
        if self.settings.molecule is not None:
            settings["force_field"] = self.box.force_field  # with the digest of its file
        return {
            "schema": "openmm-cgml/reference-run-1",
            "system": self.specification.name,
            "temperature": self.specification.temperature,
            "pressure": self.specification.pressure,
            "reference": settings,
            "config": self.config.model_dump(mode="json"),
            "n_molecules": self.box.n_molecules,
            **({"counts": dict(self.box.counts)} if self.box.counts else {}),
            "openmm": openmm.__version__,
        }


def make_plan(specification: SystemSpecification, config: ReferenceConfig) -> Plan:
    """The plan of a run.

    Raises:
        InputError: The specification has no reference, describes other molecules than its force field, or the
            configuration does not fit.
    """
    settings = specification.reference
    if settings is None:
        raise InputError(f"system {specification.name!r} has no `reference` section; add one to its system.yaml")
    _check_interval(config.frame_interval, settings.time_step)
    box = _chains(specification, settings, config) if specification.chains else _liquid(specification, settings, config)
    return Plan(specification=specification, settings=settings, config=config, box=box)


def check_same_run(path: Path, description: dict[str, Any]) -> None:
    """Write the description of a run, or check it against that of the run to go on with.

    Only the length of the recording, threads and platform may differ.

    Args:
        path: `protocol.json` of the run.
        description: As `Plan.describe` gives it.

    Raises:
        InputError: Naming every setting that differs.
    """
    description = json.loads(json.dumps(description))
    if path.exists():
        earlier = read_object(path)
        with refusing_damage(path):
            earlier = {**earlier, **{section: dict(earlier[section]) for section in ("reference", "config")}}
        changed = [
            f"{key}: was {earlier.get(section, {}).get(key)!r}, now {value!r}"
            for section in ("reference", "config")
            for key, value in description[section].items()
            if key not in ("duration", "threads", "platform") and earlier.get(section, {}).get(key) != value
        ]
        changed += [
            f"{key}: was {earlier.get(key)!r}, now {description.get(key)!r}"
            for key in ("schema", "system", "temperature", "pressure", "n_molecules", "counts")
            if earlier.get(key) != description.get(key)
        ]
        if changed:
            raise InputError(f"the run in {path.parent} has other settings ({'; '.join(changed)}); use another output")
    write_sealed_json(path, description)


def _check_interval(frame_interval: float, time_step: float) -> None:
    ratio = frame_interval / time_step
    if abs(ratio - round(ratio)) > 1e-6 or round(ratio) < 1:
        raise InputError(
            f"frame_interval {frame_interval:g} ps is not a multiple of the time step {time_step:g} ps; choose one"
        )


def _liquid(
    specification: SystemSpecification, settings: ReferenceSpecification, config: ReferenceConfig
) -> AtomisticBox:
    if config.monomers is not None:
        raise InputError(f"monomers is {config.monomers}, but {specification.name!r} has no chains; leave it out")
    counts = {residue.name: residue.count for residue in specification.residues}
    if config.molecules is not None:
        counts = dict(zip(counts, share_out(config.molecules, tuple(counts.values())), strict=True))
    return LiquidBox(mixture_of(specification, counts))


def _chains(
    specification: SystemSpecification, settings: ReferenceSpecification, config: ReferenceConfig
) -> AtomisticBox:
    if len(specification.chains) != 1 or any(residue.count for residue in specification.residues):
        raise InputError(
            f"atomistic boxes hold one kind of chain and nothing else, {specification.name!r} has "
            f"{len(specification.chains)} kinds beside {sum(residue.count > 0 for residue in specification.residues)} "
            "kinds of small molecules"
        )
    chain = specification.chains[0]
    polymer, force_field = _polymer(chain, settings)
    for name, unit in ((chain.head, polymer.head), (chain.body, polymer.body), (chain.tail, polymer.tail)):
        residue = specification.residue(name)
        check_atoms(residue, polymer.name, unit.residue_name, unit.atom_names, unit.elements)
    _check_links(chain, polymer)
    return ChainBox(polymer, config.molecules or chain.count, config.monomers or chain.monomers, force_field)


def _polymer(chain: ChainSpecification, settings: ReferenceSpecification) -> tuple[AtomisticPolymer, ChainForceField]:
    """A polymer and its force field: from files beside the `system.yaml`, or shipped ones."""
    path = settings.molecule
    if not isinstance(path, Path):
        return find_polymer(chain.name), find_chain_force_field(settings.force_field)
    polymer = read_polymer(path, chain, tacticity=settings.tacticity, stereocenter=settings.stereocenter)
    return polymer, read_chain_force_field(path.parent / settings.force_field)


def _check_links(chain: ChainSpecification, polymer: AtomisticPolymer) -> None:
    if set(chain.links) != set(polymer.links):
        raise InputError(
            f"chain {chain.name!r} of system.yaml links {sorted(chain.links)}, the atomistic model "
            f"{sorted(polymer.links)}; write the latter"
        )
