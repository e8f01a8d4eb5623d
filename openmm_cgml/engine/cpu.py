"""The deployed network on a CPU: tabulated filters, compiled pair loops, analytic forces."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from openmm_cgml.engine import kernels
from openmm_cgml.engine.deployed import DeployedNetwork
from openmm_cgml.engine.neighbors import pairs_within, perpendicular_widths
from openmm_cgml.engine.tables import BakedBlock, BakedReadout, bake
from openmm_cgml.errors import SimulationError

PARITY = 1e-3
"""Largest accepted force difference from the exact network, as a fraction of the root mean square force."""

MANY_BEADS = 5000
"""Above this many beads matrix products use all threads."""

_Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Pairs:
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]
    distances: NDArray[np.float64]

    def __getitem__(self, chosen: NDArray[np.bool_] | slice) -> _Pairs:
        return _Pairs(self.first[chosen], self.second[chosen], self.vectors[chosen], self.distances[chosen])


class TabulatedNetwork:
    """What `DeployedNetwork` computes, from filter tables: the same within `PARITY`, many times faster.

    The first call also evaluates the exact network in float64 and compares.
    """

    def __init__(self, deployed: DeployedNetwork) -> None:
        self._deployed = deployed
        self._baked = bake(deployed.network)
        self._types = deployed.topology.bead_types
        self._molecules = deployed.topology.molecules
        self._excluded = None if deployed.include_bonded else deployed.excluded.numpy()
        self._one_molecule_each = len(np.unique(self._molecules)) == deployed.n_beads
        self._skin = deployed.neighbors.skin
        self._threads = _single_thread_limit(deployed.n_beads)
        self._listed: NDArray[np.int64] | None = None
        self._listed_at = np.zeros((0, 3))
        self._listed_box = np.zeros((3, 3))
        self.parity: float | None = None
        """Largest force difference found by the first call over the root mean square force."""

    def __call__(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        """Energy [kJ/mol] and forces [kJ/mol/nm], shape (n_beads, 3).

        Args:
            positions: Positions [nm], shape (n_beads, 3).
            box: Reduced box vectors [nm], shape (3, 3), or None.

        Raises:
            SimulationError: If the box is too small, something is not finite, or the tables differ from the network.
        """
        with self._threads.limit(limits=1) if self._threads is not None else contextlib.nullcontext():
            energy, forces = self._evaluate(np.ascontiguousarray(positions, dtype=np.float64), box)
        if not (np.isfinite(energy) and np.all(np.isfinite(forces))):
            bad = np.flatnonzero(~np.isfinite(forces).all(axis=1))
            raise SimulationError(
                f"the network gives energy {energy} kJ/mol, and forces that are not finite on {len(bad)} beads"
                f" ({bad[:5].tolist()} ...); the positions before this step are the last good ones"
            )
        if self.parity is None:
            self._check_parity(positions, box, forces)
        return energy, forces

    def _evaluate(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None
    ) -> tuple[float, NDArray[np.float64]]:
        pairs = self._pairs(positions, box)
        inter, intra = self._split(pairs)
        baked = self._baked
        embedded = baked.embedding[self._types]
        slopes_inter = np.zeros(len(inter.first))
        slopes_intra = np.zeros(len(intra.first))
        x, inter_tape = _forward(embedded, baked.inter, inter, baked.activation)
        y, intra_tape = _forward(embedded, baked.intra, intra, baked.activation) if baked.intra else (None, [])
        if baked.intra_readout is not None and y is not None:
            energy, grad_x = _read_out(x, baked.readout, baked.activation)
            more, grad_y = _read_out(y, baked.intra_readout, baked.activation)
            energy += more
        else:
            energy, grad_x = _read_out(x if y is None else x + y, baked.readout, baked.activation)
            grad_y = grad_x
        _backward(grad_x, baked.inter, inter, inter_tape, slopes_inter)
        if baked.intra:
            _backward(grad_y, baked.intra, intra, intra_tape, slopes_intra)
        forces = np.zeros_like(positions)
        kernels.pair_forces(inter.first, inter.second, inter.vectors, inter.distances, slopes_inter, forces)
        if baked.intra:
            kernels.pair_forces(intra.first, intra.second, intra.vectors, intra.distances, slopes_intra, forces)
        return energy, forces

    def _pairs(self, positions: NDArray[np.float64], box: NDArray[np.float64] | None) -> _Pairs:
        cutoff = self._deployed.cutoff
        if not np.all(np.isfinite(positions)):
            bead = int(np.flatnonzero(~np.isfinite(positions).all(axis=1))[0])
            raise SimulationError(
                f"the position of bead {bead} is {positions[bead].tolist()}; the run was unstable before this step"
            )
        if box is None:
            extent = positions.max(axis=0) - positions.min(axis=0)
            cell = np.diag(extent + 3 * (cutoff + self._skin))
        else:
            cell = np.ascontiguousarray(box, dtype=np.float64)
        if self._is_outdated(positions, cell, box is None):
            self._rebuild(positions, cell, box is not None)
        listed = self._listed
        assert listed is not None
        size = listed.shape[1]
        first, second = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
        vectors, distances = np.empty((size, 3)), np.empty(size)
        n = kernels.near_pairs(positions, listed, cell, box is not None, cutoff, first, second, vectors, distances)
        return _Pairs(first[:n], second[:n], vectors[:n], distances[:n])

    def _is_outdated(self, positions: NDArray[np.float64], cell: NDArray[np.float64], free: bool) -> bool:
        if self._listed is None or not (free or np.array_equal(cell, self._listed_box)):
            return True
        moved = ((positions - self._listed_at) ** 2).sum(axis=1).max()
        return not moved < 0.25 * self._skin**2

    def _rebuild(self, positions: NDArray[np.float64], cell: NDArray[np.float64], periodic: bool) -> None:
        cutoff, box = self._deployed.cutoff, torch.from_numpy(cell)
        if periodic and 2 * cutoff > (narrowest := float(perpendicular_widths(box).min())):
            raise SimulationError(
                f"the box is {narrowest:.4g} nm wide, less than twice the network's cutoff of"
                f" {cutoff:g} nm; use a larger box"
            )
        self._listed = pairs_within(torch.from_numpy(positions), box, cutoff + self._skin).numpy()
        self._listed_at, self._listed_box = positions.copy(), cell.copy()

    def _split(self, pairs: _Pairs) -> tuple[_Pairs, _Pairs]:
        if self._one_molecule_each:
            return pairs, pairs[:0]
        if self._excluded is not None:
            pairs = pairs[~np.isin(pairs.first * len(self._types) + pairs.second, self._excluded)]
        same = self._molecules[pairs.first] == self._molecules[pairs.second]
        network = self._deployed.network
        inter, intra = ~same, same
        if self._deployed.has_intra and network.cutoff != network.intra_cutoff:
            inter = inter & (pairs.distances < network.cutoff)
            intra = intra & (pairs.distances < network.intra_cutoff)
        return pairs[inter], pairs[intra]

    def _check_parity(
        self, positions: NDArray[np.float64], box: NDArray[np.float64] | None, forces: NDArray[np.float64]
    ) -> None:
        network = self._deployed.network
        dtype = network.embedding.weight.dtype
        try:
            network.to(torch.float64)
            with torch.enable_grad():
                _, exact = self._deployed(torch.tensor(positions), None if box is None else torch.tensor(box))
        finally:
            network.to(dtype)
        scale = float(torch.sqrt((exact**2).mean())) or 1.0
        self.parity = float(np.abs(forces - exact.numpy()).max()) / scale
        if not self.parity < PARITY:
            raise SimulationError(
                f"the filter tables differ from the network by {self.parity:.2g} of the rms force, more than"
                f" {PARITY:g}; run the exact network instead (exact=True)"
            )


def _single_thread_limit(n_beads: int) -> ThreadpoolController | None:
    """What keeps matrix products on one thread, or None where that is not needed.

    Products of some thousand rows take microseconds; threads that wait for each other by spinning cost far more, and
    on a machine with other work to do a step can take fifty times as long.
    """
    controller = ThreadpoolController()
    if n_beads > MANY_BEADS or all(pool["num_threads"] == 1 for pool in controller.info()):
        return None
    return controller


def _forward(
    x: _Array, blocks: tuple[BakedBlock, ...], pairs: _Pairs, activation: str
) -> tuple[_Array, list[tuple[_Array, _Array]]]:
    tape = []
    for block in blocks:
        h = x @ block.enter.T
        message = np.zeros_like(h)
        kernels.convolve(pairs.first, pairs.second, pairs.distances, block.table.knots, block.table.cutoff, h, message)
        z = message @ block.leave.T + block.leave_bias
        value, slope = _activate(z, activation)
        x = x + value @ block.mix.T + block.mix_bias
        tape.append((h, slope))
    return x, tape


def _backward(
    grad: _Array,
    blocks: tuple[BakedBlock, ...],
    pairs: _Pairs,
    tape: list[tuple[_Array, _Array]],
    slopes: NDArray[np.float64],
) -> None:
    for number in range(len(blocks) - 1, -1, -1):
        block, (h, slope) = blocks[number], tape[number]
        grad_message = ((grad @ block.mix) * slope) @ block.leave
        arguments = (
            pairs.first,
            pairs.second,
            pairs.distances,
            block.table.knots,
            block.table.cutoff,
            h,
            grad_message,
            slopes,
        )
        if number == 0:  # the first block sees embeddings, which no position changes
            kernels.convolve_slopes(*arguments)
        else:
            grad_h = np.zeros_like(h)
            kernels.convolve_back(*arguments, grad_h)
            grad = grad + grad_h @ block.enter


def _read_out(x: _Array, readout: BakedReadout, activation: str) -> tuple[float, _Array]:
    value, slope = _activate(x @ readout.hidden.T + readout.hidden_bias, activation)
    energy = float((value @ readout.out).sum(dtype=np.float64)) + readout.out_bias * len(x)
    return energy, (slope * readout.out) @ readout.hidden  # type: ignore[return-value]


def _activate(z: _Array, activation: str) -> tuple[_Array, _Array]:
    """Value and derivative of the activation."""
    if activation == "tanh":
        value = np.tanh(z)
        return value, 1 - value * value
    sigmoid = torch.sigmoid(torch.from_numpy(z)).numpy()
    if activation == "silu":
        return z * sigmoid, sigmoid * (1 + z * (1 - sigmoid))
    return torch.nn.functional.softplus(torch.from_numpy(z)).numpy() - np.float32(np.log(2.0)), sigmoid
