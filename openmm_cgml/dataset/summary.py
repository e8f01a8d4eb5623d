"""What is in a dataset: how much, how independent, how noisy, and how close its beads come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.dataset.distances import DistanceRecord, TypePairDistances
from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.errors import ArtifactError
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology

OUTLIER_SIGMA = 50.0
DALTON_PER_NM3 = 1.66053906660e-3
"""One dalton per cubic nanometer [g/cm^3]."""


@dataclass(frozen=True, kw_only=True)
class TypeForces:
    """Forces on the beads of one type: root mean squares per component [kJ/mol/nm].

    Attributes:
        type_name: The bead type.
        n_beads: Beads of this type.
        total: Of the total force.
        inter: Of its intermolecular part, None if that was not recorded.
        error: Of the standard error of mean forces, None for instantaneous ones.
    """

    type_name: str
    n_beads: int
    total: float
    inter: float | None
    error: float | None


@dataclass(frozen=True, kw_only=True)
class DatasetSummary:
    """What `summarize` found.

    Attributes:
        kind: "instantaneous" or "mean-force".
        n_frames: Frames.
        n_beads: Beads.
        n_molecules: Molecules.
        temperature: Temperature [K].
        density: Mean density [g/cm^3], None without a box.
        duration: Time from the first to the last frame [ps], None without times.
        effective_frames_force: Independent frames, judged by the autocorrelation of the forces.
        effective_frames_energy: The same for the intermolecular energy, None if not recorded.
        inter_energy: Mean intermolecular energy per molecule [kJ/mol], None if not recorded.
        forces: Forces by bead type.
        distances: Distances by pair of types.
        search_range: Range within which closest approaches were searched [nm].
        outlier_frames: Frames with a force component beyond 50 robust standard deviations of its type.
    """

    kind: str
    n_frames: int
    n_beads: int
    n_molecules: int
    temperature: float
    density: float | None
    duration: float | None
    effective_frames_force: float
    effective_frames_energy: float | None
    inter_energy: float | None
    forces: tuple[TypeForces, ...]
    distances: tuple[TypePairDistances, ...]
    search_range: float
    outlier_frames: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return asdict(self)

    def to_text(self) -> str:
        """The summary as a few lines and two tables."""
        lines = [
            f"{self.n_frames} frames ({self.kind}) of {self.n_beads} beads in {self.n_molecules} molecules "
            f"at {self.temperature:g} K" + ("" if self.density is None else f", {self.density:.3f} g/cm3"),
            ("" if self.duration is None else f"{self.duration:g} ps; ")
            + f"effective frames: {self.effective_frames_force:.0f} by the forces"
            + ("" if self.effective_frames_energy is None else f", {self.effective_frames_energy:.0f} by the energy"),
        ]
        if self.inter_energy is not None:
            lines.append(f"intermolecular energy per molecule: {self.inter_energy:.2f} kJ/mol")
        header = ["bead type", "beads", "force rms", "inter", "error"]
        rows = [[f.type_name, str(f.n_beads), *_cells((f.total, f.inter, f.error), 1)] for f in self.forces]
        lines += ["", "forces per component [kJ/mol/nm]", *_table(header, rows)]
        header = ["types", "closest inter", "closest intra", "bond min", "bond max", "bond mean", "bond std"]
        rows = [["-".join(d.types), *_cells(list(asdict(d).values())[1:], 4)] for d in self.distances]
        lines += ["", f"distances [nm], closest approaches within {self.search_range:.3g} nm", *_table(header, rows)]
        if self.outlier_frames:
            shown = ", ".join(map(str, self.outlier_frames[:10]))
            lines += ["", f"WARNING: {len(self.outlier_frames)} frames with forces beyond 50 sigma: {shown}"]
        return "\n".join(lines)


def summarize(dataset: ForceMatchingDataset, *, search_range: float = 0.8, chunk_frames: int = 100) -> DatasetSummary:
    """Returns frames, effective samples, force statistics and closest approaches of a dataset.

    Args:
        dataset: The dataset.
        search_range: Range within which closest approaches are searched [nm]; at most half the smallest box width.
        chunk_frames: Frames worked on at a time.
    """
    topology = dataset.topology
    forces, distances = _ForceSums(topology), DistanceRecord(topology, search_range)
    followed = np.linspace(0, topology.n_beads - 1, min(topology.n_beads, 200)).astype(np.int64)
    parts: dict[str, list[NDArray[np.floating]]] = {"followed": [], "times": [], "inter": [], "density": []}
    for chunk in dataset.chunks(chunk_frames):
        forces.add(chunk)
        distances.add(chunk)
        parts["followed"].append(_forces(chunk)[:, followed])
        if chunk.times is not None:
            parts["times"].append(chunk.times)
        if "inter" in chunk.energies:
            parts["inter"].append(chunk.energies["inter"])
        if chunk.box is not None:
            parts["density"].append(topology.masses.sum() * DALTON_PER_NM3 / np.linalg.det(chunk.box))
    inter = np.concatenate(parts["inter"]) if parts["inter"] else None
    times = np.concatenate(parts["times"]) if parts["times"] else None
    followed_forces = np.concatenate(parts["followed"]).reshape(dataset.n_frames, -1)
    return DatasetSummary(
        kind=dataset.kind,
        n_frames=dataset.n_frames,
        n_beads=dataset.n_beads,
        n_molecules=topology.n_molecules,
        temperature=dataset.temperature,
        density=float(np.concatenate(parts["density"]).mean()) if parts["density"] else None,
        duration=None if times is None else float(times.max() - times.min()),
        effective_frames_force=effective_samples(followed_forces, centered=True),
        effective_frames_energy=None if inter is None else effective_samples(inter[:, None]),
        inter_energy=None if inter is None else float(inter.mean()) / topology.n_molecules,
        forces=forces.result(),
        distances=distances.result(),
        search_range=distances.search_range,
        outlier_frames=_outliers(dataset, chunk_frames),
    )


def effective_samples(series: NDArray[np.floating], *, centered: bool = False) -> float:
    """Returns the number of independent samples among correlated ones, n / (1 + 2 sum of the autocorrelation).

    The sum stops where the autocorrelation, averaged over the columns, first falls to zero (Chodera et al., J. Chem.
    Theory Comput. 3, 26 (2007)).

    Args:
        series: Samples in order, shape (n_samples, n_series).
        centered: The means are known to be zero and not subtracted.
    """
    n_samples = len(series)
    if n_samples < 3:
        return float(n_samples)
    correlation = np.zeros(n_samples)
    for column in range(0, series.shape[1], 30):
        values = np.asarray(series[:, column : column + 30], dtype=np.float64)
        values = values if centered else values - values.mean(axis=0)
        spectrum = np.fft.rfft(values, n=2 * n_samples, axis=0)
        correlation += np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:n_samples].sum(axis=1)
    if correlation[0] <= 0:
        return 1.0
    correlation = correlation / correlation[0]  # with the weights 1 - t/n that a finite series has
    below = np.flatnonzero(correlation <= 0)
    stop = below[0] if len(below) else n_samples
    return float(n_samples / (1 + 2 * correlation[1:stop].sum()))


class _ForceSums:
    """Sums of squared force components by bead type."""

    def __init__(self, topology: CGTopology) -> None:
        self._topology = topology
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._n_frames = 0

    def add(self, frames: Frames) -> None:
        self._n_frames += len(frames)
        for name in ("forces", "forces_inter", "force_error"):
            values = getattr(frames, name)
            if values is not None:
                squares = np.einsum("fbx,fbx->b", values, values, dtype=np.float64)
                self._sums[name] = self._sums.get(name, 0.0) + squares

    def result(self) -> tuple[TypeForces, ...]:
        return tuple(
            TypeForces(
                type_name=name,
                n_beads=int((self._topology.bead_types == number).sum()),
                total=self.rms("forces", number),
                inter=self.rms("forces_inter", number),
                error=self.rms("force_error", number),
            )
            for number, name in enumerate(self._topology.type_names)
            if (self._topology.bead_types == number).any()
        )

    def rms(self, name: str, bead_type: int) -> Any:
        """Root mean square per component of one kind of force on one type, None if not recorded."""
        if name not in self._sums:
            return None
        return float(np.sqrt(self._sums[name][self._topology.bead_types == bead_type].mean() / (3 * self._n_frames)))


def _forces(frames: Frames) -> NDArray[np.floating]:
    if frames.forces is None:
        raise ArtifactError(
            "the dataset holds frames without forces; it was not written by this program: make it again"
        )
    return frames.forces


def _outliers(dataset: ForceMatchingDataset, chunk_frames: int) -> tuple[int, ...]:
    """Returns the frames with a component beyond 50 robust standard deviations (1.4826 MAD of the first frames)."""
    types = dataset.topology.bead_types
    first = _forces(next(dataset.chunks(chunk_frames)))
    medians = {number: float(np.median(np.abs(first[:, types == number]))) for number in np.unique(types).tolist()}
    limits = OUTLIER_SIGMA * 1.4826 * np.array([medians[number] for number in types.tolist()])[None, :, None]
    found: list[int] = []
    for number, chunk in enumerate(dataset.chunks(chunk_frames)):
        beyond = (np.abs(_forces(chunk)) > np.maximum(limits, np.finfo(np.float32).tiny)).any(axis=(1, 2))
        found += (number * chunk_frames + np.flatnonzero(beyond)).tolist()
    return tuple(found)


def _cells(values: Any, digits: int) -> list[str]:
    return ["-" if value is None else f"{value:.{digits}f}" for value in values]


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    return [
        "  "
        + "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in [header, *rows]
    ]
