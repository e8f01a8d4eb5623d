"""What a recording says about the liquid, beside the force field's own known values and experiment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from openmm_cgml.analysis.block_average import compute_average
from openmm_cgml.analysis.molecules import compute_centers_of_mass
from openmm_cgml.analysis.rdf import RadialDistribution, compute_pair_distributions, compute_rdf
from openmm_cgml.analysis.result import Result
from openmm_cgml.analysis.thermo import compute_temperatures, count_degrees_of_freedom
from openmm_cgml.dataset import open_recording
from openmm_cgml.errors import InputError
from openmm_cgml.reference.chain_report import chain_observables, measure_chain_sizes
from openmm_cgml.reference.pressure import MIN_PRESSURES
from openmm_cgml.shards import FrameStore
from openmm_cgml.specification import SystemSpecification
from openmm_cgml.topology import AtomTopology
from openmm_cgml.units import BOLTZMANN

__all__ = ["Observable", "ReferenceReport", "format_report", "report_reference"]

REPORT_FILE = "report.json"
"""What a finished run leaves, once it has `MIN_FRAMES` frames."""
MIN_FRAMES = 10
"""Fewest frames that a report is made from."""
_OF_A_MIXTURE = (
    "a mixture: energies and the enthalpy of vaporization are per molecule of any kind, and peaks are those of g(r) of "
    "all centers of mass; report.json has g(r) by pair of kinds"
)
_BIN_WIDTH = 0.01  # nm
_MIN_DRIFT_SAMPLES, _SMALL_DRIFT, _DRIFT_ERRORS = 20, 0.02, 4.0
_R_MAX = 1.5  # nm


@dataclass(frozen=True, eq=False, kw_only=True)
class Observable(Result):
    """One quantity of the report.

    Attributes:
        value: The measured value.
        standard_error: Its statistical error; None if it has none.
        unit: Unit of all values; empty for plain numbers.
        simulated: What this force field is known to give; None if not known.
        experiment: Experimental value; None if not known.
    """

    value: float
    standard_error: float | None
    unit: str
    simulated: float | None
    experiment: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferenceReport(Result):
    """Summary of an atomistic recording.

    Attributes:
        system: Name of the system.
        n_frames: Frames used.
        n_molecules: Molecules in the box.
        duration: Time that the frames span [ps].
        observables: Quantities by name.
        rdf: Radial distribution function of the molecules' centers of mass, whatever their kinds; None for chains.
        notes: What is left out, and why.
        pair_rdfs: Those by pair of kinds of molecules, "MTH-HOH"; empty where there is one kind.
    """

    system: str
    n_frames: int
    n_molecules: int
    duration: float
    observables: Mapping[str, Observable]
    rdf: RadialDistribution | None
    notes: tuple[str, ...] = ()
    pair_rdfs: Mapping[str, RadialDistribution] = field(default_factory=dict)


def report_reference(
    recording: str | Path, specification: SystemSpecification, *, density_samples: np.ndarray | None = None
) -> ReferenceReport:
    """Density, energies, temperature, pressure, and enthalpy of vaporization and g(r) or sizes of chains, with errors.

    The enthalpy of vaporization is -U_inter/N + RT: the gas is taken as ideal, with the molecules' internal energy of
    the liquid; of a mixture it is that of all molecules together, per molecule. The pressure is that of
    `AtomisticBarometer` at the recorded density; a recording whose frames do not carry it has none, and a note that
    says so. Errors of averages come from their correlation time, those of g(r)'s peak from a jackknife over blocks,
    those of chains from the differences between them.

    Args:
        recording: Folder of the recording or of its run.
        specification: The system, for literature values.
        density_samples: Densities of the constant-pressure run [g/cm^3], which give the density's error.

    Raises:
        ArtifactError: There is no usable recording.
        InputError: It holds fewer than ten frames, or no intermolecular energies.
    """
    store = open_recording(recording)
    if store.n_frames < MIN_FRAMES:
        raise InputError(f"{store.path} has {store.n_frames} finished frames; a report needs at least {MIN_FRAMES}")
    atoms = AtomTopology.from_dict(store.metadata["atoms"])
    n_molecules = len(np.unique(atoms.molecules))
    centers, boxes, times, energies = _collect(store, atoms)
    interval = float(np.median(np.diff(times)))
    values = {
        "density": _density(float(store.metadata["density"]), density_samples),
        **_energies(energies, atoms, n_molecules, interval, float(store.metadata["temperature"])),
    }
    pressure, notes = _pressure(store)
    notes += _drift(density_samples)
    values |= pressure
    rdf = None
    pair_rdfs: Mapping[str, RadialDistribution] = {}
    if specification.chains:
        del values["vaporization_enthalpy"]  # chains do not evaporate
        values |= chain_observables(measure_chain_sizes(store, atoms), float(atoms.masses.sum()) / n_molecules)
    else:
        r_max = min(_R_MAX, np.floor(0.5 * boxes[:, [0, 1, 2], [0, 1, 2]].min() / _BIN_WIDTH) * _BIN_WIDTH)
        rdf = compute_rdf(centers, boxes, r_max=r_max, bin_width=_BIN_WIDTH)
        if pair_rdfs := _by_kinds(atoms, centers, boxes, r_max):
            notes += (_OF_A_MIXTURE,)
        values |= _peak(rdf, n_molecules / float(np.linalg.det(boxes.astype(float)).mean()))
    return ReferenceReport(
        system=specification.name,
        n_frames=store.n_frames,
        n_molecules=n_molecules,
        duration=float(times[-1] - times[0]) + interval,
        observables={name: _beside_literature(name, *value, specification) for name, value in values.items()},
        rdf=rdf,
        notes=notes,
        pair_rdfs=pair_rdfs,
    )


def format_report(report: ReferenceReport) -> str:
    """The report as a text table."""
    rows = [("", "this run", "force field", "experiment", "unit")]
    for name, item in report.observables.items():
        error = "" if item.standard_error is None else f" +- {item.standard_error:.2g}"
        rows.append(
            (
                name.replace("_", " "),
                f"{item.value:.4g}{error}",
                "" if item.simulated is None else f"{item.simulated:g}",
                "" if item.experiment is None else f"{item.experiment:g}",
                item.unit,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    head = f"{report.system}: {report.n_frames} frames, {report.duration:g} ps, {report.n_molecules} molecules"
    return "\n".join([head, *lines, *(f"note: {note}" for note in report.notes)])


def _collect(
    store: FrameStore, atoms: AtomTopology
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    centers, boxes, times = [], [], []
    energies: dict[str, list[np.ndarray]] = {}
    for frames in store.chunks(50):
        if "inter" not in frames.energies or frames.box is None or frames.times is None:
            raise InputError(
                f"{store.path} lacks intermolecular energies, boxes or times; record it with an interaction split"
            )
        centers.append(compute_centers_of_mass(frames.positions, atoms.masses, atoms.molecules))
        boxes.append(frames.box)
        times.append(frames.times)
        for name, values in frames.energies.items():
            energies.setdefault(name, []).append(values)
    joined = {name: np.concatenate(values).astype(float) for name, values in energies.items()}
    return np.concatenate(centers), np.concatenate(boxes), np.concatenate(times), joined


_Value = tuple[float, float | None, str]


def _density(density: float, samples: np.ndarray | None) -> _Value:
    if samples is None or len(samples) < 4:
        return density, None, "g/cm^3"
    return density, compute_average(samples).standard_error, "g/cm^3"


def _drift(samples: np.ndarray | None) -> tuple[str, ...]:
    """A note if the density of the constant-pressure run still changed: a trend of over 2 % and over four errors.

    The error of the change along n samples is sqrt(12) times that of their mean, from what is left beside the trend.
    """
    if samples is None or len(samples) < _MIN_DRIFT_SAMPLES:
        return ()
    times = np.linspace(-0.5, 0.5, len(samples))
    change, mean = np.polyfit(times, np.asarray(samples, dtype=float), 1)
    error = np.sqrt(12.0) * compute_average(samples - change * times).standard_error
    if abs(change) <= max(_DRIFT_ERRORS * error, _SMALL_DRIFT * mean):
        return ()
    return (
        f"the density still changed at constant pressure, from {mean - change / 2:.3f} to {mean + change / 2:.3f} "
        "g/cm^3: run again with longer stages, --stretch, and a longer --density-duration",
    )


def _energies(
    energies: Mapping[str, np.ndarray], atoms: AtomTopology, n_molecules: int, interval: float, temperature: float
) -> dict[str, _Value]:
    result: dict[str, _Value] = {}
    for component, name in (
        ("inter", "intermolecular_energy"),
        ("bonded", "bonded_energy"),
        ("intra_nonbonded", "intramolecular_nonbonded_energy"),
    ):
        average = compute_average(energies[component] / n_molecules, interval=interval)
        result[name] = (average.mean, average.standard_error, "kJ/mol")
    inter, error, unit = result["intermolecular_energy"]
    degrees = count_degrees_of_freedom(atoms.n_atoms, n_constraints=len(atoms.constraints), center_of_mass_fixed=True)
    warmth = compute_average(compute_temperatures(energies["kinetic"], degrees), interval=interval)
    return {
        "vaporization_enthalpy": (BOLTZMANN * temperature - inter, error, unit),
        **result,
        "temperature": (warmth.mean, warmth.standard_error, "K"),
    }


def _pressure(store: FrameStore) -> tuple[dict[str, _Value], tuple[str, ...]]:
    """The pressure at the density of the recording, or a note on why there is none."""
    recorded = store.read_pressures()
    if recorded is None:
        return {}, ("no pressure: frames were recorded without it; openmm_cgml.reference.measure_pressure finds it",)
    measured = recorded[np.isfinite(recorded)]
    if len(measured) < MIN_PRESSURES:
        return {}, (f"no pressure: it was measured in {len(measured)} frames, and {MIN_PRESSURES} are needed",)
    average = compute_average(measured)
    return {"pressure": (average.mean, average.standard_error, "bar")}, ()


def _by_kinds(
    atoms: AtomTopology, centers: np.ndarray, boxes: np.ndarray, r_max: float
) -> Mapping[str, RadialDistribution]:
    """g(r) of centers of mass by pair of kinds of molecules, which go by their first residue; empty for one kind."""
    _, first = np.unique(atoms.molecules, return_index=True)
    names = [atoms.residue_names[residue] for residue in atoms.residues[first].tolist()]
    kinds = tuple(dict.fromkeys(names))
    if len(kinds) == 1:
        return {}
    numbers = np.array([kinds.index(name) for name in names])
    found = compute_pair_distributions(
        centers,
        boxes,
        bead_types=numbers,
        type_names=kinds,
        molecules=np.arange(len(names)),
        r_max=r_max,
        bin_width=_BIN_WIDTH,
    )
    return found.inter


def _peak(rdf: RadialDistribution, number_density: float) -> dict[str, _Value]:
    """First peak, first minimum and the number of neighbors up to it, with jackknife errors."""

    def jackknife(function: Callable[[np.ndarray], float]) -> tuple[float, float | None]:
        n_blocks = len(rdf.block_g)
        if n_blocks < 2:
            return function(rdf.g), None
        total = rdf.block_g.sum(axis=0)
        left_out = np.array([function((total - block) / (n_blocks - 1)) for block in rdf.block_g])
        return function(rdf.g), float(np.sqrt((n_blocks - 1) * left_out.var()))

    highest = int(np.argmax(rdf.g))
    after = rdf.g[highest:]
    lowest = highest + int(np.argmin(after[: max(2, round(0.4 / _BIN_WIDTH))]))
    volumes = 4.0 / 3.0 * np.pi * np.diff(rdf.bin_edges**3)
    return {
        "first_peak_position": (*jackknife(lambda g: _vertex(rdf.r, g)[0]), "nm"),
        "first_peak_height": (*jackknife(lambda g: _vertex(rdf.r, g)[1]), ""),
        "first_minimum_position": (float(rdf.r[lowest]), None, "nm"),
        "coordination_number": (*jackknife(lambda g: float(number_density * (g * volumes)[: lowest + 1].sum())), ""),
    }


def _vertex(r: np.ndarray, g: np.ndarray) -> tuple[float, float]:
    """Position and height of the highest peak, from a parabola through the bins within 0.035 nm of the maximum."""
    near = np.abs(r - r[int(np.argmax(g))]) < 0.035
    a, b, c = np.polyfit(r[near], g[near], 2)
    position = -b / (2.0 * a)
    return float(position), float(c - b * b / (4.0 * a))


def _beside_literature(
    name: str, value: float, error: float | None, unit: str, specification: SystemSpecification
) -> Observable:
    known = specification.literature.get(name)
    if known is not None and known.unit != unit:
        raise InputError(
            f"literature value {name!r} of system {specification.name!r} must be in {unit!r}, not {known.unit!r}"
        )
    return Observable(
        value=value,
        standard_error=error,
        unit=unit,
        simulated=known.simulated if known else None,
        experiment=known.experiment if known else None,
    )
