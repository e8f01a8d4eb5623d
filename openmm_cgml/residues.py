"""Kinds of residues and chains, molecules made of them, and what bonds one residue to the next."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError

Links = tuple[tuple[int, int], ...]
"""Bonds from one residue to the next: pairs of bead numbers, one in each, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class ResidueTemplate:
    """The beads of one kind of residue.

    Attributes:
        name: Residue name, as in `openmm.app.Topology`.
        bead_names: Names of the beads, each once in the residue.
        bead_type_names: Bead type of each bead.
        masses: Mass of each bead [Da].
        bonds: Pairs of bead numbers bonded within the residue.
    """

    name: str
    bead_names: tuple[str, ...]
    bead_type_names: tuple[str, ...]
    masses: tuple[float, ...]
    bonds: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        n = len(self.bead_names)
        if n == 0 or len(self.bead_type_names) != n or len(self.masses) != n:
            raise InputError(
                f"residue {self.name!r}: {n} bead names, {len(self.bead_type_names)} types, {len(self.masses)} masses;"
                " give one of each per bead, and at least one bead"
            )
        twice = [name for name, count in Counter(self.bead_names).items() if count > 1]
        if twice:
            raise InputError(
                f"residue {self.name!r}: bead name {twice[0]!r} appears twice; names are unique in a residue"
            )
        for bead, mass in zip(self.bead_names, self.masses, strict=True):
            if not (math.isfinite(mass) and mass > 0):
                raise InputError(f"residue {self.name!r}, bead {bead!r}: mass {mass} Da; it must be positive")
        bonds = tuple(sorted((min(i, j), max(i, j)) for i, j in self.bonds))
        check_bonds(np.array(bonds, dtype=np.int64).reshape(-1, 2), n, f"residue {self.name!r}")
        object.__setattr__(self, "bonds", bonds)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "name": self.name,
            "bead_names": list(self.bead_names),
            "bead_type_names": list(self.bead_type_names),
            "masses": list(self.masses),
            "bonds": [list(bond) for bond in self.bonds],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ResidueTemplate:
        """The template that `to_dict` wrote."""
        return cls(
            name=str(content["name"]),
            bead_names=tuple(map(str, content["bead_names"])),
            bead_type_names=tuple(map(str, content["bead_type_names"])),
            masses=tuple(float(m) for m in content["masses"]),
            bonds=tuple((int(i), int(j)) for i, j in content["bonds"]),
        )


@dataclass(frozen=True, kw_only=True)
class ChainTemplate:
    """A linear polymer of residues: head, body ..., body, tail, each bonded to the next one.

    Attributes:
        name: Name of the polymer.
        head: Residue at the start.
        body: Residue in between, any number of times.
        tail: Residue at the end.
        links: Pairs of bead names: a bead of a residue and the bead of the next residue that it is bonded to.
        monomers: Residues per chain by default, ends included.
        count: Number of chains by default.
    """

    name: str
    head: str
    body: str
    tail: str
    links: tuple[tuple[str, str], ...]
    monomers: int
    count: int

    def residues(self, monomers: int) -> tuple[str, ...]:
        """Names of the residues of a chain of `monomers` residues, in order.

        Raises:
            InputError: If there are less than two.
        """
        if isinstance(monomers, bool) or not isinstance(monomers, int) or monomers < 2:
            raise InputError(
                f"a chain of {monomers!r} monomers of {self.name}; it must be a whole number of at least 2"
            )
        return (self.head, *[self.body] * (monomers - 2), self.tail)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "name": self.name,
            "head": self.head,
            "body": self.body,
            "tail": self.tail,
            "links": [list(link) for link in self.links],
            "monomers": self.monomers,
            "count": self.count,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ChainTemplate:
        """The template that `to_dict` wrote."""
        return cls(
            **{key: str(content[key]) for key in ("name", "head", "body", "tail")},
            links=tuple((str(own), str(following)) for own, following in content["links"]),
            monomers=int(content["monomers"]),
            count=int(content["count"]),
        )


@dataclass(frozen=True, kw_only=True)
class MoleculeTemplate:
    """The residues of one kind of molecule in order, and what bonds each to the next one.

    Attributes:
        residues: Templates, one per residue.
        links: For every residue but the last, its bonds to the next one.
    """

    residues: tuple[ResidueTemplate, ...]
    links: tuple[Links, ...] = ()

    def __post_init__(self) -> None:
        if not self.residues or len(self.links) != len(self.residues) - 1:
            raise InputError(
                f"a molecule of {len(self.residues)} residues with links after {len(self.links)} of them; give at least"
                " one residue, and links after each but the last"
            )

    @classmethod
    def from_names(
        cls, names: Sequence[str], templates: Sequence[ResidueTemplate], chains: Sequence[ChainTemplate] = ()
    ) -> MoleculeTemplate:
        """The molecule of the residues called `names`, each linked to the next one as in the chains.

        Residues of different chains follow each other (a copolymer) as the ends of both say.

        Args:
            names: Residue names in order.
            templates: The kinds of residues.
            chains: The chains that say which residues are linked, and how.

        Raises:
            InputError: If a residue is unknown, at an end of the molecule where it cannot be, or cannot follow the one
                before it.
        """
        known = {template.name: template for template in templates}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise InputError(f"unknown residue {unknown[0]!r}; known are {', '.join(known)}")
        rules = LinkRules(templates, chains)
        links = tuple(rules.links(a, b) for a, b in itertools.pairwise(names))
        for number, name in enumerate(names):
            rules.check_neighbors(number, name, int(number > 0), int(number < len(names) - 1))
        return cls(residues=tuple(known[name] for name in names), links=links)


class LinkRules:
    """Which residue may follow which in a molecule, and by which bonds.

    Args:
        templates: The kinds of residues.
        chains: The chains they form.

    Raises:
        InputError: If a chain names an unknown residue, or nothing links two of its residues.
    """

    def __init__(self, templates: Sequence[ResidueTemplate], chains: Sequence[ChainTemplate]) -> None:
        self._templates = {template.name: template for template in templates}
        self._places: dict[str, set[tuple[int, int]]] = {}
        self._links: dict[tuple[str, str], Links] = {}
        for chain in chains:
            self._check_names(chain)
            for name, place in ((chain.head, (0, 1)), (chain.body, (1, 1)), (chain.tail, (1, 0))):
                self._places.setdefault(name, set()).add(place)
        for first in chains:
            for second in chains:
                self._add(first, second)

    def links(self, name: str, following: str) -> Links:
        """How a residue is bonded to the one that follows it.

        Raises:
            InputError: If it cannot be.
        """
        try:
            return self._links[name, following]
        except KeyError:
            after = sorted({b for a, b in self._links if a == name})
            may = f"only {', '.join(after)} may" if after else "no other residue may"
            raise InputError(f"residue {following!r} cannot follow {name!r} in a molecule; {may}") from None

    def check_neighbors(self, number: int, name: str, n_before: int, n_after: int) -> None:
        """Refuse a residue with too few or too many neighbors in its molecule.

        Args:
            number: Number of the residue, for the message.
            name: Its name.
            n_before: Number of residues linked to it that come before it.
            n_after: Number of those that come after it.

        Raises:
            InputError: If it has other numbers of neighbors than its places in the chains allow.
        """
        places = self._places.get(name, {(0, 0)})
        if (n_before, n_after) in places:
            return
        wanted = " or ".join(f"{before} before and {after} after it" for before, after in sorted(places))
        raise InputError(
            f"residue {number} ({name!r}) is bonded to {n_before} residue(s) before and {n_after} after it; it has "
            f"{wanted}: residues are numbered along their chain, from head to tail"
        )

    def check_bonds(self, bonds: NDArray[np.int64], residues: NDArray[np.int64], names: Sequence[str]) -> None:
        """Refuse bonds between residues that are not links of the chains, and links that are missing.

        Args:
            bonds: Bonded beads i < j, shape (n_bonds, 2); those within residues are not looked at.
            residues: Residue number of each bead, in increasing order, shape (n_beads,).
            names: Name of each residue.

        Raises:
            InputError: Naming the residues and beads.
        """
        starts = np.searchsorted(residues, np.arange(len(names)))
        between = bonds[residues[bonds[:, 0]] != residues[bonds[:, 1]]]
        joints: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for (a, b), link in zip(
            residues[between].tolist(), (between - starts[residues[between]]).tolist(), strict=True
        ):
            joints.setdefault((a, b), set()).add((link[0], link[1]))
        counts = np.zeros((len(names), 2), dtype=np.int64)
        for (a, b), found in joints.items():
            self._check_joint(a, b, names, found)
            counts[b, 0] += 1
            counts[a, 1] += 1
        for number, (before, after) in enumerate(counts.tolist()):
            self.check_neighbors(number, names[number], before, after)

    def _check_joint(self, a: int, b: int, names: Sequence[str], found: set[tuple[int, int]]) -> None:
        try:
            expected = set(self.links(names[a], names[b]))
        except InputError as error:
            raise InputError(
                f"residues {a} and {b} are bonded ({self._text(names[a], names[b], found)}): {error}"
            ) from None
        if found != expected:
            raise InputError(
                f"residues {a} ({names[a]!r}) and {b} ({names[b]!r}): bonds missing between them: "
                f"{self._text(names[a], names[b], expected - found)}; bonds that the model does not have: "
                f"{self._text(names[a], names[b], found - expected)}"
            )

    def _text(self, name: str, following: str, links: set[tuple[int, int]]) -> str:
        own, other = self._templates[name].bead_names, self._templates[following].bead_names
        return ", ".join(f"{own[i]}-{other[j]}" for i, j in sorted(links)) or "none"

    def _check_names(self, chain: ChainTemplate) -> None:
        unknown = [name for name in (chain.head, chain.body, chain.tail) if name not in self._templates]
        if unknown:
            raise InputError(
                f"chain {chain.name!r} has residue {unknown[0]!r}, which is not defined; known are "
                f"{', '.join(self._templates)}"
            )

    def _add(self, first: ChainTemplate, second: ChainTemplate) -> None:
        """The links from residues of one chain to residues of another, or of the same one."""
        for name in dict.fromkeys((first.head, first.body)):
            for following in dict.fromkeys((second.body, second.tail)):
                own, other = self._templates[name].bead_names, self._templates[following].bead_names
                pairs = first.links
                if first != second:
                    ends = [a for a, _ in first.links if a in own], [b for _, b in second.links if b in other]
                    left, right = (list(dict.fromkeys(names)) for names in ends)
                    pairs = tuple(zip(left, right, strict=True)) if len(left) == len(right) else ()
                links = tuple(sorted((own.index(a), other.index(b)) for a, b in pairs if a in own and b in other))
                if links:
                    self._links.setdefault((name, following), links)
                elif first == second and first.body in (name, following):
                    raise InputError(
                        f"chain {first.name!r}: nothing links residue {name!r} to {following!r}; links are "
                        f"{', '.join(f'{a}-{b}' for a, b in first.links) or 'none'}, beads {', '.join(own)} and "
                        f"{', '.join(other)}"
                    )


def check_bonds(bonds: NDArray[np.int64], n: int, where: str) -> None:
    """Raise InputError unless the bonds, shape (n_bonds, 2), are distinct pairs of `n` particles."""
    if not len(bonds):
        return
    if bonds.min() < 0 or bonds.max() >= n:
        raise InputError(
            f"{where}: a bond names particle {bonds.max() if bonds.max() >= n else bonds.min()}; there are {n}"
        )
    itself = np.flatnonzero(bonds[:, 0] == bonds[:, 1])
    if len(itself):
        raise InputError(f"{where}: particle {bonds[itself[0], 0]} is bonded to itself; remove that bond")
    unique, counts = np.unique(np.sort(bonds, axis=1), axis=0, return_counts=True)
    if counts.max() > 1:
        i, j = unique[np.argmax(counts)]
        raise InputError(f"{where}: bond {i}-{j} appears {counts.max()} times; keep one")


def check_residue_bonds(
    bonds: NDArray[np.int64], residues: NDArray[np.int64], names: list[str], known: Mapping[str, ResidueTemplate]
) -> None:
    """Raise InputError unless the bonds within each residue are those of its template.

    Args:
        bonds: Bonded beads i < j, shape (n_bonds, 2); those between residues are not looked at.
        residues: Residue number of each bead, in increasing order, shape (n_beads,).
        names: Name of each residue.
        known: Templates by name.
    """
    inside = residues[bonds[:, 0]] == residues[bonds[:, 1]] if len(bonds) else np.zeros(0, dtype=bool)
    found: dict[int, set[tuple[int, int]]] = {}
    starts = np.searchsorted(residues, np.arange(len(names)))
    for i, j in bonds[inside].tolist():
        r = int(residues[i])
        found.setdefault(r, set()).add((i - int(starts[r]), j - int(starts[r])))
    for r, name in enumerate(names):
        want, have = set(known[name].bonds), found.get(r, set())
        if want != have:
            label = known[name].bead_names

            def text(pairs: set[tuple[int, int]], label: tuple[str, ...] = label) -> str:
                return ", ".join(f"{label[i]}-{label[j]}" for i, j in sorted(pairs)) or "none"

            raise InputError(
                f"residue {r} ({name!r}): bonds missing: {text(want - have)}; bonds that the model does not have:"
                f" {text(have - want)}; add what is missing with Topology.addBond, or build the topology from the model"
            )
