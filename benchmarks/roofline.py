"""The least time that energy and forces of a tabulated, folded SchNet can take on a machine of given rates.

The filters are tables, so what is left are the products of features and weights at the beads, and the tables' rows
and the features at the pairs. Matrix products are counted at the machine's product rate, what pairs read and write at
the rate of copies in the second-level cache, and activations at their own measured rate, one after the other. Tables
and features that stay in the first-level cache can beat the second of these, so a fraction may pass 1 where pairs
dominate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.speed_systems import NetworkSize

_FLOAT = 4
_TABLE_ROW = 4 * _FLOAT
"""Bytes of a table that one channel of one pair reads: value and slope at two knots."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one evaluation of energy and forces takes at least.

    Attributes:
        product_flops: Operations in matrix products.
        pair_bytes: Bytes read and written at pairs.
        activations: Elements that pass an activation.
    """

    product_flops: float
    pair_bytes: float
    activations: float


def count_work(size: NetworkSize, n_beads: int, n_pairs: int) -> Work:
    """Work of the folded network.

    The first block sees embeddings alone, so its filter carries its first two matrices; the matrix after a block's last
    activation is part of the next block's first one, and of the readout's.

    Args:
        size: Size of the network.
        n_beads: Number of beads.
        n_pairs: Pairs within the cutoff, each once.
    """
    hidden = max(size.features // 2, 1)
    later = size.blocks - 1
    into_filters = sum(range(1, later + 1)) * size.features * size.filters
    weights = into_filters + later * size.filters * size.features + size.blocks * size.features * hidden
    forward, backward = 1, 1
    first = (2 * _TABLE_ROW + 6 * _FLOAT) * size.features
    others = (2 * _TABLE_ROW + 14 * _FLOAT) * size.filters
    return Work(
        product_flops=2.0 * n_beads * weights * (forward + backward),
        pair_bytes=float(n_pairs * (first + later * others)),
        activations=float(n_beads * (size.blocks * size.features + hidden)),
    )


def exact_flops(size: NetworkSize, n_beads: int, n_pairs: int) -> float:
    """Operations of the network as it was trained, energy and forces, every pair twice: what it is measured against."""
    hidden = max(size.features // 2, 1)
    edges = 2 * n_pairs
    filters = size.gaussians * size.filters + size.filters**2
    beads = size.features * size.filters * 2 + size.features**2
    return 2.0 * 2 * (edges * size.blocks * filters + n_beads * (size.blocks * beads + size.features * hidden))


def least_time(work: Work, rates: Mapping[str, float]) -> float:
    """Seconds that the work takes at the machine's rates."""
    product_rate = 1e9 * max(rates["sgemm_gf_s"], rates["sgemm_packed_gf_s"])
    products = work.product_flops / product_rate
    pairs = work.pair_bytes / (1e9 * rates["l2_copy_gb_s"])
    return products + pairs + 1e-9 * rates["activation_ns"] * work.activations
