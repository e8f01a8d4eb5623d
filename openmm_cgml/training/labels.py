"""Labels of a fit: what the priors leave over of the mapped forces and energies. Never stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset import ForceMatchingDataset
from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import wrap
from openmm_cgml.priors import PriorSet
from openmm_cgml.topology import CGTopology

_CHUNK = 100
_PER_FRAME = ("positions", "box", "forces", "forces_inter", "prior_forces", "prior_inter", "force_error", "energies")


@dataclass(frozen=True, eq=False, kw_only=True)
class LabeledFrames:
    """Frames of one dataset with what the network has to learn.

    Attributes:
        topology: The beads.
        positions: Positions, wrapped into the box [nm], shape (n_frames, n_beads, 3).
        box: Box vectors [nm], shape (n_frames, 3, 3), or None.
        forces: Mapped forces less the priors' [kJ/mol/nm], shape (n_frames, n_beads, 3).
        forces_inter: Intermolecular part of the mapped forces less the intermolecular priors', or None.
        prior_forces: Forces of the priors [kJ/mol/nm], shape (n_frames, n_beads, 3).
        prior_inter: Their intermolecular part, or None without `forces_inter`.
        force_error: Standard error of averaged forces [kJ/mol/nm], same shape, or None.
        energies: U_A less the priors' energy and the offset [kJ/mol], shape (n_frames,), or None; NaN for mean forces,
            which have no energies.
        weight: Weight of each frame in the loss.
    """

    topology: CGTopology
    positions: NDArray[np.floating]
    box: NDArray[np.floating] | None
    forces: NDArray[np.floating]
    forces_inter: NDArray[np.floating] | None
    prior_forces: NDArray[np.floating]
    prior_inter: NDArray[np.floating] | None = None
    force_error: NDArray[np.floating] | None
    energies: NDArray[np.floating] | None
    weight: float = 1.0

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, frames: NDArray[np.integer]) -> LabeledFrames:
        arrays = {name: getattr(self, name) for name in _PER_FRAME}
        chosen: dict[str, Any] = {name: None if a is None else a[frames] for name, a in arrays.items()}
        return replace(self, **chosen)

    @property
    def reference_forces(self) -> NDArray[np.floating]:
        """The mapped forces themselves [kJ/mol/nm], shape (n_frames, n_beads, 3)."""
        return self.forces + self.prior_forces


def label(
    dataset: ForceMatchingDataset,
    priors: PriorSet,
    *,
    split: bool,
    energy_components: Sequence[str] = (),
    weight: float = 1.0,
    dtype: type[np.floating] = np.float32,
) -> LabeledFrames:
    """All frames of a dataset with the priors subtracted.

    Args:
        dataset: The dataset.
        priors: The priors in use.
        split: Whether the intermolecular part of the forces is wanted too.
        energy_components: Names of the energies that make U_A; none for no energies.
        weight: Weight of each frame in the loss.
        dtype: Floating-point type to keep.

    Raises:
        InputError: If the dataset lacks what is asked for.
    """
    _check_fields(dataset, split, energy_components)
    parts = [_label_chunk(frames, dataset, priors, split, energy_components) for frames in dataset.chunks(_CHUNK)]
    joined = {
        name: None if parts[0][name] is None else np.concatenate([part[name] for part in parts]).astype(dtype)  # type: ignore[misc]
        for name in parts[0]
    }
    return LabeledFrames(topology=dataset.topology, weight=weight, **joined)  # type: ignore[arg-type]


def energy_offset(parts: Sequence[LabeledFrames]) -> NDArray[np.float64]:
    """Energy per bead of each type that makes the mean residual energy zero [kJ/mol], shape (n_types,).

    The least-squares solution of smallest norm: with one composition only its sum over the beads is determined.

    Args:
        parts: Labeled frames whose energies still hold the offset.
    """
    counts, targets = [], []
    for part in parts:
        assert part.energies is not None
        n_types = len(part.topology.type_names)
        counts.append(np.tile(np.bincount(part.topology.bead_types, minlength=n_types), (len(part), 1)))
        targets.append(part.energies.astype(np.float64))
    known = np.isfinite(np.concatenate(targets))
    design = np.concatenate(counts).astype(np.float64)[known]
    solution = np.linalg.lstsq(design, np.concatenate(targets)[known], rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def without_offset(part: LabeledFrames, offset: NDArray[np.float64]) -> LabeledFrames:
    """The frames with the offset taken off their energies.

    Args:
        part: Labeled frames.
        offset: Energy per bead of each type [kJ/mol], shape (n_types,).
    """
    assert part.energies is not None
    shift = offset[part.topology.bead_types].sum()
    return replace(part, energies=(part.energies.astype(np.float64) - shift).astype(part.energies.dtype))


def _check_fields(dataset: ForceMatchingDataset, split: bool, components: Sequence[str]) -> None:
    first = dataset.frames(slice(0, 1))
    if split and first.forces_inter is None:
        raise InputError(
            f"{dataset.path} holds no forces_inter, which target: split needs; record it with `openmm-cgml reference`, "
            "or set training.target to total"
        )
    missing = [name for name in components if name not in first.energies]
    if missing and dataset.kind != "mean-force":
        raise InputError(
            f"{dataset.path} holds no energy {missing[0]!r} (it has {', '.join(sorted(first.energies)) or 'none'}), "
            "which the energy term needs; set training.energy_weight to 0 or record it"
        )


def _label_chunk(
    frames: Frames, dataset: ForceMatchingDataset, priors: PriorSet, split: bool, components: Sequence[str]
) -> dict[str, NDArray[np.floating] | None]:
    assert frames.forces is not None
    topology = dataset.topology
    prior_energies, prior_forces = priors.evaluate(topology, frames)
    inter = prior_inter = energies = None
    if split or (components and "bonded" not in components):
        inter_energies, inter_forces = priors.evaluate(topology, frames, part="inter")
    if split:
        assert frames.forces_inter is not None
        inter, prior_inter = frames.forces_inter - inter_forces, inter_forces
    if components:
        counted = prior_energies if "bonded" in components else inter_energies
        energies = np.full(len(frames), np.nan)
        if dataset.kind != "mean-force":
            energies = sum(np.asarray(frames.energies[name], dtype=np.float64) for name in components) - counted
    return {
        "positions": wrap(frames.positions, frames.box),
        "box": frames.box,
        "forces": frames.forces - prior_forces,
        "forces_inter": inter,
        "prior_forces": prior_forces,
        "prior_inter": prior_inter,
        "force_error": frames.force_error,
        "energies": energies,
    }
