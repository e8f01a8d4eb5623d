"""`MoleculeTemplate`: the residues of one kind of molecule, and the bonds between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openmm_cgml.errors import InputError
from openmm_cgml.residues.chain import ChainTemplate
from openmm_cgml.residues.environment import Joint
from openmm_cgml.residues.rules import LinkRules
from openmm_cgml.residues.template import ResidueTemplate


@dataclass(frozen=True, kw_only=True)
class MoleculeTemplate:
    """The residues of one kind of molecule in order, and the bonds between them: a chain, a ring, a star, a network.

    Attributes:
        residues: Templates, one per residue.
        joints: Bonds between residues: number of a residue and of its bead, number of a later residue and of its bead.
        name: What to call it; may be empty.
    """

    residues: tuple[ResidueTemplate, ...]
    joints: tuple[Joint, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if not self.residues:
            raise InputError("a molecule of no residues; give at least one")
        joints = tuple(sorted((a, i, b, j) if a < b else (b, j, a, i) for a, i, b, j in self.joints))
        for a, i, b, j in joints:
            if not 0 <= a < b < len(self.residues):
                raise InputError(
                    f"a bond between residues {a} and {b} of a molecule of {len(self.residues)}; they must be two of "
                    "them, counted from 0"
                )
            if not (0 <= i < len(self.residues[a].bead_names) and 0 <= j < len(self.residues[b].bead_names)):
                raise InputError(f"the bond between residues {a} and {b} of a molecule names a bead that they lack")
        twice = [joint for joint, again in itertools.pairwise(joints) if joint == again]
        if twice:
            raise InputError(f"a bond between residues {twice[0][0]} and {twice[0][2]} appears twice; keep one")
        object.__setattr__(self, "joints", joints)

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
        joints = [
            (number, i, number + 1, j)
            for number, (a, b) in enumerate(itertools.pairwise(names))
            for i, j in rules.links(a, b)
        ]
        for number, name in enumerate(names):
            rules.check_neighbors(number, name, int(number > 0), int(number < len(names) - 1))
        return cls(residues=tuple(known[name] for name in names), joints=tuple(joints))

    @property
    def residue_names(self) -> tuple[str, ...]:
        """Name of each residue."""
        return tuple(residue.name for residue in self.residues)

    def piece(self, n_residues: int) -> MoleculeTemplate:
        """The residues nearest to the first one by bonds, at most `n_residues`, and what bonds them."""
        if len(self.residues) <= n_residues:
            return self
        near: list[list[int]] = [[] for _ in self.residues]
        for a, _, b, _ in self.joints:
            near[a].append(b)
            near[b].append(a)
        found = {0: None}
        queue = [0]
        for residue in queue:
            for other in near[residue]:
                if other not in found and len(found) < n_residues:
                    found[other] = None
                    queue.append(other)
        place = {residue: number for number, residue in enumerate(sorted(found))}
        return MoleculeTemplate(
            residues=tuple(self.residues[residue] for residue in place),
            joints=tuple((place[a], i, place[b], j) for a, i, b, j in self.joints if a in place and b in place),
            name=self.name,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content; residues by name."""
        return {
            "name": self.name,
            "residues": list(self.residue_names),
            "joints": [list(joint) for joint in self.joints],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], templates: Sequence[ResidueTemplate]) -> MoleculeTemplate:
        """The molecule that `to_dict` wrote.

        Args:
            content: What it wrote.
            templates: The kinds of residues.

        Raises:
            InputError: If a residue is unknown or a bond names what is not there.
        """
        known = {template.name: template for template in templates}
        names = [str(name) for name in content["residues"]]
        if unknown := [name for name in names if name not in known]:
            raise InputError(f"molecule {content['name']!r} has residue {unknown[0]!r}, which is not defined")
        return cls(
            name=str(content["name"]),
            residues=tuple(known[name] for name in names),
            joints=tuple((int(a), int(i), int(b), int(j)) for a, i, b, j in content["joints"]),
        )
