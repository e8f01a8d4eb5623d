"""Three-body priors with pair priors and a network or without, bound to beads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.listing import DEFAULT_SKIN, Listing, NetworkPairs
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import ThreeBody


@dataclass(frozen=True, eq=False, kw_only=True)
class DeployedThreeBody:
    """Three-body priors, to be evaluated by an ML force, and what is evaluated with them.

    Attributes:
        three_body: The potential, bound to the beads.
        pair_table: Tables of pair priors of the beads, which share the list of pairs; None where native forces, or
            none, evaluate them.
        network: The network bound to the beads, without pair priors; None without one.
        n_replicas: Number of copies of one system that the beads are.
        skin: Skin of the neighbor list [nm].

    Raises:
        InputError: If the beads are not so many copies, or tables or network are bound to others.
    """

    three_body: ThreeBody
    pair_table: PairTable | None = None
    network: DeployedNetwork | None = None
    n_replicas: int = 1
    skin: float = DEFAULT_SKIN

    def __post_init__(self) -> None:
        if self.n_replicas < 1 or self.n_beads % self.n_replicas:
            raise InputError(
                f"{self.n_beads} beads cannot be {self.n_replicas} copies of one system; repeat the topology of one "
                "first"
            )
        if self.pair_table is not None and len(self.pair_table.bead_types) != self.n_beads:
            raise InputError(
                f"the tables are bound to {len(self.pair_table.bead_types)} beads, and the three-body priors to "
                f"{self.n_beads}"
            )
        if self.network is not None and self.network.n_beads != self.n_beads:
            raise InputError(
                f"the network is bound to {self.network.n_beads} beads, and the three-body priors to {self.n_beads}"
            )

    @property
    def n_beads(self) -> int:
        """Number of beads, of all copies."""
        return len(self.three_body.bead_types)

    def listing(self) -> Listing:
        """The pairs between molecules, and those of the tables; they are shared within the longer of both cutoffs."""
        table = self.pair_table
        return Listing(
            n_beads=self.n_beads,
            network=NetworkPairs(
                forest=self.three_body.forest,
                cutoffs=(max(self.three_body.cutoff, 0.0 if table is None else table.cutoff),),
                exclusions=np.zeros((0, 2), np.int64),
            ),
            prior=None if table is None else table.pairs(),
            n_replicas=self.n_replicas,
            skin=self.skin,
        )
