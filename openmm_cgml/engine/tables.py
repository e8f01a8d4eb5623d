"""Filter networks turned into tables.

In SchNet a filter depends on the distance alone, so after training it is one curve per channel. Here each is sampled on
uniform knots from 0 to the cutoff, value and derivative, in float64, and evaluated as a cubic Hermite spline. The
force is the exact derivative of that spline, so the interpolation does not touch energy conservation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openmm_cgml.networks import SchNet

N_KNOTS = 1024
"""Knots per table: at this number the error is below that of the exact network in float32."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FilterTable:
    """One block's filters as cubic Hermite splines.

    Attributes:
        cutoff: Distance of the last knot [nm].
        knots: Value and knot spacing times derivative at each knot, shape (n_knots, 2, n_filters), float32.
    """

    cutoff: float
    knots: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class BakedBlock:
    """An interaction block as plain float32 arrays; matrices are (outputs, inputs)."""

    table: FilterTable
    enter: NDArray[np.float32]
    leave: NDArray[np.float32]
    leave_bias: NDArray[np.float32]
    mix: NDArray[np.float32]
    mix_bias: NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class BakedReadout:
    """A dense readout as plain float32 arrays; the energy scale is in the last layer."""

    hidden: NDArray[np.float32]
    hidden_bias: NDArray[np.float32]
    out: NDArray[np.float32]
    out_bias: float


@dataclass(frozen=True, eq=False, kw_only=True)
class BakedNetwork:
    """A SchNet as plain arrays.

    Attributes:
        activation: `shifted_softplus`, `tanh` or `silu`.
        embedding: Features of each bead type, shape (n_types, n_features).
        inter: Blocks over pairs in different molecules.
        intra: Blocks over pairs in the same molecule.
        readout: Readout of the intermolecular features, or of the sum.
        intra_readout: Readout of the intramolecular features where they have one of their own.
    """

    activation: str
    embedding: NDArray[np.float32]
    inter: tuple[BakedBlock, ...]
    intra: tuple[BakedBlock, ...]
    readout: BakedReadout
    intra_readout: BakedReadout | None


def bake(network: SchNet, n_knots: int = N_KNOTS) -> BakedNetwork:
    """The trained network as plain arrays, its filters tabulated.

    Args:
        network: The network; it is not changed.
        n_knots: Knots per filter table.
    """
    double = copy.deepcopy(network).to(torch.float64).eval()
    has_intra = len(double.intra_blocks) > 0
    return BakedNetwork(
        activation=network.config.activation,
        embedding=_array(double.embedding.weight),
        inter=tuple(_bake_block(b, double.inter_basis, double.cutoff, n_knots) for b in double.inter_blocks),
        intra=tuple(_bake_block(b, double.intra_basis, double.intra_cutoff, n_knots) for b in double.intra_blocks),
        readout=_bake_readout(double.readout, double.energy_scale),
        intra_readout=_bake_readout(double.intra_readout, double.energy_scale)
        if double.separate and has_intra
        else None,
    )


def _bake_block(block: Any, basis: nn.Module, cutoff: float, n_knots: int) -> BakedBlock:
    return BakedBlock(
        table=_tabulate(block, basis, cutoff, n_knots),
        enter=_array(block.conv.lin1.weight),
        leave=_array(block.conv.lin2.weight),
        leave_bias=_array(block.conv.lin2.bias),
        mix=_array(block.lin.weight),
        mix_bias=_array(block.lin.bias),
    )


def _tabulate(block: Any, basis: nn.Module, cutoff: float, n_knots: int) -> FilterTable:
    distances = torch.linspace(0.0, cutoff, n_knots, dtype=torch.float64)

    def filters(r: torch.Tensor) -> torch.Tensor:
        smooth_end = 0.5 * (torch.cos(r * torch.pi / cutoff) + 1.0)
        return block.conv.net(basis(r)) * smooth_end.unsqueeze(-1)

    with torch.no_grad():
        values, slopes = torch.func.jvp(filters, (distances,), (torch.ones_like(distances),))  # type: ignore[misc]
    spacing = cutoff / (n_knots - 1)
    knots = torch.stack([values, spacing * slopes], dim=1)
    return FilterTable(cutoff=cutoff, knots=np.ascontiguousarray(knots.numpy(), dtype=np.float32))


def _bake_readout(layers: nn.Module, scale: float) -> BakedReadout:
    return BakedReadout(
        hidden=_array(layers[0].weight),
        hidden_bias=_array(layers[0].bias),
        out=_array(scale * layers[2].weight[0]),
        out_bias=scale * float(layers[2].bias.detach()[0]),
    )


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """Curves on [0, cutoff] as cubic Hermite splines; they and their slopes vanish at the cutoff.

    Attributes:
        cutoff: Distance of the last knot [nm].
        knots: Value and knot spacing times derivative at each knot, shape (n_knots, 2, n_channels), float32.
    """

    cutoff: float
    knots: NDArray[np.float32]

    @property
    def n_channels(self) -> int:
        """Number of curves."""
        return int(self.knots.shape[2])


def tabulate(curves: Callable[[Tensor], Tensor], cutoff: float, n_knots: int) -> NDArray[np.float64]:
    """Value and knot spacing times derivative of curves at uniform knots, shape (n_knots, 2, n_channels).

    Args:
        curves: Distances [nm], shape (n,), to values (n, n_channels); differentiable, evaluated in float64.
        cutoff: Distance of the last knot [nm].
        n_knots: Number of knots.
    """
    distances = torch.linspace(0.0, cutoff, n_knots, dtype=torch.float64)
    with torch.no_grad():
        values, slopes = torch.func.jvp(curves, (distances,), (torch.ones_like(distances),))  # type: ignore[misc]
    knots: NDArray[np.float64] = torch.stack([values, slopes * (cutoff / (n_knots - 1))], dim=1).numpy()
    return knots


def filter_curves(block: Any, basis: nn.Module, cutoff: float) -> Callable[[Tensor], Tensor]:
    """The filters of an interaction block, with their smooth end, as functions of the distance.

    Args:
        block: An interaction block of `networks.SchNet`, in float64.
        basis: Its radial basis.
        cutoff: Its cutoff [nm].
    """

    def filters(r: Tensor) -> Tensor:
        smooth_end = 0.5 * (torch.cos(r * torch.pi / cutoff) + 1.0)
        values: Tensor = block.conv.net(basis(r)) * smooth_end.unsqueeze(-1)
        return values

    return filters
