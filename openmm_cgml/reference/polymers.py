"""AtomisticPolymer: residues, connections, force field and starting conformations of a linear polymer."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray
from openmm import app

from openmm_cgml.errors import InputError
from openmm_cgml.reference.gaff_types import DEFAULT_IMPROPERS

__all__ = ["AtomisticPolymer", "Grow", "MonomerUnit", "is_crossed"]

Grow = Callable[[int, int, float, np.random.Generator], NDArray[np.float64]]
"""(chains, monomers, edge of the cubic box [nm], randomness) -> whole chains [nm], shape (n_atoms, 3)."""

_GAFF = "amber/gaff/ffxml/gaff-2.11.xml"


@dataclass(frozen=True, kw_only=True)
class MonomerUnit:
    """One kind of residue of a polymer, atomistic.

    Attributes:
        residue_name: Residue name in topologies.
        atom_names: Atom names in order, each once.
        elements: Element symbols in order.
        bonds: Pairs of atom numbers bonded within the residue.
        types: GAFF-2.11 atom type of each atom; none where a file has the force field.
        charges: Charge of each atom [e]; none where a file has the force field.
    """

    residue_name: str
    atom_names: tuple[str, ...]
    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    types: tuple[str, ...] = ()
    charges: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.atom_names), len(self.elements)}
        lengths |= {len(self.types), len(self.charges)} if self.types or self.charges else set()
        repeated = [name for name, count in Counter(self.atom_names).items() if count > 1]
        if len(lengths) != 1 or repeated:
            raise InputError(
                f"residue {self.residue_name!r}: {len(self.atom_names)} names, {len(self.elements)} elements, "
                f"{len(self.types)} types, {len(self.charges)} charges, repeated names {repeated}; give one of each "
                "per atom, names once"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class AtomisticPolymer:
    """A linear polymer of residues head, body ..., body, tail, each bonded to the next one.

    Attributes:
        name: Name of the polymer, as in the `chains` of a system.yaml.
        source: Where geometry and charges come from.
        head: Residue at the start.
        body: Residue in between.
        tail: Residue at the end.
        links: Pairs of atom names: an atom of a residue and the atom of the next residue that it is bonded to.
        crossed_links: The same atoms linked the other way round, as two bonds of a ladder polymer can be; empty if
            there is one way. `joint_links` tells which joint has which.
        grow: Starting conformations; see `Grow`. Chains come out whole and without overlaps that minimization cannot
            cure.
    """

    name: str
    source: str
    head: MonomerUnit
    body: MonomerUnit
    tail: MonomerUnit
    links: tuple[tuple[str, str], ...]
    grow: Grow
    crossed_links: tuple[tuple[str, str], ...] = ()

    def joint_links(self, joint: int) -> tuple[tuple[str, str], ...]:
        """The bonds between residues `joint` and `joint + 1` of a chain, counted from 0."""
        return self.crossed_links if self.crossed_links and is_crossed(joint) else self.links

    def units(self, monomers: int) -> list[MonomerUnit]:
        """The residues of a chain of `monomers` residues, in order.

        Raises:
            InputError: There are less than two.
        """
        if monomers < 2:
            raise InputError(f"a chain of {monomers} monomers of {self.name}; it needs at least 2")
        return [self.head, *[self.body] * (monomers - 2), self.tail]

    def n_atoms(self, monomers: int) -> int:
        """Atoms of a chain of `monomers` residues."""
        return sum(len(unit.atom_names) for unit in self.units(monomers))

    def topology(self, n_chains: int, monomers: int) -> app.Topology:
        """An OpenMM topology of `n_chains` polymers, each an OpenMM chain, with all bonds."""
        topology = app.Topology()
        for _ in range(n_chains):
            chain = topology.addChain()
            before: dict[str, app.topology.Atom] = {}
            for number, unit in enumerate(self.units(monomers)):
                residue = topology.addResidue(unit.residue_name, chain)
                atoms = [
                    topology.addAtom(name, app.Element.getBySymbol(symbol), residue)
                    for name, symbol in zip(unit.atom_names, unit.elements, strict=True)
                ]
                for i, j in unit.bonds:
                    topology.addBond(atoms[i], atoms[j])
                named = dict(zip(unit.atom_names, atoms, strict=True))
                for own, following in self.joint_links(number - 1) if before else ():
                    topology.addBond(before[own], named[following])
                before = named
        return topology

    def gaff_force_field(self) -> app.ForceField:
        """GAFF-2.11 with a template per residue, and its default impropers.

        Raises:
            InputError: The package that brings GAFF's parameters is missing.
        """
        try:
            return app.ForceField(_GAFF, io.StringIO(self._templates_xml))
        except ValueError as error:
            raise InputError(
                f"OpenMM finds no {_GAFF} ({error}); install what brings it: pip install 'openmm-cgml[polymers]'"
            ) from error

    @cached_property
    def _templates_xml(self) -> str:
        own, following = (set(atoms) for atoms in zip(*self.links, strict=True))
        residues = [
            _residue_xml(self.head, own),
            _residue_xml(self.body, own | following),
            _residue_xml(self.tail, following),
        ]
        return f"<ForceField>\n<Residues>\n{''.join(residues)}</Residues>\n{DEFAULT_IMPROPERS}\n</ForceField>\n"


def is_crossed(joint: int) -> bool:
    """Whether a joint of a polymer with two ways of linking is made the second way.

    Every chain has the same sequence, so that all of one length are the same molecule. It is that of Thue and Morse:
    both ways alike often, never three in a row, without a period.
    """
    return joint.bit_count() % 2 == 1


def _residue_xml(unit: MonomerUnit, external: set[str]) -> str:
    atoms = [
        f'  <Atom name={quoteattr(name)} type="{kind}" charge="{charge:.8f}"/>\n'
        for name, kind, charge in zip(unit.atom_names, unit.types, unit.charges, strict=True)
    ]
    bonds = [
        f"  <Bond atomName1={quoteattr(unit.atom_names[i])} atomName2={quoteattr(unit.atom_names[j])}/>\n"
        for i, j in unit.bonds
    ]
    ends = [f"  <ExternalBond atomName={quoteattr(n)}/>\n" for n in unit.atom_names if n in external]
    return f"<Residue name={quoteattr(unit.residue_name)}>\n{''.join(atoms + bonds + ends)}</Residue>\n"
