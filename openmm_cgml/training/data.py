"""Everything a fit needs from its datasets: priors, labels, splits, scales."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray

from openmm_cgml.dataset import DatasetSummary, ForceMatchingDataset, compute_conformations, summarize
from openmm_cgml.dataset.conformations import Conformations
from openmm_cgml.dataset.plausibility import warn_of_implausible_data, warn_of_shared_frames
from openmm_cgml.errors import InputError
from openmm_cgml.periodic import minimum_image
from openmm_cgml.priors import PriorSet, fit_priors
from openmm_cgml.topology import ChainTemplate, MoleculeTemplate, ResidueTemplate
from openmm_cgml.topology.architectures import find_architectures
from openmm_cgml.topology.openmm_topology import check_survives_files
from openmm_cgml.training.batches import BatchLoader, FrameStore, Key
from openmm_cgml.training.config import DataConfig, FitConfig
from openmm_cgml.training.labels import LabeledFrames, energy_offset, label, without_offset
from openmm_cgml.training.pairs import PairRule

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True)
class Scales:
    """Variances of the training labels.

    Attributes:
        forces: Of the components of the total force [(kJ/mol/nm)^2].
        inter: Of those of its intermolecular part, or 1 if it is not used.
        intra: Of those of the rest, or 1 if it is not used.
        energies: Of the energies per frame [(kJ/mol)^2], or 1 if they are not used.
    """

    forces: float
    inter: float = 1.0
    intra: float = 1.0
    energies: float = 1.0


@dataclass(frozen=True, eq=False, kw_only=True)
class FitData:
    """Data of a fit, ready for batches.

    Attributes:
        datasets: All datasets: those of frames, then mean-force ones for training, then mean-force ones for the test.
        priors: The priors.
        store: Labeled frames of all datasets, in the same order.
        keys: Frames (dataset, frame) of each split, and of "mean_force_test".
        offset: Energy per bead of each type taken off the energies [kJ/mol], shape (n_types,), or None.
        scales: Variances of the training labels.
    """

    datasets: tuple[ForceMatchingDataset, ...]
    priors: PriorSet
    store: FrameStore
    keys: dict[str, list[Key]]
    offset: NDArray[np.float64] | None
    scales: Scales

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the bead types."""
        return self.datasets[0].topology.type_names

    @property
    def templates(self) -> tuple[ResidueTemplate, ...]:
        """Kinds of residues in any dataset."""
        found = {template.name: template for dataset in self.datasets for template in dataset.templates}
        return tuple(found.values())

    @property
    def chains(self) -> tuple[ChainTemplate, ...]:
        """Polymers in any dataset."""
        found = {chain.name: chain for dataset in self.datasets for chain in dataset.chains}
        return tuple(found.values())

    @cached_property
    def architectures(self) -> tuple[MoleculeTemplate, ...]:
        """Kinds of molecules in any dataset, where it holds others than chains.

        Raises:
            InputError: If beads are not those of the residues, or could not be written to files and read back.
        """
        topologies = [dataset.topology for dataset in self.datasets]
        found = find_architectures(topologies, self.templates, self.chains)
        for topology in topologies:
            check_survives_files(topology)
            topology.recognized(self.templates, self.type_names, self.chains, found)
        return found

    def identity(self) -> dict[str, str]:
        """Digests that must not change when a fit is resumed."""
        prints = {f"dataset {i + 1}": dataset.fingerprint for i, dataset in enumerate(self.datasets)}
        return {**prints, "priors": hashlib.sha256(self.priors.to_json().encode()).hexdigest()}


def prepare_data(config: FitConfig) -> FitData:
    """Datasets opened, split and labeled.

    Args:
        config: The fit's configuration.

    Raises:
        InputError: If the datasets do not fit each other or lack what the loss needs.
        ArtifactError: If a dataset is missing or damaged.
    """
    data, training = config.data, config.training
    datasets, roles = _open(data)
    _check_alike(datasets)
    for dataset in datasets:
        warn_of_implausible_data(dataset)
    warn_of_shared_frames(datasets)
    keys = _split(data, datasets, roles)
    first = datasets[0]
    own = np.array([frame for part, frame in keys["train"] if part == 0])
    priors = fit_priors(config.priors, first.topology, first.frames(own), first.temperature)
    with_energy = config.network is not None and training.energy_weight
    components = tuple(training.energy_target.split("+")) if with_energy else ()
    parts = [
        label(
            dataset,
            priors,
            split=_is_split(config, datasets),
            energy_components=components,
            weight=data.mean_force_weight if role == "mean_force_training" else 1.0,
            dtype=np.float32 if training.precision == "float32" else np.float64,
        )
        for dataset, role in zip(datasets, roles, strict=True)
    ]
    offset = None
    if components:
        offset = energy_offset(_chosen(parts, keys["train"]))
        parts = [without_offset(part, offset) for part in parts]
    return FitData(
        datasets=tuple(datasets),
        priors=priors,
        store=FrameStore(parts, pair_rule(config, priors), getattr(torch, training.precision)),
        keys=keys,
        offset=offset,
        scales=_scales(_chosen(parts, keys["train"])),
    )


def _is_split(config: FitConfig, datasets: Sequence[ForceMatchingDataset]) -> bool:
    """Whether the intermolecular part of the forces is looked at by itself."""
    if config.network is None:
        return all(dataset.frames([0]).forces_inter is not None for dataset in datasets)
    return config.training.target == "split"


def pair_rule(config: FitConfig, priors: PriorSet) -> PairRule | None:
    """The pairs that the network of a configuration sees, as the deployed network does; None without a network."""
    network = config.network
    if network is None:
        return None
    return PairRule(
        cutoff=network.cutoff,
        intra_cutoff=(network.intra_cutoff or network.cutoff) if network.n_intra_blocks else 0.0,
        exclude_bonds=0 if network.include_bonded else priors.exclude_bonds,
    )


class FitDataModule(lightning.LightningDataModule):
    """Loaders for Lightning.

    Args:
        data: The data.
        batch_size: Frames per batch.
        seed: Seed of the order of training batches.
    """

    def __init__(self, data: FitData, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self._data, self._batch_size, self._seed = data, batch_size, seed

    def train_dataloader(self) -> BatchLoader:
        """Training batches, in another order every epoch."""
        return BatchLoader(self._data.store, self._data.keys["train"], self._batch_size, self._seed)

    def val_dataloader(self) -> BatchLoader:
        """Validation batches."""
        return BatchLoader(self._data.store, self._data.keys["validation"], self._batch_size)


def _open(data: DataConfig) -> tuple[list[ForceMatchingDataset], list[str]]:
    datasets, roles = [], []
    for role in ("datasets", "mean_force_training", "mean_force_test"):
        for path in getattr(data, role):
            dataset = ForceMatchingDataset.open(Path(path))
            if role != "datasets" and dataset.kind != "mean-force":
                raise InputError(
                    f"{path} holds {dataset.kind} forces; data.{role} takes mean forces: move it to data.datasets"
                )
            if role == "datasets" and dataset.kind == "mean-force":
                raise InputError(
                    f"{path} holds mean forces; list it in data.mean_force_training or data.mean_force_test"
                )
            datasets.append(dataset)
            roles.append(role)
    return datasets, roles


def _check_alike(datasets: Sequence[ForceMatchingDataset]) -> None:
    first = datasets[0]
    for other in datasets[1:]:
        for what, values in {
            "bead types": (first.topology.type_names, other.topology.type_names),
            "temperatures": (first.temperature, other.temperature),
            "mappings": (first.mapping_fingerprint, other.mapping_fingerprint),
        }.items():
            if values[0] != values[1]:
                raise InputError(
                    f"{first.path} and {other.path} have different {what}: {values[0]} and {values[1]}; "
                    "one force field is fitted to one temperature and one mapping"
                )
    fingerprints = [dataset.fingerprint for dataset in datasets]
    twice = next((i for i, print_ in enumerate(fingerprints) if print_ in fingerprints[:i]), None)
    if twice is not None:
        earlier = datasets[fingerprints.index(fingerprints[twice])].path
        raise InputError(f"{earlier} and {datasets[twice].path} hold the same frames; list each dataset once")


def _split(data: DataConfig, datasets: Sequence[ForceMatchingDataset], roles: Sequence[str]) -> dict[str, list[Key]]:
    keys: dict[str, list[Key]] = {name: [] for name in (*SPLITS, "mean_force_test")}
    held_out = [dataset for dataset, role in zip(datasets, roles, strict=True) if role == "mean_force_test"]
    for part, (dataset, role) in enumerate(zip(datasets, roles, strict=True)):
        if role == "datasets":
            split = dataset.split(data.fractions, n_blocks=data.n_blocks, seed=data.split_seed)
        else:
            split = {"train" if role == "mean_force_training" else role: np.arange(dataset.n_frames)}
        for name, frames in split.items():
            if role == "datasets" and name != "test":
                frames = frames[~_near_held_out(dataset, frames, held_out, data.mean_force_separation)]
                if not len(frames):
                    raise InputError(
                        f"{dataset.path}: every {name} frame is within {data.mean_force_separation:g} nm of a held-out "
                        "mean-force configuration; record longer, or lower data.mean_force_separation"
                    )
            if name == "train" and role == "datasets" and data.max_training_frames:
                wanted = min(len(frames), data.max_training_frames)
                frames = frames[np.unique(np.linspace(0, len(frames) - 1, wanted).round().astype(int))]
            keys[name] += [(part, int(frame)) for frame in frames]
    return keys


def _near_held_out(
    dataset: ForceMatchingDataset,
    frames: NDArray[np.int64],
    held_out: Sequence[ForceMatchingDataset],
    separation: float,
) -> NDArray[np.bool_]:
    """Which frames have moved less than `separation` (root mean square) from a held-out configuration."""
    near = np.zeros(len(frames), bool)
    configurations = [configuration for held in held_out for configuration in held.frames().positions]
    if not configurations or not separation or not len(frames):
        return near
    chosen = dataset.frames(frames)
    for configuration in configurations:
        if configuration.shape != chosen.positions.shape[1:]:
            continue
        for k in range(len(frames)):
            moved = minimum_image(chosen.positions[k] - configuration, None if chosen.box is None else chosen.box[k])
            near[k] |= float(np.square(moved).sum(axis=1).mean()) < separation**2
    return near


def _chosen(parts: Sequence[LabeledFrames], keys: Sequence[Key]) -> list[LabeledFrames]:
    return [
        part[frames] for i, part in enumerate(parts) if len(frames := np.array([f for p, f in keys if p == i], int))
    ]


def _scales(parts: Sequence[LabeledFrames]) -> Scales:
    def mean_square(arrays: list[Any]) -> float:
        return float(np.concatenate([np.square(a, dtype=np.float64).ravel() for a in arrays]).mean())

    instantaneous = [part for part in parts if part.force_error is None] or list(parts)
    result: dict[str, float] = {"forces": mean_square([part.reference_forces for part in instantaneous])}
    if instantaneous[0].forces_inter is not None:
        result["inter"] = mean_square([part.forces_inter for part in instantaneous])
        result["intra"] = mean_square(
            [part.forces - inter for part in instantaneous if (inter := part.forces_inter) is not None]
        )
    if instantaneous[0].energies is not None:
        result["energies"] = float(np.concatenate([part.energies for part in instantaneous]).astype(np.float64).var())
    return Scales(**{name: max(value, 1e-12) for name, value in result.items()})


def _closest_approach(priors: PriorSet, summaries: Sequence[DatasetSummary]) -> dict[str, float]:
    """Closest approach between molecules by pair of types [nm], less where the priors found pairs too rare to tell."""
    supported = priors.provenance.get("closest_approach", {})
    closest: dict[str, float] = {}
    for distances in (each for summary in summaries for each in summary.distances):
        if distances.closest_inter is None:
            continue
        name, other = "-".join(distances.types), "-".join(distances.types[::-1])
        name, other = (other, name) if other in closest else (name, other)
        known = closest.get(name, supported.get(name, supported.get(other, math.inf)))
        closest[name] = min(distances.closest_inter, known)
    return closest


def manifest_summary(data: FitData) -> dict[str, Any]:
    """What the manifest of a force field says about its data: keyword arguments of `TrainingSummary`.

    Of several datasets the density is the mean of those with the molecules of the first one, and closest approach and
    conformations are those of all.
    """
    first = data.datasets[0]
    summaries = [summarize(dataset) for dataset in data.datasets]
    densities = [
        summary.density
        for summary, dataset in zip(summaries, data.datasets, strict=True)
        if summary.density is not None and dataset.topology.fingerprint == first.topology.fingerprint
    ]
    chains = [dataset for dataset in data.datasets if len(dataset.topology.dihedrals)]
    return {
        "temperature": first.temperature,
        "density": float(np.mean(densities)) if densities else None,
        "dataset": ", ".join(dataset.fingerprint for dataset in data.datasets),
        "n_frames": len(data.keys["train"]),
        "n_molecules": first.topology.n_molecules,
        "closest_approach": _closest_approach(data.priors, summaries),
        "conformations": Conformations.together(map(compute_conformations, chains)).to_dict() if chains else {},
    }
