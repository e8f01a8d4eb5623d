"""`ChainTemplate`: linear polymers of residues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openmm_cgml.errors import InputError


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
