"""Pair priors between sites, with a network on the beads or without, bound to beads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.pair_tables import PairTable, tabulate_pairs
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import Centers, SitePairs, Sites

SITE_SKIN = 0.15
"""Skin of the sites' neighbor list [nm]: sites move faster than beads, and a pair of them costs less."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DeployedCenters:
    """Tables of pair priors between centers of molecules or of beads.

    Attributes:
        centers: The centers.
        pair_table: The tables, bound to them.

    Raises:
        InputError: If the tables are bound to others.
    """

    centers: Centers
    pair_table: PairTable

    def __post_init__(self) -> None:
        if len(self.pair_table.bead_types) != self.centers.n_sites:
            raise InputError(
                f"the tables are bound to {len(self.pair_table.bead_types)} centers, and there are "
                f"{self.centers.n_sites}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class DeployedSites:
    """Tables of pair priors between sites, to be evaluated by an ML force, and what is added to them.

    Attributes:
        sites: The sites of the beads.
        pair_table: The tables, bound to the sites.
        centers: Pair priors between centers of molecules or of beads; None without them.
        network: The network bound to the beads; None without one.
        n_replicas: Number of copies of one system that the beads are.
        skin: Skin of the sites' neighbor list [nm].

    Raises:
        InputError: If the beads are not so many copies, or tables or network are bound to others.
    """

    sites: Sites
    pair_table: PairTable
    centers: DeployedCenters | None = None
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
        if self.centers is not None and self.centers.centers.n_beads != self.n_beads:
            raise InputError(
                f"the centers are of {self.centers.centers.n_beads} beads, and the sites belong to {self.n_beads}"
            )
        if self.network is not None and self.network.n_beads != self.n_beads:
            raise InputError(
                f"the network is bound to {self.network.n_beads} beads, and the sites belong to {self.n_beads}"
            )

    @property
    def n_beads(self) -> int:
        """Number of beads, of all copies."""
        return self.sites.n_beads


def deploy_sites(
    potentials: Sequence[SitePairs], network: DeployedNetwork | None = None, n_replicas: int = 1
) -> DeployedSites:
    """Tables of bound pair priors between sites, and between centers where there are such.

    Args:
        potentials: One or more, bound to the same beads.
        network: The network on these beads, or None.
        n_replicas: Number of copies of one system that the beads are.
    """
    of_sites = [potential for potential in potentials if isinstance(potential.sites, Sites)]
    of_centers = [potential for potential in potentials if isinstance(potential.sites, Centers)]
    sites, table = of_sites[0].sites, tabulate_pairs([potential.pairs for potential in of_sites])
    assert isinstance(sites, Sites) and table is not None  # priors have no centers without sites
    centers = None
    if of_centers:
        points, of_points = of_centers[0].sites, tabulate_pairs([potential.pairs for potential in of_centers])
        assert isinstance(points, Centers) and of_points is not None
        centers = DeployedCenters(centers=points, pair_table=of_points)
    return DeployedSites(sites=sites, pair_table=table, centers=centers, network=network, n_replicas=n_replicas)
