"""SystemSpecification: what `system.yaml` says about a system, its beads and its atomistic reference."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import pydantic

from openmm_cgml.config import Config, Density, Friction, Length, Mass, Pressure, Temperature, Time, read_config
from openmm_cgml.errors import InputError
from openmm_cgml.shipped import find_system
from openmm_cgml.topology import ResidueTemplate

__all__ = [
    "AtomSpecification",
    "BeadSpecification",
    "LiteratureValue",
    "ReferenceSpecification",
    "ResidueSpecification",
    "SystemSpecification",
    "read_specification",
]


class AtomSpecification(Config):
    """One atom of a residue: its name in the topology and its element symbol."""

    name: str
    element: str


class BeadSpecification(Config):
    """One bead of a residue: its name, its type, and the names of the atoms whose centre of mass it is."""

    name: str
    type: str
    atoms: tuple[str, ...] = pydantic.Field(min_length=1)


class ResidueSpecification(Config):
    """One kind of residue: its atoms, its beads, the bonds between beads, and how many there are by default."""

    name: str
    count: int = pydantic.Field(ge=1)
    atoms: tuple[AtomSpecification, ...] = pydantic.Field(min_length=1)
    beads: tuple[BeadSpecification, ...] = pydantic.Field(min_length=1)
    bonds: tuple[tuple[str, str], ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        atoms = [atom.name for atom in self.atoms]
        beads = [bead.name for bead in self.beads]
        mapped = [name for bead in self.beads for name in bead.atoms]
        _refuse_repeats(atoms, f"residue {self.name}: atom")
        _refuse_repeats(beads, f"residue {self.name}: bead")
        _refuse_repeats(mapped, f"residue {self.name}: mapped atom")
        _refuse_unknown(mapped, atoms, f"residue {self.name}: atom of a bead")
        _refuse_unknown([name for bond in self.bonds for name in bond], beads, f"residue {self.name}: bonded bead")
        if left_out := [name for name in atoms if name not in mapped]:
            raise ValueError(f"residue {self.name}: atoms {', '.join(left_out)} are in no bead; give each a bead")
        _refuse_repeats(["-".join(sorted(bond)) for bond in self.bonds], f"residue {self.name}: bond")
        for first, second in self.bonds:
            if first == second:
                raise ValueError(f"residue {self.name}: bead {first} is bonded to itself")
        return self

    def template(self) -> ResidueTemplate:
        """The residue's beads; masses [Da] are sums of atomic masses.

        Raises:
            InputError: An element symbol is unknown.
        """
        index = {bead.name: i for i, bead in enumerate(self.beads)}
        mass = {atom.name: element_mass(atom.element) for atom in self.atoms}
        return ResidueTemplate(
            name=self.name,
            bead_names=tuple(bead.name for bead in self.beads),
            bead_type_names=tuple(bead.type for bead in self.beads),
            masses=tuple(sum(mass[name] for name in bead.atoms) for bead in self.beads),
            bonds=tuple(sorted((min(index[a], index[b]), max(index[a], index[b])) for a, b in self.bonds)),
        )


class ReferenceSpecification(Config):
    """How the atomistic reference is simulated: force field, cutoffs, constraints and integrator.

    Attributes:
        force_field: Name of a shipped atomistic model, e.g. "amber-cornell-benzene".
        density: Density that the starting box is compressed to [g/cm^3].
        time_step: Integration step [ps].
        friction: Langevin friction [1/ps].
        cutoff: Cutoff of Lennard-Jones and of direct-space PME [nm].
        switch_distance: Where Lennard-Jones starts to be switched off [nm].
        hydrogen_mass: Mass of hydrogens in the dynamics [Da]; mapping always uses the real masses.
    """

    force_field: str
    density: Density
    time_step: Time = 0.004
    friction: Friction = 1.0
    cutoff: Length = 1.0
    switch_distance: Length = 0.9
    hydrogen_mass: Mass = 3.0


class LiteratureValue(Config):
    """A figure to compare with.

    Attributes:
        unit: Unit of the values.
        simulated: What this atomistic force field gives.
        experiment: Measured value.
        source: Where the experimental value comes from.
    """

    unit: str = ""
    simulated: float | None = None
    experiment: float | None = None
    source: str = ""


class SystemSpecification(Config):
    """The content of a `system.yaml`.

    Attributes:
        name: Name of the system, the same as its folder.
        description: One line.
        temperature: Temperature [K].
        pressure: Pressure [bar].
        residues: Kinds of residues, each residue its own molecule.
        reference: The atomistic reference.
        literature: Figures to compare with, by observable.
    """

    name: str
    description: str = ""
    temperature: Temperature
    pressure: Pressure = 1.01325
    residues: tuple[ResidueSpecification, ...] = pydantic.Field(min_length=1)
    reference: ReferenceSpecification | None = None
    literature: dict[str, LiteratureValue] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_repeats([residue.name for residue in self.residues], "residue")
        folded: dict[str, str] = {}
        for name in self.type_names:
            if folded.setdefault(name.casefold(), name) != name:
                raise ValueError(f"bead types {folded[name.casefold()]!r} and {name!r} differ only by case; rename one")
        return self

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types in order of first appearance; a type's index is its place here."""
        return tuple(dict.fromkeys(bead.type for residue in self.residues for bead in residue.beads))

    def templates(self) -> list[ResidueTemplate]:
        """One bead template per kind of residue."""
        return [residue.template() for residue in self.residues]

    def residue(self, name: str) -> ResidueSpecification:
        """The residue called `name`.

        Raises:
            InputError: The system has no such residue.
        """
        for residue in self.residues:
            if residue.name == name:
                return residue
        known = ", ".join(residue.name for residue in self.residues)
        raise InputError(f"system {self.name!r} has no residue {name!r}; it has: {known}")


def read_specification(name_or_path: str | Path) -> SystemSpecification:
    """The specification of a shipped system, of a folder with a `system.yaml`, or of such a file itself.

    Raises:
        InputError: There is no such system, or its `system.yaml` is wrong.
    """
    path = Path(name_or_path)
    return read_config(path if path.is_file() else find_system(name_or_path) / "system.yaml", SystemSpecification)


def element_mass(symbol: str) -> float:
    """Atomic mass of an element [Da].

    Raises:
        InputError: The symbol is unknown.
    """
    from openmm import app, unit

    try:
        return float(app.Element.getBySymbol(symbol).mass.value_in_unit(unit.dalton))
    except KeyError as error:
        raise InputError(f"unknown element {symbol!r}; write a symbol like C, H or O") from error


def _refuse_repeats(names: list[str], what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what} {', '.join(repeated)} appears more than once")


def _refuse_unknown(names: list[str], known: list[str], what: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"{what} {', '.join(unknown)} is not defined; known: {', '.join(known)}")
