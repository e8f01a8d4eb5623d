"""Mixture: which small molecules a box holds, how many of each, and their force field."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from numpy.typing import NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.atomistic_models import AtomisticModel, find_atomistic_model, read_atomistic_model
from openmm_cgml.specification import ReferenceSpecification, SystemSpecification

__all__ = ["Mixture", "mixture_of", "share_out"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixture:
    """Small molecules of one kind or several, kind by kind.

    Attributes:
        models: The kinds of molecules with their force fields.
        counts: Number of molecules of each kind.
    """

    models: tuple[AtomisticModel, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, model: AtomisticModel, count: int) -> Mixture:
        """Molecules of one kind."""
        return cls(models=(model,), counts=(count,))

    @property
    def n_molecules(self) -> int:
        """Number of molecules."""
        return sum(self.counts)

    @property
    def kind_of_molecule(self) -> NDArray[np.int64]:
        """Number of the kind of each molecule, shape (n_molecules,)."""
        return np.repeat(np.arange(len(self.models)), self.counts)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Atoms of each molecule, shape (n_molecules,)."""
        return np.array([model.n_atoms for model in self.models], dtype=np.int64)[self.kind_of_molecule]

    @property
    def total_mass(self) -> float:
        """Real mass of all atoms [Da]."""
        return float(sum(count * model.masses.sum() for model, count in zip(self.models, self.counts, strict=True)))

    @property
    def name(self) -> str:
        """Names of the force fields, for records."""
        return " and ".join(dict.fromkeys(model.name for model in self.models))

    @property
    def source(self) -> str:
        """Where their parameters come from."""
        return "; ".join(dict.fromkeys(model.source for model in self.models))

    def create_system(self, topology: app.Topology, **settings: Any) -> openmm.System:
        """The System that the force fields give a topology of these molecules.

        Args:
            topology: The molecules.
            **settings: Arguments of `openmm.app.ForceField.createSystem`.

        Raises:
            InputError: The force field cannot be read, or does not describe a molecule.
        """
        texts = dict.fromkeys(model.force_field_xml for model in self.models)
        try:
            force_field = app.ForceField(*(io.StringIO(text) for text in texts))
            if len(self.models) > 1:  # isomers have one graph, which OpenMM alone goes by
                residues = (r for r in topology.residues() if r.name in force_field._templates)
                settings["residueTemplates"] = {residue: residue.name for residue in residues}
            return force_field.createSystem(topology, **settings)
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, openmm.OpenMMException) as error:
            raise InputError(f"force field {self.name!r} does not describe the molecules: {error}") from error

    def topology(self) -> app.Topology:
        """An OpenMM topology of the separate molecules, one residue each."""
        topology = app.Topology()
        chain = topology.addChain()
        for model, count in zip(self.models, self.counts, strict=True):
            model.add_molecules(topology, chain, count)
        return topology

    def molecules(self) -> list[list[int]]:
        """Numbers of the atoms of each molecule."""
        ends = np.cumsum(self.sizes)
        return [list(range(end - size, end)) for size, end in zip(self.sizes.tolist(), ends.tolist(), strict=True)]


def mixture_of(specification: SystemSpecification, counts: Mapping[str, int] | None = None) -> Mixture:
    """The molecules of a system of small molecules: from files beside its `system.yaml`, or shipped ones.

    Args:
        specification: The system.
        counts: Numbers of molecules by residue, in the order that the box has them; by default those of the
            specification.

    Raises:
        InputError: If the system has no reference, a file is missing or damaged or holds code, a model is unknown, or
            a residue has other atoms than its model.
    """
    settings = specification.reference
    if settings is None:
        raise InputError(f"system {specification.name!r} has no `reference` section; pass the atomistic System")
    if counts is None:
        counts = {residue.name: residue.count for residue in specification.residues}
    models = [_model_of(specification, settings, name) for name in counts]
    return Mixture(models=tuple(models), counts=tuple(counts.values()))


def share_out(total: int, counts: Sequence[int]) -> list[int]:
    """Whole numbers in the proportions of `counts` that add up to `total`, none of them zero.

    Raises:
        InputError: There are fewer molecules than kinds.
    """
    if total < len(counts):
        raise InputError(f"{total} molecules of {len(counts)} kinds; ask for at least one of each")
    shares = np.asarray(counts) * total / sum(counts)
    whole = np.maximum(np.floor(shares), 1).astype(int)
    while whole.sum() != total:  # the largest remainders get one more; what was rounded up to one is taken back
        missing = total > whole.sum()
        gap = np.where(missing | (whole > 1), shares - whole, np.inf)
        whole[np.argmax(gap) if missing else np.argmin(gap)] += 1 if missing else -1
    return [int(number) for number in whole]


def _model_of(specification: SystemSpecification, settings: ReferenceSpecification, name: str) -> AtomisticModel:
    residue = specification.residue(name)
    path = settings.molecule_of(name)
    if path is None:
        model = find_atomistic_model(settings.force_field)
    else:
        model = read_atomistic_model(path.parent / Path(settings.force_field), path)
    model.check_atoms(residue)
    return model
