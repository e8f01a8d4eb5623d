"""What is in a dataset: how much, how independent, how noisy, and how close its beads come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.correlation import effective_samples
from openmm_cgml.dataset.distances import DistanceRecord, TypePairDistances
from openmm_cgml.dataset.force_matching import ForceMatchingDataset
from openmm_cgml.dataset.plausibility import compare_forces_with_positions, find_outliers
from openmm_cgml.errors import ArtifactError
from openmm_cgml.force_scale import ForceScale
from openmm_cgml.frames import Frames
from openmm_cgml.topology import CGTopology

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
        force_scale: How large forces are beside what positions and temperature ask for; None where the data do not
            tell.
        unmapped: Residues of the recording without beads, such as solvent: how many of each kind.
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
    force_scale: ForceScale | None = None
    unmapped: Mapping[str, int] = field(default_factory=dict)

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
        if self.unmapped:
            listed = ", ".join(f"{count} {name}" for name, count in self.unmapped.items())
            lines.append(
                f"without beads: {listed}; what they do to the beads is in the forces, total and intermolecular, and "
                "the density is that of the beads alone"
            )
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
        complaint = None if self.force_scale is None else self.force_scale.complaint(self.temperature)
        if complaint:
            lines += ["", f"WARNING: {complaint}"]
        return "\n".join(lines)


def summarize(dataset: ForceMatchingDataset, *, search_range: float = 0.8, chunk_frames: int = 100) -> DatasetSummary:
    """Frames, effective samples, force statistics and closest approaches of a dataset.

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
        outlier_frames=find_outliers(dataset, chunk_frames),
        force_scale=compare_forces_with_positions(dataset),
        unmapped=dict(dataset.source.get("unmapped", {})),
    )


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
