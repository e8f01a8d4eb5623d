"""What a dataset says of itself, compared with what it holds: forces with positions, frames with each other."""

from __future__ import annotations

import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.dataset.repeated_frames import FrameRegister
from openmm_cgml.dataset.statistics import effective_samples
from openmm_cgml.errors import ArtifactError, DatasetWarning
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import box_widths, find_pairs, pair_vectors
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

__all__ = [
    "ForceScale",
    "compare_forces_with_positions",
    "find_outliers",
    "find_repeated",
    "warn_of_implausible_data",
    "warn_of_shared_frames",
]

OUTLIER_SIGMA = 50.0
_FRAMES = 200  # that forces and positions are compared in
_LEAST_FRAMES = 8
_NEIGHBORS = 12  # per bead, that the forces of unbonded beads are compared with
_SIGNIFICANT = 6.0  # standard errors
_FACTOR = 1.5
_UNITS = {
    41.84: "kcal/mol/angstrom",
    4.184: "kcal/mol/nm",
    10.0: "kJ/mol/angstrom, or positions in nm where they are in angstrom",
}


@dataclass(frozen=True, kw_only=True)
class ForceScale:
    """How large forces are beside what positions and temperature ask for; see `compare_forces_with_positions`.

    Attributes:
        ratio: 1 for equilibrium samples; the factor by which forces times lengths are too large.
        error: Its standard error.
    """

    ratio: float
    error: float

    def complaint(self, temperature: float) -> str | None:
        """A warning, if the ratio is off by more than a factor of 1.5 and than its error allows; else None."""
        off = max(self.ratio, 0.0) * _FACTOR < 1 or self.ratio > _FACTOR
        if not off or abs(self.ratio - 1) < _SIGNIFICANT * self.error:
            return None
        return (
            f"forces times lengths are {self.ratio:.3g} +- {self.error:.2g} times what equilibrium at {temperature:g} "
            f"K gives{self._unit_guess()}. Forces are in kJ/mol/nm, positions in nm, the temperature in K; check "
            "these units, that forces and positions are of the same frames, and that the frames are equilibrium samples"
        )

    def _unit_guess(self) -> str:
        if self.error > 0.1 * abs(self.ratio):
            return ""
        for factor, name in _UNITS.items():
            if abs(self.ratio * factor - 1) < 0.25:
                return f", as for forces in {name}"
            if abs(self.ratio / factor - 1) < 0.25:
                return f", a factor of {factor:g} between units"
        return ""


def compare_forces_with_positions(dataset: ForceMatchingDataset) -> ForceScale | None:
    """How large forces are beside what positions and temperature ask for; None where the data do not tell.

    In equilibrium <sum_i F_i . w_i> = -kT <sum_i div_i w_i> for any displacement field w(R), since mapped forces have
    the gradient of the potential of mean force as their mean. For bonds w stretches each bond in proportion to
    r - <r>, which gives <F (r - <r>)> = -kT <1 + 2 (r - <r>)/r>. Without bonds w pushes near beads apart by
    (1/r^2 - 1/(b r)) for r < b, whose divergence is -2/(b r^2) for each pair (Borgis et al., Mol. Phys. 111, 3486
    (2013)). Forces in kcal/mol/angstrom or positions in angstrom are off by a factor of 4 to 42. Constrained bonds tell
    nothing; frames with absurd forces are left out.
    """
    outliers = np.array(find_outliers(dataset), dtype=np.int64)
    usable = np.setdiff1d(np.arange(dataset.n_frames), outliers)
    if dataset.kind != "instantaneous" or len(usable) < _LEAST_FRAMES:
        return None
    chosen = usable[np.unique(np.linspace(0, len(usable) - 1, min(_FRAMES, len(usable))).round().astype(int))]
    frames = dataset.frames(chosen)
    work = _bond_work(dataset.topology, frames)
    if work is None:
        work = _pair_work(frames) if not len(dataset.topology.bonds) else None
    if work is None or not work[1].mean():
        return None
    observed, expected = work[0], -BOLTZMANN * dataset.temperature * work[1]
    ratio = float(observed.mean() / expected.mean())
    residual = observed - ratio * expected
    independent = effective_samples(residual[:, None])
    error = float(residual.std() / max(independent, 1.0) ** 0.5 / abs(expected.mean()))
    return ForceScale(ratio=ratio, error=error)


def find_outliers(dataset: ForceMatchingDataset, chunk_frames: int = 100) -> tuple[int, ...]:
    """Frames with a force beyond 50 robust standard deviations (1.4826 MAD of the first frames) of its bead type."""
    return tuple(np.flatnonzero(_largest_forces(dataset, chunk_frames) > OUTLIER_SIGMA).tolist())


def _largest_forces(dataset: ForceMatchingDataset, chunk_frames: int = 100) -> NDArray[np.float64]:
    """Largest force component of each frame in robust standard deviations of its bead type, shape (n_frames,)."""
    types = dataset.topology.bead_types
    first = _forces(next(dataset.chunks(chunk_frames)))
    medians = {number: float(np.median(np.abs(first[:, types == number]))) for number in np.unique(types).tolist()}
    sigma = np.maximum(1.4826 * np.array([medians[n] for n in types.tolist()]), np.finfo(np.float32).tiny)
    largest = [np.abs(_forces(chunk)).max(axis=2) / sigma for chunk in dataset.chunks(chunk_frames)]
    return np.concatenate([ratios.max(axis=1) for ratios in largest])


def find_repeated(dataset: ForceMatchingDataset) -> tuple[tuple[int, int], ...]:
    """Pairs of frames with the same positions, the earlier one first."""
    register = FrameRegister()
    return tuple(pair for chunk in dataset.chunks() for pair in register.add(chunk))


def warn_of_implausible_data(dataset: ForceMatchingDataset) -> None:
    """Warns of absurd forces, frames that are there twice or in disorder, and forces that do not fit positions."""
    largest, repeated = _largest_forces(dataset), find_repeated(dataset)
    outliers = np.flatnonzero(largest > OUTLIER_SIGMA).tolist()
    scale = compare_forces_with_positions(dataset)
    complaint = None if scale is None else scale.complaint(dataset.temperature)
    if outliers:
        worst = sorted(outliers, key=lambda frame: -largest[frame])[:10]
        listed = ", ".join(f"{frame} ({largest[frame]:.3g})" for frame in worst)
        _warn(
            f"{dataset.path}: {len(outliers)} of {dataset.n_frames} frames hold forces beyond {OUTLIER_SIGMA:g} robust "
            f"standard deviations, the worst are {listed}. One such frame can ruin a fit; leave it out "
            "when the dataset is made, if it is not meant (a start before minimization, a failed calculation)"
        )
    if repeated:
        listed = ", ".join(f"{a} and {b}" for a, b in repeated[:5])
        _warn(
            f"{dataset.path}: {len(repeated)} frames are there twice: {listed}. Where one is trained on and the other "
            "tests, errors look smaller than they are; make the dataset without them"
        )
    if complaint:
        _warn(f"{dataset.path}: {complaint}")
    back = _times_backward(dataset)
    if back is not None:
        _warn(
            f"{dataset.path}: times run backward at frame {back}. Frames are split into training, validation and test "
            "parts by their order; make a dataset of its own of each run, and leave out what a restart repeated"
        )


def _times_backward(dataset: ForceMatchingDataset) -> int | None:
    """The first frame that is not later than the one before, of instantaneous frames with times."""
    parts = [chunk.times for chunk in dataset.chunks()]
    if dataset.kind != "instantaneous" or any(part is None for part in parts):
        return None
    back = np.flatnonzero(np.diff(np.concatenate([part for part in parts if part is not None])) <= 0)
    return int(back[0]) + 1 if len(back) else None


def warn_of_shared_frames(datasets: Sequence[ForceMatchingDataset]) -> None:
    """Warns of frames that two datasets have in common."""
    register, n_frames = FrameRegister(), 0
    ends: list[int] = []
    for dataset in datasets:
        pairs = [pair for chunk in dataset.chunks() for pair in register.add(chunk)]
        shared = [(earlier, later) for earlier, later in pairs if earlier < n_frames]
        if shared:
            other = bisect_right(ends, shared[0][0])
            _warn(
                f"{dataset.path} and {datasets[other].path} have {len(shared)} frames in common, the first is frame "
                f"{shared[0][1] - n_frames} of the former: they may be trained on in one and test in the other; make "
                "the datasets without them"
            )
        n_frames += dataset.n_frames
        ends.append(n_frames)


def _warn(text: str) -> None:
    warnings.warn(text, DatasetWarning, stacklevel=3)


def _bond_work(topology: CGTopology, frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Sum F . w and sum div w of each frame for w = (r - <r>) along each bond; None without bonds that vibrate."""
    i, j = topology.bonds.T
    if not len(i):
        return None
    vectors = pair_vectors(frames.positions, frames.box, i, j)
    lengths = np.linalg.norm(vectors, axis=2)
    types = np.sort(topology.bead_types[topology.bonds], axis=1) @ (len(topology.type_names), 1)
    work, divergence = np.zeros(len(frames)), np.zeros(len(frames))
    pull = ((_forces(frames)[:, j] - _forces(frames)[:, i]) * vectors).sum(axis=2) / lengths / 2
    for kind in np.unique(types):
        own = lengths[:, types == kind]
        stretch = own - own.mean()
        if stretch.std() > 1e-3 * own.mean():
            work += (pull[:, types == kind] * stretch).sum(axis=1)
            divergence += (1 + 2 * stretch / own).sum(axis=1)
    return (work, divergence) if divergence.any() else None


def _pair_work(frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Sum F . w and sum div w of each frame for w that pushes near beads apart; None without a box or neighbors."""
    if frames.box is None or frames.n_particles < 2:
        return None
    work, divergence = np.zeros(len(frames)), np.zeros(len(frames))
    for k, (positions, box, forces) in enumerate(zip(frames.positions, frames.box, _forces(frames), strict=True)):
        box = _double(box)
        density = frames.n_particles / np.linalg.det(box)
        half = 0.4999 * float(box_widths(box).min())
        reach = min((3 * _NEIGHBORS / (4 * np.pi * density)) ** (1 / 3), half)
        i, j = find_pairs(positions, box, reach)
        vectors = pair_vectors(positions, box, i, j)
        r = np.linalg.norm(vectors, axis=1)
        push = (1 / r**2 - 1 / (reach * r)) / r
        work[k] = (((_double(forces[j]) - _double(forces[i])) * vectors).sum(axis=1) * push).sum()
        divergence[k] = -2 * (1 / (reach * r**2)).sum()
    return work, divergence


def _double(array: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(array, np.float64)


def _forces(frames: Frames) -> NDArray[np.floating]:
    if frames.forces is None:
        raise ArtifactError(
            "the dataset holds frames without forces; it was not written by this program: make it again"
        )
    return frames.forces
