"""A trained network bound to one topology: positions and box in, energy and forces out."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from openmm_cgml.engine.listing import DEFAULT_SKIN, Listing, NetworkPairs
from openmm_cgml.engine.molecule_images import IntraPairs
from openmm_cgml.engine.neighbors import NeighborList
from openmm_cgml.engine.pair_prior import NoPairPrior, PairPrior
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.errors import InputError
from openmm_cgml.networks import SchNet
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.topology import CGTopology
from openmm_cgml.wholeness import BondForest


class DeployedNetwork(nn.Module):
    """Energy and forces of the network for the beads of one topology.

    Differences of positions are taken in float64 before anything is cast to the network's precision, so beads that
    have diffused many boxes away lose no accuracy. Gradients must be enabled when it is called.

    Pairs within a molecule are those whose nearest image is that of the whole molecule: what a chain longer than the
    box has to do with its own images is intermolecular. Positions may be wrapped bead by bead.

    With replicas, the beads are so many copies of one system, one after the other in one box: beads of different
    copies do not see each other.
    """

    def __init__(
        self,
        network: SchNet,
        topology: CGTopology,
        *,
        exclude_bonds: int = 1,
        skin: float = DEFAULT_SKIN,
        n_replicas: int = 1,
        pair_table: PairTable | None = None,
    ) -> None:
        """Args:
            network: The trained network; it is used, not copied.
            topology: The beads it will see; every bead type of it is one of the network's.
            exclude_bonds: Beads up to this many bonds apart are excluded pairs; a network whose configuration says
                `include_bonded: false` does not see them at all.
            skin: Skin of the neighbor list [nm].
            n_replicas: Number of copies that the topology holds.
            pair_table: Pair priors of these beads, to be evaluated with the network and added to it; else None.

        Raises:
            InputError: If the topology has more bead types than the network, or does not fit the other arguments.
        """
        super().__init__()
        _check_replicas(topology, n_replicas, pair_table)
        if len(topology.type_names) > network.n_types:
            raise InputError(f"the topology has {len(topology.type_names)} bead types, the network {network.n_types}")
        self.network = network
        self.has_intra: bool = len(network.intra_blocks) > 0
        self.inter_cutoff: float = network.cutoff
        self.intra_cutoff: float = network.intra_cutoff
        self.network_cutoff: float = max(network.cutoff, network.intra_cutoff) if self.has_intra else network.cutoff
        self.cutoff: float = max(self.network_cutoff, pair_table.cutoff if pair_table else 0.0)
        self.include_bonded: bool = network.config.include_bonded
        self.n_beads: int = topology.n_beads
        self.n_replicas: int = n_replicas
        self.pair_table = pair_table
        self.has_pair_prior: bool = pair_table is not None
        self.pair_prior = NoPairPrior() if pair_table is None else PairPrior(pair_table)
        self.exclude_bonds: int = exclude_bonds
        self.topology = topology
        self.neighbors = NeighborList(self.cutoff, skin, n_replicas)
        self.forest = BondForest.from_topology(topology)
        self.intra_pairs = IntraPairs(self.forest)
        self.register_buffer("bead_types", torch.tensor(topology.bead_types), persistent=False)
        excluded = torch.tensor(topology.exclusions(exclude_bonds))
        self.register_buffer("excluded", excluded[:, 0] * self.n_beads + excluded[:, 1], persistent=False)

    def listing(self) -> Listing:
        """The pairs that the network and, with a table of them, the pair priors see."""
        cutoffs = (self.inter_cutoff, self.intra_cutoff) if self.has_intra else (self.inter_cutoff,)
        numbers = self.excluded.numpy()[: 0 if self.include_bonded else None]
        return Listing(
            n_beads=self.n_beads,
            network=NetworkPairs(
                forest=self.forest, cutoffs=cutoffs, exclusions=np.stack(np.divmod(numbers, self.n_beads), axis=1)
            ),
            prior=None if self.pair_table is None else self.pair_table.pairs(),
            n_replicas=self.n_replicas,
            skin=self.neighbors.skin,
        )

    def forward(self, positions: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3), both float64.

        Args:
            positions: Positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None without periodic boundaries.

        Raises:
            RuntimeError: If the box is too small, or the energy or a force is not finite.
        """
        if positions.shape[0] != self.n_beads:
            raise RuntimeError(f"{positions.shape[0]} positions for a network of {self.n_beads} beads")
        where = positions.detach().to(torch.float64)
        cell = box.to(torch.float64) if box is not None else None
        pairs, vectors, distances = self.neighbors(where, cell)
        first, second = pairs[0], pairs[1]
        prior_energy, prior_slopes = self.pair_prior(first, second, distances)
        everything = torch.arange(first.shape[0], device=first.device)
        forces = torch.zeros_like(where)
        if self.has_pair_prior:
            forces = _add_pair_forces(forces, first, second, vectors, distances, everything, prior_slopes)
        intra_pairs = self.intra_pairs(first, second, where, cell)
        seen = distances < self.network_cutoff
        between = (seen & ~intra_pairs).nonzero().squeeze(1)
        if not self.include_bonded and self.excluded.shape[0] > 0:
            seen = seen & ~torch.isin(first * self.n_beads + second, self.excluded)  # type: ignore[arg-type]
        within = (seen & intra_pairs).nonzero().squeeze(1)
        dtype = self.network.embedding.weight.dtype
        r_inter = distances.index_select(0, between).to(dtype).requires_grad_(True)
        r_intra = distances.index_select(0, within).to(dtype).requires_grad_(True)
        inter = PairList(first.index_select(0, between), second.index_select(0, between), r_inter)
        intra = PairList(first.index_select(0, within), second.index_select(0, within), r_intra)
        energy = self.network(self.bead_types, inter, intra).to(torch.float64).sum()
        slopes = torch.autograd.grad([energy], [r_inter, r_intra], allow_unused=True)
        forces = _add_pair_forces(forces, first, second, vectors, distances, between, slopes[0])
        forces = _add_pair_forces(forces, first, second, vectors, distances, within, slopes[1])
        energy = energy.detach() + prior_energy
        if not bool(torch.isfinite(energy)) or not bool(torch.isfinite(forces).all()):
            raise RuntimeError(
                "the network's energy or a force is not finite; the positions before this step are the last good ones"
            )
        return energy, forces


def _check_replicas(topology: CGTopology, n_replicas: int, pair_table: PairTable | None) -> None:
    n = topology.n_beads
    if n_replicas < 1 or n % n_replicas:
        raise InputError(f"{n} beads cannot be {n_replicas} copies of one system; repeat the topology of one first")
    one = n // n_replicas
    if np.any(topology.bonds // one != topology.bonds[:, :1] // one) or np.any(
        topology.bead_types.reshape(n_replicas, one) != topology.bead_types[:one]
    ):
        raise InputError(f"the topology is not {n_replicas} times the same beads; use `CGTopology.repeated`")
    if pair_table is not None and len(pair_table.bead_types) != n:
        raise InputError(f"the pair prior is bound to {len(pair_table.bead_types)} beads, the topology has {n}")


def _add_pair_forces(
    forces: Tensor,
    first: Tensor,
    second: Tensor,
    vectors: Tensor,
    distances: Tensor,
    chosen: Tensor,
    slope: Tensor | None,
) -> Tensor:
    if slope is None or chosen.shape[0] == 0:
        return forces
    pull = (slope.to(torch.float64) / distances.index_select(0, chosen)).unsqueeze(1) * vectors.index_select(0, chosen)
    forces = forces.index_add(0, first.index_select(0, chosen), -pull)
    return forces.index_add(0, second.index_select(0, chosen), pull)
