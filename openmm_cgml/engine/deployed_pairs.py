"""Pair priors without a network, bound to beads."""

from __future__ import annotations

from dataclasses import dataclass

from openmm_cgml.engine.listing import DEFAULT_SKIN, Listing
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class DeployedPairs:
    """Tables of pair priors, to be evaluated by an ML force that has no network.

    Attributes:
        pair_table: The tables, bound to the beads.
        n_replicas: Number of copies of one system that the beads are.
        skin: Skin of the neighbor list [nm].

    Raises:
        InputError: If the beads are not so many copies.
    """

    pair_table: PairTable
    n_replicas: int = 1
    skin: float = DEFAULT_SKIN

    def __post_init__(self) -> None:
        if self.n_replicas < 1 or self.n_beads % self.n_replicas:
            raise InputError(
                f"{self.n_beads} beads cannot be {self.n_replicas} copies of one system; repeat the topology of one "
                "first"
            )

    @property
    def n_beads(self) -> int:
        """Number of beads, of all copies."""
        return len(self.pair_table.bead_types)

    def listing(self) -> Listing:
        """The pairs that the tables are evaluated for."""
        return Listing(n_beads=self.n_beads, prior=self.pair_table.pairs(), n_replicas=self.n_replicas, skin=self.skin)
