"""The deployed network on a CUDA device: tabulated filters, Warp kernels over rows of partners, analytic forces.

The same kernels run on Warp's CPU device, slowly; that is how they are tested where there is no GPU.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import warp as wp
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from openmm_cgml.engine import warp_kernels, warp_search
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.folding import FoldedBlock, FoldedNetwork, FoldedStack, fold
from openmm_cgml.engine.pair_tables import PairTable
from openmm_cgml.engine.warp_lists import PairKind, Rows, WarpLists
from openmm_cgml.engine.warp_parity import check_parity
from openmm_cgml.engine.warp_prior import add_prior
from openmm_cgml.errors import SimulationError

_LOG_2 = float(np.log(2.0))


class WarpNetwork:
    """What `DeployedNetwork` computes, from tables, on a CUDA device; positions stay there.

    The first call also evaluates the exact network in float64 on the CPU and compares. Every call outside a CUDA graph
    reads from the device whether the result is right, grows the neighbor list where it has to, and raises if
    something is wrong. A captured graph cannot do that: where its list would overflow, a position is not finite or the
    box has become too narrow, energy and forces are NaN.

    Attributes:
        parity: Largest force difference found by the first call over the root mean square force, or None.
    """

    def __init__(self, deployed: DeployedNetwork) -> None:
        self._deployed = deployed
        self._folded = fold(deployed.network)
        self._prior = deployed.pair_table
        self._evaluations: dict[tuple[str, int], _Evaluation] = {}
        self._captured: list[_Evaluation] = []
        self._lock = threading.Lock()
        self.parity: float | None = None

    def __call__(self, positions: Tensor, box: Tensor | None) -> tuple[Tensor, Tensor]:
        """Energy [kJ/mol], shape (), and forces [kJ/mol/nm], shape (n_beads, 3), both float64.

        Args:
            positions: Positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.

        Raises:
            SimulationError: If the box is too small, something is not finite, or the tables differ from the network.
        """
        x = positions.detach().to(torch.float64).contiguous()
        cell = None if box is None else box.detach().to(device=x.device, dtype=torch.float64).contiguous()
        with self._lock, torch.no_grad(), _full_precision(x.device):
            evaluation = self._evaluation(x.device)
            if x.is_cuda and torch.cuda.is_current_stream_capturing():
                return self._capture(evaluation, x, cell)
            energy, forces = evaluation(x, cell)
            while evaluation.lists.grow():
                energy, forces = evaluation(x, cell)
        if not bool(torch.isfinite(energy + forces.sum())):  # one number to wait for
            raise SimulationError(
                "the network's energy or a force is not finite; the positions before this step are the last good ones"
            )
        if self.parity is None:
            self.parity = self._measure_parity(evaluation, x, cell)
        return energy, forces

    def _measure_parity(self, evaluation: _Evaluation, x: Tensor, cell: Tensor | None) -> float:
        with self._lock, torch.no_grad(), _full_precision(x.device):
            _, forces = evaluation(x, cell, with_prior=False)
        host = None if cell is None else cell.cpu().numpy()
        return check_parity(self._deployed, x.cpu().numpy(), host, forces.cpu().numpy())

    def _evaluation(self, device: torch.device) -> _Evaluation:
        """Memory of this stream's own: what two streams do at a time must not meet."""
        stream = torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
        key = str(device), stream
        if key not in self._evaluations:
            self._evaluations[key] = _Evaluation(self._deployed, self._folded, self._prior, device)
        return self._evaluations[key]

    def _capture(self, evaluation: _Evaluation, x: Tensor, cell: Tensor | None) -> tuple[Tensor, Tensor]:
        """Record the launches; from now on the memory belongs to the graph, which may run at any time."""
        if not evaluation.lists.has_room:
            raise SimulationError(
                "the network was not called before a CUDA graph was captured, so the size of its neighbor list is "
                "not known; set the property CUDAGraphWarmupSteps to 5"
            )
        self._captured.append(evaluation)
        for key in [key for key, value in self._evaluations.items() if value is evaluation]:
            del self._evaluations[key]
        return evaluation(x, cell)


class _Evaluation:
    """The network's arrays and neighbor list on one device."""

    def __init__(
        self, deployed: DeployedNetwork, folded: FoldedNetwork, prior: PairTable | None, device: torch.device
    ) -> None:
        topology, n = deployed.topology, deployed.n_beads
        types = torch.tensor(topology.bead_types, device=device)
        self._n_beads, self._activation = n, folded.activation
        self._readouts = [
            _Readout(
                by_bead=_to(device, readout.by_type).index_select(0, types),
                out=_to(device, readout.out),
                out_bias=readout.out_bias * n,
            )
            for readout in folded.readouts
        ]
        self._stacks = [_Stack(stack, types, device) for stack in folded.stacks]
        none = np.zeros((0, 2), dtype=np.int64)
        bonded = none if deployed.include_bonded else topology.exclusions(deployed.exclude_bonds)
        kinds = [
            PairKind(kind=kind, cutoff=stack.cutoff, n_knots=stack.n_knots, excluded=excluded)
            for (kind, excluded), stack in zip(
                ((warp_search.BETWEEN, none), (warp_search.WITHIN, bonded)), self._stacks, strict=False
            )
        ]
        self._prior = None if prior is None else _Prior(prior, device)
        if prior is not None:
            kinds.append(PairKind(kind=warp_search.ALL, cutoff=prior.cutoff, n_knots=0, excluded=prior.exclusions))
        skin = deployed.neighbors.skin
        self.lists = WarpLists(tuple(kinds), deployed.forest, deployed.n_beads // deployed.n_replicas, skin, device)

    def __call__(self, x: Tensor, cell: Tensor | None, *, with_prior: bool = True) -> tuple[Tensor, Tensor]:
        place = self.lists.update(x, cell)
        hidden = [readout.by_bead for readout in self._readouts]
        tapes = []
        for number, stack in enumerate(self._stacks):
            tape = self._forward(stack, self.lists.rows[number])
            for layer, leave in zip(tape, stack.leave, strict=True):
                hidden[stack.readout] = torch.addmm(hidden[stack.readout], layer.value, leave.T)
            tapes.append(tape)
        energy = x.new_zeros(())
        grads = []
        for readout, u in zip(self._readouts, hidden, strict=True):
            value, slope = _activate(u, self._activation)
            energy = energy + torch.mv(value, readout.out).sum(dtype=torch.float64) + readout.out_bias
            grads.append(slope * readout.out)
        forces = x.new_zeros(self._n_beads, 3)
        for number, stack in enumerate(self._stacks):
            self._backward(stack, self.lists.rows[number], tapes[number], grads[stack.readout], forces)
        if self._prior is not None and with_prior:
            energy = energy + self._add_prior(place, x, forces)
        return (energy + self.lists.verdict).squeeze(0), forces + self.lists.verdict

    def _forward(self, stack: _Stack, rows: Rows) -> list[_Layer]:
        n, tape = self._n_beads, []
        if stack.first is not None:
            first = stack.first
            z = torch.empty(n, first.n_channels, device=first.bias.device)
            inputs = [*rows.now, first.types, first.table, wp.from_torch(first.bias), wp.from_torch(z)]
            self.lists.launch(warp_kernels.sum_tables, (n, first.n_channels), inputs)
            tape.append(_Layer(None, *_activate(z, self._activation)))
        for block in stack.blocks:
            h = block.by_bead
            for layer, enter in zip(tape, block.enter, strict=True):
                h = torch.addmm(h, layer.value, enter.T)
            message = torch.empty_like(h)
            inputs = [*rows.now, block.table, wp.from_torch(h), wp.from_torch(message)]
            self.lists.launch(warp_kernels.convolve, tuple(h.shape), inputs)
            z = torch.addmm(block.leave_bias, message, block.leave.T)
            tape.append(_Layer(h, *_activate(z, self._activation)))
        return tape

    def _backward(self, stack: _Stack, rows: Rows, tape: list[_Layer], grad: Tensor, forces: Tensor) -> None:
        """Add the forces that come through a stack."""
        grads = [torch.mm(grad, leave) for leave in stack.leave]
        n_folded = len(tape) - len(stack.blocks)
        for number in range(len(tape) - 1, n_folded - 1, -1):
            block, layer = stack.blocks[number - n_folded], tape[number]
            assert layer.h is not None
            grad_message = torch.mm(grads[number] * layer.slope, block.leave)
            grad_h = torch.empty_like(layer.h)
            by_channel = grad_h.new_empty(*grad_h.shape, 3)
            arrays = [wp.from_torch(array) for array in (layer.h, grad_message, grad_h)]
            inputs = [
                *rows.now_with_directions,
                stack.scale,
                block.table,
                *arrays,
                wp.from_torch(by_channel, dtype=wp.vec3f),
            ]
            self.lists.launch(warp_kernels.convolve_back, tuple(grad_h.shape), inputs)
            forces += by_channel.sum(dim=1, dtype=torch.float64)
            for earlier, enter in enumerate(block.enter):
                grads[earlier] = torch.addmm(grads[earlier], grad_h, enter)
        if stack.first is not None:
            grad_z = grads[0] * tape[0].slope
            by_channel = grad_z.new_empty(*grad_z.shape, 3)
            inputs = [
                *rows.now_with_directions,
                stack.scale,
                stack.first.types,
                stack.first.table,
                wp.from_torch(grad_z),
                wp.from_torch(by_channel, dtype=wp.vec3f),
            ]
            self.lists.launch(warp_kernels.sum_tables_back, tuple(grad_z.shape), inputs)
            forces += by_channel.sum(dim=1, dtype=torch.float64)

    def _add_prior(self, place: tuple[Any, Any, int], x: Tensor, forces: Tensor) -> Tensor:
        """Energy of the pair prior [kJ/mol]; adds its forces."""
        prior = self._prior
        assert prior is not None
        energies = torch.empty_like(x[:, 0])
        listed = self.lists.rows[-1].listed
        arrays = [wp.from_torch(energies), wp.from_torch(forces, dtype=wp.vec3d)]
        inputs = [*place, prior.start, prior.cutoff, *listed, prior.types, prior.table, *arrays]
        self.lists.launch(add_prior, self._n_beads, inputs)
        return energies.sum()


@dataclass(frozen=True, eq=False)
class _Layer:
    """What the way back needs of a block: its input to the messages, activations and their derivatives."""

    h: Tensor | None
    value: Tensor
    slope: Tensor


@dataclass(frozen=True, eq=False)
class _Readout:
    by_bead: Tensor
    out: Tensor
    out_bias: float


@dataclass(frozen=True, eq=False)
class _First:
    table: Any
    bias: Tensor
    types: Any
    n_channels: int


class _Block:
    def __init__(self, block: FoldedBlock, types: Tensor) -> None:
        device = types.device
        self.table = wp.from_torch(_to(device, block.table.knots))
        self.by_bead = _to(device, block.by_type).index_select(0, types)
        self.enter = [_to(device, matrix) for matrix in block.enter]
        self.leave, self.leave_bias = _to(device, block.leave), _to(device, block.leave_bias)


class _Stack:
    def __init__(self, stack: FoldedStack, types: Tensor, device: torch.device) -> None:
        tables = [block.table for block in stack.blocks] if stack.first is None else stack.first.tables
        self.cutoff, self.readout = stack.cutoff, stack.readout
        self.n_knots = len(tables[0].knots)
        self.scale = (self.n_knots - 1) / stack.cutoff
        self.leave = [_to(device, matrix) for matrix in stack.leave]
        self.blocks = [_Block(block, types) for block in stack.blocks]
        self.first: _First | None = None
        if stack.first is not None:
            knots = _to(device, np.stack([table.knots for table in stack.first.tables]))
            self.first = _First(
                wp.from_torch(knots),
                _to(device, stack.first.bias),
                wp.from_torch(types.to(torch.int32)),
                knots.shape[-1],
            )


class _Prior:
    def __init__(self, table: PairTable, device: torch.device) -> None:
        self.start, self.cutoff = table.start, table.cutoff
        self.table = wp.from_torch(_to(device, table.knots))
        self.types = wp.from_torch(_to(device, table.bead_types.astype(np.int32)))


def _to(device: torch.device, array: NDArray[Any]) -> Tensor:
    return torch.tensor(array, device=device)


def _activate(z: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """Value and derivative of the activation."""
    if activation == "tanh":
        value = torch.tanh(z)
        return value, 1.0 - value * value
    sigmoid = torch.sigmoid(z)
    if activation == "silu":
        return z * sigmoid, sigmoid * (1.0 + z * (1.0 - sigmoid))
    return functional.softplus(z) - _LOG_2, sigmoid


@contextlib.contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Matrix products in float32, not in TF32, whatever was set for training."""
    if device.type != "cuda":
        yield
        return
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    products.fp32_precision = "ieee"
    try:
        yield
    finally:
        products.fp32_precision = before
