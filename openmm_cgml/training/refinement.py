"""`refine`: a force-matched network adjusted until its own simulation has the structure of the reference.

Force matching reproduces mean forces, not the distribution, as far as the network cannot represent the true many-body
mean force. The relative entropy between the reference and the model's ensemble has the gradient
beta (<dU/dtheta>_reference - <dU/dtheta>_model) (Shell, J. Chem. Phys. 129, 144108 (2008)), so a few small steps along
it, each with frames of a simulation that goes on with the present weights, close what is left. The same averages make
the structure fit, so g(r) is then no independent test any more; mean forces, temperature and energies still are.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pydantic
import torch
from numpy.typing import NDArray

from openmm_cgml.analysis import RadialDistribution, compute_rdf
from openmm_cgml.analysis.compare import compare_rdf
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.config import Config, Friction, Time
from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError, TrainingError
from openmm_cgml.force_field import ForceField
from openmm_cgml.interruption import Interruption
from openmm_cgml.networks import SchNet
from openmm_cgml.networks.schnet import PairList
from openmm_cgml.storage import (
    OutputKind,
    check_output,
    hold_output,
    read_object,
    refusing_damage,
    write_atomically,
    write_sealed_json,
)
from openmm_cgml.topology import CGTopology
from openmm_cgml.training.pairs import PairFinder, PairRule, distances
from openmm_cgml.training.refinement_state import PREVIOUS, STATE, read_state, write_state
from openmm_cgml.units import BOLTZMANN

_HISTORY, _PICTURE = "refinement.csv", "refinement.png"
OUTPUT = OutputKind(verb="refine", marker="refine.json", members=("force_field", STATE, PREVIOUS, _HISTORY, _PICTURE))
REFINED = (
    "Refined by relative entropy after force matching, so its structure is not an independent test; errors of forces "
    'under "Training" are those before this step.'
)
"""What the description of a refined force field says."""

Progress = Callable[[int, int, float], None]


class RefineConfig(Config):
    """Settings of a refinement.

    Attributes:
        rounds: Simulations, each followed by `steps` changes of the weights.
        duration: Simulated time whose frames a round uses [ps].
        equilibration: Simulated time before it, longer by `first_equilibration` in the first round [ps].
        first_equilibration: See there [ps].
        frame_interval: Time between frames [ps].
        time_step: Integration step [ps].
        friction: Friction of the Langevin thermostat [1/ps].
        steps: Optimizer steps per round.
        batch_size: Frames of each ensemble per step.
        learning_rate: Of Adam in the first round; it falls to zero along a quarter of a cosine.
        reference_frames: Training frames of the reference that are used.
        seed: Seed of the choice of frames and of the thermostat.
        threads: CPU threads.
    """

    rounds: int = pydantic.Field(default=20, ge=1)
    duration: Time = pydantic.Field(default=10.0, gt=0)
    equilibration: Time = pydantic.Field(default=1.0, ge=0)
    first_equilibration: Time = pydantic.Field(default=5.0, ge=0)
    frame_interval: Time = pydantic.Field(default=0.5, gt=0)
    time_step: Time = pydantic.Field(default=0.004, gt=0)
    friction: Friction = 1.0
    steps: int = pydantic.Field(default=10, ge=1)
    batch_size: int = pydantic.Field(default=12, ge=1)
    learning_rate: float = pydantic.Field(default=1e-4, gt=0)
    reference_frames: int = pydantic.Field(default=300, ge=1)
    seed: int = pydantic.Field(default=0, ge=0, lt=2**31)
    threads: int | None = pydantic.Field(default=None, ge=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class RefineResult:
    """What a refinement left behind.

    Attributes:
        force_field: The refined force field.
        path: Its folder.
        history: One row per round: round, energy difference per bead between the ensembles [kT], and the RMSE of g(r)
            of centers of mass over the frames of that round.
    """

    force_field: ForceField
    path: Path
    history: tuple[dict[str, float], ...]


def refine(
    force_field: ForceField,
    dataset: ForceMatchingDataset,
    output: str | os.PathLike[str],
    config: RefineConfig | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RefineResult:
    """Adjust a network until the ensemble it generates is that of the reference, and write the force field.

    Writes `force_field/`, `refine.json` (the settings) and `refinement.csv` into `output`.

    Args:
        force_field: A fitted force field; it is not changed.
        dataset: Mapped reference frames at constant volume; the frames of its training blocks are used.
        output: Folder to write into.
        config: Settings.
        resume: Go on after the last finished round.
        overwrite: Replace what is there.
        progress: Called after each round with its number, the number of rounds and the RMSE of g(r).

    Raises:
        InputError: If the force field has no network or does not fit the dataset.
        OutputExistsError: If `output` holds something and neither flag is set.
        TrainingError: If the simulation became unstable.
    """
    config = config or RefineConfig()
    if force_field.network is None:
        raise InputError(f"{force_field.name} has no network; there is nothing to refine")
    if dataset.kind != "instantaneous":
        raise InputError(f"{dataset.path} holds {dataset.kind} frames, which are no ensemble; give an ordinary dataset")
    place: dict[str, Any] = {"overwrite": overwrite, "resume": resume, "inputs": [dataset.path]}
    check_output(output, OUTPUT, **place)
    refinement = _Refinement(force_field, dataset, config)  # refuses what does not fit before anything is written
    with hold_output(output, OUTPUT, **place) as output, Interruption() as interruption:
        identity = {"force_field": force_field.fingerprint, "dataset": dataset.fingerprint, **config.model_dump()}
        check_identity(output / OUTPUT.marker, identity)
        history = refinement.restore(output)
        while len(history) < config.rounds:
            interruption.raise_again()
            history.append(refinement.do_round(len(history)))
            refinement.store(output, history)
            if progress is not None:
                progress(len(history), config.rounds, history[-1]["gr_com_rmse"])
        refined = _with_network(force_field, refinement.network, identity)
        path = refined.save(output / "force_field", overwrite=True)
    return RefineResult(force_field=refined, path=path, history=tuple(history))


class _Refinement:
    """The state of a refinement: weights, optimizer, and where the simulation stands."""

    def __init__(self, force_field: ForceField, dataset: ForceMatchingDataset, config: RefineConfig) -> None:
        assert force_field.network is not None
        self._config, self._temperature = config, dataset.temperature
        self._topology = force_field.bead_topology(dataset.topology)
        self._rng = np.random.default_rng(config.seed)
        if config.threads:
            torch.set_num_threads(config.threads)
        training = dataset.split()["train"]
        chosen = self._rng.permutation(training)[: config.reference_frames]
        reference = dataset.frames(np.sort(chosen))
        if reference.box is None or np.ptp(reference.box, axis=0).max() > 1e-6:
            raise InputError(f"{dataset.path}: the box changes or is missing; give a run at constant volume")
        self._box = reference.box[0].astype(np.float64)
        self.network = _copy(force_field.network)
        self._force_field = replace(force_field, network=self.network)
        self._energies = _EnsembleEnergy(self.network, self._topology, self._box, force_field.priors.exclude_bonds)
        self._reference = [self._energies.pairs(x) for x in reference.positions]
        self._reference_g = self._gr(reference.positions)
        self._positions = reference.positions[0].astype(np.float64)
        self._velocities: NDArray[np.float64] | None = None
        self._optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, betas=(0.5, 0.99))

    def do_round(self, number: int) -> dict[str, float]:
        """Simulate with the present weights, then change them; returns the row of the history."""
        frames = self._simulate(number)
        generated = [self._energies.pairs(x) for x in frames]
        rate = self._config.learning_rate * math.cos(0.5 * math.pi * number / self._config.rounds)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # A round's random numbers depend on its number alone, so that a resumed refinement draws the same.
        rng = np.random.default_rng([self._config.seed, number])
        self.network.requires_grad_(True)
        for _ in range(self._config.steps):
            difference = self._mean(self._reference, rng) - self._mean(generated, rng)
            loss = difference / (BOLTZMANN * self._temperature * self._topology.n_beads)
            if not bool(torch.isfinite(loss)):
                raise TrainingError(f"round {number}: energy difference {float(loss.detach())}; lower learning_rate")
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        self.network.requires_grad_(False)
        return {
            "round": float(number),
            "energy_difference_kT": float(loss.detach()),
            "gr_com_rmse": compare_rdf(self._gr(frames), self._reference_g),
        }

    def _mean(self, ensemble: list[_Pairs], rng: np.random.Generator) -> torch.Tensor:
        size = min(self._config.batch_size, len(ensemble))
        return self._energies([ensemble[i] for i in rng.choice(len(ensemble), size, replace=False)]).mean()

    def _simulate(self, number: int) -> NDArray[np.float64]:
        config = self._config
        system = self._force_field.create_system(self._topology, ml_backend="PythonForce", box=self._box)
        integrator = openmm.LangevinMiddleIntegrator(self._temperature, config.friction, config.time_step)
        integrator.setRandomNumberSeed(config.seed + number + 1)
        context = openmm.Context(system, integrator)
        context.setPositions(self._positions)
        if self._velocities is None:
            context.setVelocitiesToTemperature(self._temperature, config.seed + 1)
        else:
            context.setVelocities(self._velocities)
        wait = config.equilibration + (config.first_equilibration if number == 0 else 0.0)
        frames = []
        try:
            integrator.step(round(wait / config.time_step))
            for _ in range(max(2, round(config.duration / config.frame_interval))):
                integrator.step(max(1, round(config.frame_interval / config.time_step)))
                frames.append(context.getState(positions=True).getPositions(asNumpy=True)._value)
        except openmm.OpenMMException as error:
            raise TrainingError(f"round {number}: the simulation is unstable ({error}); lower learning_rate") from error
        state = context.getState(positions=True, velocities=True)
        self._positions = state.getPositions(asNumpy=True)._value
        self._velocities = state.getVelocities(asNumpy=True)._value
        return np.array(frames)

    def _gr(self, positions: NDArray[np.floating]) -> RadialDistribution:
        centers = compute_centers_of_mass(positions, self._topology.masses, self._topology.molecules)
        return compute_rdf(centers, np.broadcast_to(self._box, (len(centers), 3, 3)), r_max=1.2)

    def store(self, output: Path, history: list[dict[str, float]]) -> None:
        """Write everything a resumed refinement needs."""
        tensors = {f"network.{name}": tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        for index, values in self._optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value.contiguous() for name, value in values.items()}
        assert self._velocities is not None
        tensors |= {"positions": torch.tensor(self._positions), "velocities": torch.tensor(self._velocities)}
        write_state(output, tensors, {"history": history})
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
        write_atomically(output / _HISTORY, text.getvalue())

    def restore(self, output: Path) -> list[dict[str, float]]:
        """Take up what `store` wrote, if anything; returns the history."""
        found = read_state(output)
        if found is None:
            return []
        tensors, content = found
        with refusing_damage(output):
            history: list[dict[str, float]] = [dict(row) for row in content["history"]]
            self._load_weights(tensors)
            self._positions, self._velocities = tensors["positions"].numpy(), tensors["velocities"].numpy()
        return history

    def _load_weights(self, tensors: dict[str, torch.Tensor]) -> None:
        weights = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
        wanted = {name: tensor.shape for name, tensor in self.network.state_dict().items()}
        if {name: tensor.shape for name, tensor in weights.items()} != wanted:
            raise ValueError("the weights are not those of this network")
        self.network.load_state_dict(weights)
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


class _EnsembleEnergy:
    """Network energies of frames of one topology in one box."""

    def __init__(self, network: SchNet, topology: CGTopology, box: NDArray[np.float64], exclude_bonds: int) -> None:
        self._network, self._box, self._n = network, box, topology.n_beads
        self._types = torch.tensor(topology.bead_types)
        rule = PairRule(
            cutoff=network.cutoff,
            intra_cutoff=network.intra_cutoff if network.config.n_intra_blocks else 0.0,
            exclude_bonds=0 if network.config.include_bonded else exclude_bonds,
        )
        self._finder = PairFinder(topology, rule)

    def pairs(self, positions: NDArray[np.floating]) -> _Pairs:
        """The pairs of a frame and their distances."""
        x = np.asarray(positions, np.float64)
        found = self._finder.find(x, self._box)
        return _Pairs(
            found.inter, distances(x, self._box, found.inter), found.intra, distances(x, self._box, found.intra)
        )

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


def _with_network(force_field: ForceField, network: SchNet, identity: dict[str, Any]) -> ForceField:
    manifest = force_field.manifest
    provenance = {**manifest.provenance, "refinement": identity}
    description = f"{manifest.description.rstrip('. ')}. {REFINED}".lstrip(". ")
    changed = manifest.model_copy(update={"validation": None, "provenance": provenance, "description": description})
    return replace(force_field, network=_copy(network), manifest=changed)


def check_identity(path: Path, identity: dict[str, Any]) -> None:
    """Write what identifies a refinement, or compare it with what is there.

    Raises:
        InputError: If the refinement there is another one.
    """
    if path.exists():
        known = read_object(path)
        changed = [name for name in identity if name != "threads" and known.get(name) != identity[name]]
        if changed:
            raise InputError(
                f"{path.parent}: the refinement there differs in {', '.join(changed)}; resume it with the same "
                "settings, or start again with --overwrite"
            )
    write_sealed_json(path, identity)
