"""`LinkRules`: which residues may be bonded to each other in a molecule, and by which beads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.residues.chain import ChainTemplate
from openmm_cgml.residues.environment import Environment, Joint, Links, environments
from openmm_cgml.residues.template import ResidueTemplate

if TYPE_CHECKING:
    from openmm_cgml.residues.molecule import MoleculeTemplate


class LinkRules:
    """Which residue may follow which in a molecule, and by which bonds.

    A residue is bonded as its place in one of the chains says, or just as one of its name is in one of the molecules.

    Args:
        templates: The kinds of residues.
        chains: The chains they form.
        molecules: Other molecules they form.

    Raises:
        InputError: If a chain names an unknown residue, or nothing links two of its residues.
    """

    def __init__(
        self,
        templates: Sequence[ResidueTemplate],
        chains: Sequence[ChainTemplate],
        molecules: Sequence[MoleculeTemplate] = (),
    ) -> None:
        self._known: set[tuple[str, Environment]] = set()
        for molecule in molecules:
            names = molecule.residue_names
            self._known.update(zip(names, environments(names, molecule.joints), strict=True))
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
        """Refuse residues that are bonded to others as neither the chains nor the molecules say.

        Args:
            bonds: Bonded beads i < j, shape (n_bonds, 2); those within residues are not looked at.
            residues: Residue number of each bead, in increasing order, shape (n_beads,).
            names: Name of each residue.

        Raises:
            InputError: Naming the residues and beads.
        """
        joints = joints_between(bonds, residues, len(names))
        refused = self._refused_by_chains(joints, names)
        if not refused:
            return
        around = environments(names, joints) if self._known else []
        for number, error in refused.items():
            if not self._known:
                raise error
            if (names[number], around[number]) not in self._known:
                raise InputError(f"{error}; nor is a residue {names[number]!r} of the training data bonded like this")

    def accepts(self, molecule: MoleculeTemplate) -> bool:
        """Whether every residue of a molecule is bonded as the rules say."""
        names = molecule.residue_names
        refused = self._refused_by_chains(molecule.joints, names)
        around = environments(names, molecule.joints) if refused else []
        return all((names[number], around[number]) in self._known for number in refused)

    def _refused_by_chains(self, joints: Sequence[Joint], names: Sequence[str]) -> dict[int, InputError]:
        """Residues that are not bonded as in a chain, each with the first reason."""
        refused: dict[int, InputError] = {}
        pairs: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for a, i, b, j in joints:
            pairs.setdefault((a, b), set()).add((i, j))
        counts = np.zeros((len(names), 2), dtype=np.int64)
        for (a, b), found in pairs.items():
            counts[b, 0] += 1
            counts[a, 1] += 1
            try:
                self._check_joint(a, b, names, found)
            except InputError as error:
                refused.setdefault(a, error)
                refused.setdefault(b, error)
        for number, (before, after) in enumerate(counts.tolist()):
            try:
                self.check_neighbors(number, names[number], before, after)
            except InputError as error:
                refused.setdefault(number, error)
        return refused

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


def joints_between(bonds: NDArray[np.int64], residues: NDArray[np.int64], n_residues: int) -> list[Joint]:
    """The bonds between residues, beads counted from the first of each residue.

    Args:
        bonds: Bonded beads i < j, shape (n_bonds, 2).
        residues: Residue number of each bead, in increasing order, shape (n_beads,).
        n_residues: Number of residues.
    """
    starts = np.searchsorted(residues, np.arange(n_residues))
    between = bonds[residues[bonds[:, 0]] != residues[bonds[:, 1]]]
    owners = residues[between]
    rows = np.stack([owners, between - starts[owners]], axis=-1).reshape(-1, 4)
    return [(a, i, b, j) for a, i, b, j in rows.tolist()]
