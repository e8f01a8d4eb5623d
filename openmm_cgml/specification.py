"""SystemSpecification: what `system.yaml` says about a system, its beads and its atomistic reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

import pydantic

from openmm_cgml.config import Config, Density, Friction, Length, Mass, Pressure, Temperature, Time, read_config
from openmm_cgml.errors import InputError
from openmm_cgml.residues.names import bead_name_in_files, check_name, check_names, residue_name_in_files
from openmm_cgml.shipped import find_system
from openmm_cgml.topology import CGTopology, ChainTemplate, MoleculeTemplate, ResidueTemplate
from openmm_cgml.topology.openmm_topology import check_survives_files

__all__ = [
    "AtomSpecification",
    "BeadSpecification",
    "ChainSpecification",
    "LiteratureValue",
    "ProtocolSpecification",
    "ReferenceSpecification",
    "ResidueSpecification",
    "StageSpecification",
    "SystemSpecification",
    "Tacticity",
    "read_specification",
    "with_protocol",
]


Tacticity = Literal["isotactic", "syndiotactic", "atactic"]
"""How the hands of neighboring stereocenters of a chain follow each other."""


class AtomSpecification(Config):
    """One atom of a residue.

    Attributes:
        name: Its name in the atomistic topology.
        element: Its element symbol.
    """

    name: str
    element: str


class BeadSpecification(Config):
    """One bead of a residue, at the center of mass of some of its atoms.

    Attributes:
        name: Its name, once per residue.
        type: Name of its type; beads of one type are alike to the force field.
        atoms: Names of its atoms; each atom of the residue is in one bead.
    """

    name: str
    type: str
    atoms: tuple[str, ...] = pydantic.Field(min_length=1)


class ResidueSpecification(Config):
    """One kind of residue: its atoms, its beads and the bonds between its beads.

    A name that OpenMM reads as another one from files (SOL, WAT and TIP3 as HOH; HID as HIS) is that other one from
    here on, for the residue and for its beads, so that what is written comes back the same.

    Attributes:
        name: Its name in the atomistic topology.
        count: How many molecules of this one residue there are by default; residues of chains have none.
        atoms: All of its atoms, in the order of the atomistic topology where that is made here.
        beads: Its beads.
        bonds: Pairs of names of bonded beads.
    """

    name: str
    count: int = pydantic.Field(default=0, ge=0)
    atoms: tuple[AtomSpecification, ...] = pydantic.Field(min_length=1)
    beads: tuple[BeadSpecification, ...] = pydantic.Field(min_length=1)
    bonds: tuple[tuple[str, str], ...] = ()

    @pydantic.field_validator("name")
    @classmethod
    def _translate_name(cls, name: str) -> str:
        check_name(name, "a residue")
        return residue_name_in_files(name)

    @pydantic.field_validator("beads")
    @classmethod
    def _translate_beads(
        cls, beads: tuple[BeadSpecification, ...], info: pydantic.ValidationInfo
    ) -> tuple[BeadSpecification, ...]:
        residue = info.data.get("name", "")  # absent if it was refused
        names = tuple(dict.fromkeys(bead.name for bead in beads))
        check_names(residue or "X", names)
        return tuple(bead.model_copy(update={"name": bead_name_in_files(residue, bead.name)}) for bead in beads)

    @pydantic.field_validator("bonds")
    @classmethod
    def _translate_bonds(
        cls, bonds: tuple[tuple[str, str], ...], info: pydantic.ValidationInfo
    ) -> tuple[tuple[str, str], ...]:
        residue = info.data.get("name", "")
        return tuple((bead_name_in_files(residue, a), bead_name_in_files(residue, b)) for a, b in bonds)

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


class ChainSpecification(Config):
    """A linear polymer: residues head, body ..., body, tail, each bonded to the next one.

    Attributes:
        name: Name of the polymer, e.g. "polyethylene".
        head: Residue at the start.
        body: Residue in between, any number of times.
        tail: Residue at the end.
        links: Pairs of atom names: an atom of a residue and the atom of the next residue that it is bonded to.
        monomers: Residues per chain by default, ends included.
        count: Number of chains by default.
    """

    name: str
    head: str
    body: str
    tail: str
    links: tuple[tuple[str, str], ...] = pydantic.Field(min_length=1)
    monomers: int = pydantic.Field(ge=2)
    count: int = pydantic.Field(ge=1)

    @pydantic.field_validator("head", "body", "tail")
    @classmethod
    def _translate(cls, name: str) -> str:
        return residue_name_in_files(name)

    def template(self, residues: Mapping[str, ResidueSpecification]) -> ChainTemplate:
        """The chain's beads: linked where atoms of two beads are."""
        links = {
            (_bead_of(residues[name], own), _bead_of(residues[following], other))
            for own, other in self.links
            for name, following in ((self.head, self.body), (self.body, self.body), (self.body, self.tail))
        }
        return ChainTemplate(
            name=self.name,
            head=self.head,
            body=self.body,
            tail=self.tail,
            links=tuple(sorted(links)),
            monomers=self.monomers,
            count=self.count,
        )


class StageSpecification(Config):
    """One stage of the equilibration of an atomistic box.

    Attributes:
        name: Name, once per protocol.
        duration: Length [ps], before stretching.
        temperature: Temperature, of the start if there is a final one [K].
        final_temperature: Temperature that the stage ends at, changed linearly in time [K]; None keeps it.
        pressure: Pressure [bar]; None for constant volume.
        final_density: Density that the box is brought to in the course of the stage, evenly on a logarithmic scale, by
            moving whole molecules [g/cm^3]; None leaves the box to the pressure.
        time_step: Integration step [ps]; None takes that of the reference.
    """

    name: str
    duration: Time = pydantic.Field(gt=0.0)
    temperature: Temperature
    final_temperature: Temperature | None = None
    pressure: Pressure | None = None
    final_density: Density | None = None
    time_step: Time | None = None

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.pressure is not None and self.final_density is not None:
            raise ValueError(
                f"stage {self.name} has a pressure and a final_density; a pressure finds its own density, keep one"
            )
        return self


class ReferenceSpecification(Config):
    """How the atomistic reference is simulated: force field, cutoffs, constraints, integrator and equilibration.

    Attributes:
        force_field: An OpenMM force field, an XML file beside the `system.yaml`; or a shipped atomistic model of small
            molecules ("amber-cornell-benzene"), or the force field of shipped chains ("gaff-2.11", "pcff").
        molecule: With an XML file: a PDB file beside the `system.yaml` with one molecule and its bonds (CONECT), or, of
            a mixture, one for each residue (`{MTH: MTH.pdb, HOH: HOH.pdb}`). Of chains one file with a short chain of
            three residues or more, and with a model for each of its conformations, which chains are grown from. Full
            paths once the `system.yaml` was read; no part of what a run records.
        tacticity: Of chains of files: how the hands of neighboring stereocenters follow each other, "isotactic",
            "syndiotactic" or "atactic"; None leaves them as the short chain has them.
        stereocenter: The atom of a residue that the tacticity speaks of.
        density: Density [g/cm^3] that a starting box of small molecules is compressed to, or that chains are grown at.
        time_step: Integration step [ps].
        friction: Langevin friction [1/ps].
        cutoff: Cutoff of Lennard-Jones and of direct-space PME [nm].
        switch_distance: Where Lennard-Jones starts to be switched off [nm].
        hydrogen_mass: Mass of hydrogens in the dynamics [Da]; mapping always uses the real masses.
        equilibration: Stages from the starting box to the run that finds the density.
    """

    force_field: str
    molecule: Path | dict[str, Path] | None = None
    tacticity: Tacticity | None = None
    stereocenter: str | None = None
    density: Density
    time_step: Time = 0.004
    friction: Friction = 1.0
    cutoff: Length = 1.0
    switch_distance: Length = 0.9
    hydrogen_mass: Mass = 3.0
    equilibration: tuple[StageSpecification, ...] = ()

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if (self.molecule is not None) != self.force_field.endswith(".xml"):
            raise ValueError(
                f"force_field is {self.force_field!r} and molecule {self.molecule}; an XML file needs the PDB file "
                "of a molecule, anything else brings its own"
            )
        if (self.tacticity is None) != (self.stereocenter is None):
            raise ValueError(
                f"tacticity is {self.tacticity} and stereocenter {self.stereocenter}; give both, or none of them"
            )
        _refuse_repeats([stage.name for stage in self.equilibration], "equilibration stage")
        return self

    def molecule_of(self, residue: str) -> Path | None:
        """The PDB file of a kind of molecule; None if its force field brings it along."""
        if isinstance(self.molecule, Path) or self.molecule is None:
            return self.molecule
        files = {residue_name_in_files(name): path for name, path in self.molecule.items()}
        return files[residue]

    def beside(self, folder: Path) -> Self:
        """The same with the full paths of files in a folder."""
        if self.molecule is None:
            return self
        if isinstance(self.molecule, Path):
            return self.model_copy(update={"molecule": folder / self.molecule})
        return self.model_copy(update={"molecule": {name: folder / path for name, path in self.molecule.items()}})


class LiteratureValue(Config):
    """A number to compare with.

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
        residues: Kinds of residues; those of no chain are molecules of their own.
        chains: Polymers made of the residues.
        unmapped: Names of residues that a recording may hold and that have no beads, such as solvent: [HOH]. Forces
            between beads and what is unmapped stay in the forces on the beads, in the intermolecular part of them.
        reference: The atomistic reference.
        literature: Numbers to compare with, by observable.
    """

    name: str
    description: str = ""
    temperature: Temperature
    pressure: Pressure = 1.01325
    residues: tuple[ResidueSpecification, ...] = pydantic.Field(min_length=1)
    chains: tuple[ChainSpecification, ...] = ()
    unmapped: tuple[str, ...] = ()
    reference: ReferenceSpecification | None = None
    literature: dict[str, LiteratureValue] = pydantic.Field(default_factory=dict)

    @pydantic.field_validator("unmapped")
    @classmethod
    def _translate_unmapped(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(residue_name_in_files(name) for name in names))

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        _refuse_repeats([residue.name for residue in self.residues], "residue")
        _refuse_repeats([*(residue.name for residue in self.residues), *self.unmapped], "residue or unmapped residue")
        folded: dict[str, str] = {}
        for name in self.type_names:
            if folded.setdefault(name.casefold(), name) != name:
                raise ValueError(f"bead types {folded[name.casefold()]!r} and {name!r} differ only by case; rename one")
        _refuse_repeats([chain.name for chain in self.chains], "chain")
        for chain in self.chains:
            _check_chain(chain, self.residues)
        linked = {name for chain in self.chains for name in (chain.head, chain.body, chain.tail)}
        for residue in self.residues:
            if (residue.count > 0) == (residue.name in linked):
                raise ValueError(
                    f"residue {residue.name} has count {residue.count}; a residue of a chain has none, any other needs "
                    "the number of its molecules"
                )
        if self.reference is not None:
            _check_files(self.reference, [r.name for r in self.residues if r.name not in linked], bool(self.chains))
        return self

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types in order of first appearance; a type's index is its place here."""
        return tuple(dict.fromkeys(bead.type for residue in self.residues for bead in residue.beads))

    def templates(self) -> list[ResidueTemplate]:
        """One bead template per kind of residue."""
        return [residue.template() for residue in self.residues]

    def chain_templates(self) -> list[ChainTemplate]:
        """One bead template per chain."""
        residues = {residue.name: residue for residue in self.residues}
        return [chain.template(residues) for chain in self.chains]

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


class ProtocolSpecification(Config):
    """The content of a file with stages that take the place of a system's own equilibration.

    Attributes:
        equilibration: The stages, in order.
    """

    equilibration: tuple[StageSpecification, ...]


def read_specification(name_or_path: str | Path) -> SystemSpecification:
    """The specification of a shipped system, of a folder with a `system.yaml`, or of such a file itself.

    Raises:
        InputError: There is no such system, or its `system.yaml` is wrong.
    """
    path = Path(name_or_path)
    path = path if path.is_file() else find_system(name_or_path) / "system.yaml"
    specification = read_config(path, SystemSpecification)
    if specification.reference is not None:
        reference = specification.reference.beside(path.parent.resolve())
        specification = specification.model_copy(update={"reference": reference})
    try:
        _check_survives_files(specification)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return specification


def _check_survives_files(specification: SystemSpecification) -> None:
    """Refuse residues, alone or in chains, that would not come back from a file as they are."""
    templates, chains = specification.templates(), specification.chain_templates()
    molecules = [MoleculeTemplate(residues=(template,)) for template in templates]
    molecules += [MoleculeTemplate.from_names(chain.residues(4), templates, chains) for chain in chains]
    check_survives_files(CGTopology.from_molecules([(molecule, 1) for molecule in molecules]))


def with_protocol(specification: SystemSpecification, path: str | Path) -> SystemSpecification:
    """The system with the equilibration stages of a YAML file (`equilibration: [...]`) instead of its own.

    Raises:
        InputError: The system has no reference, or the file is wrong.
    """
    if specification.reference is None:
        raise InputError(f"system {specification.name!r} has no `reference` section that a protocol could belong to")
    stages = read_config(Path(path), ProtocolSpecification).equilibration
    reference = ReferenceSpecification(**{**dict(specification.reference), "equilibration": stages})
    return specification.model_copy(update={"reference": reference})


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


def _check_chain(chain: ChainSpecification, residues: tuple[ResidueSpecification, ...]) -> None:
    known = {residue.name: residue for residue in residues}
    ends = [chain.head, chain.body, chain.tail]
    _refuse_unknown(ends, list(known), f"chain {chain.name}: residue")
    for name, side in ((chain.head, 0), (chain.body, 0), (chain.body, 1), (chain.tail, 1)):
        atoms = [atom.name for atom in known[name].atoms]
        _refuse_unknown([link[side] for link in chain.links], atoms, f"chain {chain.name}: linked atom of {name}")


def _check_files(reference: ReferenceSpecification, residues: list[str], has_chains: bool) -> None:
    """Refuse files and settings of small molecules for chains, and the other way round."""
    if not has_chains and reference.tacticity is not None:
        raise ValueError(f"reference.tacticity is {reference.tacticity!r}, but the system has no chains; leave it out")
    if has_chains and isinstance(reference.molecule, dict):
        raise ValueError("reference.molecule names a file for each residue; chains take one PDB file of a short chain")
    if not has_chains and reference.molecule is not None:
        _check_molecules(reference.molecule, residues)


def _check_molecules(molecule: Path | dict[str, Path], residues: list[str]) -> None:
    """Refuse PDB files that are not one for each kind of molecule."""
    if isinstance(molecule, Path):
        if len(residues) != 1:
            raise ValueError(
                f"reference.molecule is one file, but the system has residues {', '.join(residues)}; name one for "
                f"each: {{{', '.join(f'{name}: {name}.pdb' for name in residues)}}}"
            )
        return
    given = [residue_name_in_files(name) for name in molecule]
    _refuse_repeats(given, "reference.molecule: residue")
    _refuse_unknown(given, residues, "reference.molecule: residue")
    if missing := [name for name in residues if name not in given]:
        raise ValueError(f"reference.molecule has no file for residue {', '.join(missing)}; add it")


def _bead_of(residue: ResidueSpecification, atom: str) -> str:
    return next(bead.name for bead in residue.beads if atom in bead.atoms)


def _refuse_repeats(names: list[str], what: str) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what} {', '.join(repeated)} appears more than once")


def _refuse_unknown(names: list[str], known: list[str], what: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"{what} {', '.join(unknown)} is not defined; known: {', '.join(known)}")
