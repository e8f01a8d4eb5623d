"""Pair priors between sites, with a network on the beads or without, bound to beads."""

from __future__ import annotations

from dataclasses import dataclass

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import Sites

SITE_SKIN = 0.15
"""Skin of the sites' neighbor list [nm]: sites move faster than beads, and a pair of them costs less."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DeployedSites:
    """Tables of pair priors between sites, to be evaluated by an ML force, and the network that is added to them.

    Attributes:
        sites: The sites of the beads.
        pair_table: The tables, bound to the sites.
        network: The network bound to the beads; None without one.
        n_replicas: Number of copies of one system that the beads are.
        skin: Skin of the sites' neighbor list [nm].

    Raises:
        InputError: If the beads are not so many copies, or tables or network are bound to others.
    """

    sites: Sites
    pair_table: PairTable
    network: DeployedNetwork | None = None
    n_replicas: int = 1
    skin: float = SITE_SKIN

    def __post_init__(self) -> None:
        if self.n_replicas < 1 or self.n_beads % self.n_replicas or self.sites.n_sites % self.n_replicas:
            raise InputError(
                f"{self.n_beads} beads with {self.sites.n_sites} sites cannot be {self.n_replicas} copies of one "
                "system; repeat the topology of one first"
            )
        if len(self.pair_table.bead_types) != self.sites.n_sites:
            raise InputError(
                f"the tables are bound to {len(self.pair_table.bead_types)} sites, and there are {self.sites.n_sites}"
            )
        if self.network is not None and self.network.n_beads != self.n_beads:
            raise InputError(
                f"the network is bound to {self.network.n_beads} beads, and the sites belong to {self.n_beads}"
            )

    @property
    def n_beads(self) -> int:
        """Number of beads, of all copies."""
        return self.sites.n_beads
