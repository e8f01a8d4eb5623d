"""A force-matched network adjusted until its own simulation has the structure of the reference.

Force matching reproduces mean forces, not the distribution, as far as the network cannot represent the true many-body
mean force. The relative entropy between the reference and the model's ensemble has the gradient
beta (<dU/dtheta>_reference - <dU/dtheta>_model) (Shell, J. Chem. Phys. 129, 144108 (2008)), so a few small steps along
it, each with frames of a simulation that goes on with the present weights, close what is left. The same averages make
the structure fit, so g(r) is then no independent test any more; mean forces, temperature and energies still are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis.compare import compare_rdf
from openmm_cgml.errors import ArtifactError, InputError, TrainingError
from openmm_cgml.force_field import ForceField
from openmm_cgml.frames import Frames
from openmm_cgml.networks import SchNet
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.periodic import pair_distances
from openmm_cgml.refinement.config import NetworkRefinementConfig
from openmm_cgml.refinement.ensemble import Ensemble
from openmm_cgml.refinement.target import Row, Target
from openmm_cgml.topology import CGTopology
from openmm_cgml.training.pairs import PairFinder, PairRule
from openmm_cgml.units import BOLTZMANN


class NetworkTarget(Target):
    """The weights of the network.

    Its rows are one for each round: difference of the mean energy per bead between the ensembles [kT], and the root
    mean square difference of g(r) of centers of mass.

    Args:
        force_field: A fitted force field; it is not changed.
        ensemble: The reference.
        config: Settings.

    Raises:
        InputError: If the force field has no network.
    """

    provenance_key: ClassVar[str] = "refinement"
    description: ClassVar[str] = (
        "Refined by relative entropy after force matching, so its structure is not an independent test; errors of "
        'forces under "Training" are those before this step.'
    )

    def __init__(self, force_field: ForceField, ensemble: Ensemble, config: NetworkRefinementConfig) -> None:
        if force_field.network is None:
            raise InputError(f"{force_field.name} has no network; there is nothing to refine")
        self._config, self._ensemble = config, ensemble
        self._network = _copy(force_field.network)
        self.force_field = replace(force_field, network=self._network)
        self._energies = _EnsembleEnergy(self._network, ensemble, force_field.priors.exclude_bonds)
        self._reference = self._energies.all_pairs(ensemble.reference)
        self._reference_g = ensemble.compute_gr(ensemble.reference)
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=config.learning_rate, betas=(0.5, 0.99))

    def measure(self, frames: Frames, number: int) -> list[Row]:
        """See `Target.measure`."""
        generated = self._energies.all_pairs(frames)
        with torch.no_grad():
            means = [self._mean(pairs, len(pairs)) for pairs in (self._reference, generated)]
        return [
            {
                "round": number,
                "energy_difference_kT": float(self._reduced(means[0] - means[1])),
                "gr_com_rmse": compare_rdf(self._ensemble.compute_gr(frames), self._reference_g),
            }
        ]

    def change(self, frames: Frames, number: int) -> None:
        """See `Target.change`."""
        generated = self._energies.all_pairs(frames)
        rate = self._config.learning_rate * math.cos(0.5 * math.pi * number / self._config.rounds)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # A round's random numbers depend on its number alone, so that a resumed refinement draws the same.
        rng = np.random.default_rng([self._config.seed, number])
        self._network.requires_grad_(True)
        for _ in range(self._config.steps):
            chosen = [_choose(ensemble, self._config.batch_size, rng) for ensemble in (self._reference, generated)]
            loss = self._reduced(self._energies(chosen[0]).mean() - self._energies(chosen[1]).mean())
            if not bool(torch.isfinite(loss)):
                raise TrainingError(f"round {number}: energy difference {float(loss.detach())}; lower learning_rate")
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        self._network.requires_grad_(False)
        # A new object: what depends on the weights is kept with the force field that had them.
        self.force_field = replace(self.force_field, network=_copy(self._network))

    def _reduced(self, energy: torch.Tensor) -> torch.Tensor:
        return energy / (BOLTZMANN * self._ensemble.temperature * self._ensemble.topology.n_beads)

    def _mean(self, pairs: list[_Pairs], n: int) -> torch.Tensor:
        size = self._config.batch_size
        return torch.cat([self._energies(pairs[start : start + size]) for start in range(0, n, size)]).mean()

    def is_converged(self, rows: Sequence[Row]) -> bool:
        """Never: the schedule of the learning rate says when it ends."""
        return False

    def progress_of(self, rows: Sequence[Row]) -> float:
        """The root mean square difference of g(r) of centers of mass."""
        return float(rows[-1]["gr_com_rmse"])

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """See `Target.state`."""
        tensors = {f"network.{name}": tensor.contiguous() for name, tensor in self._network.state_dict().items()}
        for index, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value.contiguous() for name, value in values.items()}
        return tensors, {}

    def restore(self, tensors: Mapping[str, torch.Tensor], content: Mapping[str, Any]) -> None:
        """See `Target.restore`."""
        weights = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        wanted = {name: tensor.shape for name, tensor in self._network.state_dict().items()}
        if {name: tensor.shape for name, tensor in weights.items()} != wanted:
            raise ArtifactError("the weights are not those of this network")
        self._network.load_state_dict(weights)
        self.force_field = replace(self.force_field, network=_copy(self._network))
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("adam."):
                _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})


@dataclass(frozen=True, eq=False)
class _Pairs:
    inter: NDArray[np.int32]
    inter_distances: NDArray[np.floating]
    intra: NDArray[np.int32]
    intra_distances: NDArray[np.floating]


def _choose(ensemble: list[_Pairs], size: int, rng: np.random.Generator) -> list[_Pairs]:
    return [ensemble[i] for i in rng.choice(len(ensemble), min(size, len(ensemble)), replace=False)]


class _EnsembleEnergy:
    """Network energies of frames of one topology."""

    def __init__(self, network: SchNet, ensemble: Ensemble, exclude_bonds: int) -> None:
        topology: CGTopology = ensemble.topology
        self._network, self._n = network, topology.n_beads
        self._types = torch.tensor(topology.bead_types)
        rule = PairRule(
            cutoff=network.cutoff,
            intra_cutoff=network.intra_cutoff if network.config.n_intra_blocks else 0.0,
            exclude_bonds=0 if network.config.include_bonded else exclude_bonds,
        )
        self._finder = PairFinder(topology, rule)

    def all_pairs(self, frames: Frames) -> list[_Pairs]:
        """The pairs of each frame and their distances."""
        assert frames.box is not None  # refinement refuses references without one
        return [self.pairs(x, box) for x, box in zip(frames.positions, frames.box, strict=True)]

    def pairs(self, positions: NDArray[np.floating], box: NDArray[np.floating]) -> _Pairs:
        """The pairs of a frame and their distances."""
        x, cell = np.asarray(positions, np.float64), np.asarray(box, np.float64)
        found = self._finder.find(x, cell)
        inter, intra = (pair_distances(x, cell, *pairs) for pairs in (found.inter, found.intra))
        return _Pairs(found.inter, inter, found.intra, intra)

    def __call__(self, frames: list[_Pairs]) -> torch.Tensor:
        """Energy of each frame [kJ/mol], shape (n_frames,), differentiable by the weights."""
        lists = []
        for kind in ("inter", "intra"):
            pairs = np.concatenate(
                [getattr(f, kind).astype(np.int64) + k * self._n for k, f in enumerate(frames)], axis=1
            )
            r = np.concatenate([getattr(f, f"{kind}_distances") for f in frames])
            first, second = torch.from_numpy(pairs)
            lists.append(PairList(first, second, torch.tensor(r, dtype=self._network.embedding.weight.dtype)))
        energies: torch.Tensor = self._network(self._types.repeat(len(frames)), *lists)
        return energies.double().reshape(len(frames), self._n).sum(1)


def _copy(network: SchNet) -> SchNet:
    copied = SchNet(network.config, network.n_types)
    copied.load_state_dict(network.state_dict())
    return copied.requires_grad_(False)
