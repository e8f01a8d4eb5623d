"""How well the priors describe the data: distributions and energies beside each other, and their differences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs, pair_distances
from openmm_cgml.potentials import BondedPotential, PairPotential
from openmm_cgml.potentials.inversion import divergence
from openmm_cgml.priors.prior_set import PriorSet
from openmm_cgml.priors.term import PriorTerm
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import BOLTZMANN

SCHEMA = "openmm-cgml/prior-report"
SCHEMA_VERSION = "1.0"

_N_BINS = {"bond": 120, "angle": 180, "torsion": 180}  # at most
_SAMPLES_PER_BIN = 100
_FINE = 10  # points of the fitted density in a bin
_LEAST_COUNT = 20  # samples that make the energy of a bin worth showing: it is good to a quarter of kT
_N_PAIR_FRAMES = 50
_PAIR_BIN = 0.005  # nm, at least


@dataclass(frozen=True, eq=False, kw_only=True)
class BondedFit:
    """One bonded term beside the data. The term counts alone, as if nothing else acted on its coordinate.

    Attributes:
        kind: "bond", "angle" or "torsion".
        term: The prior.
        values: Bin centers [nm or rad], shape (n_bins,).
        density: Density of the data [1/nm or 1/rad], shape (n_bins,).
        fitted_density: Density of the term, J exp(-U/kT) normalized, shape (n_bins,).
        energy: Energy of the term [kJ/mol], from its lowest value, shape (n_bins,).
        sampled: Bins with at least 20 samples, shape (n_sampled,).
        data_energy: -kT ln(p/J) of the data in those bins [kJ/mol], shape (n_sampled,), its mean difference from
            `energy` taken off.
        n_samples: Number of samples.
        divergence: Jensen-Shannon divergence of the two densities [bit], 0 for equal and 1 for disjoint ones.
    """

    kind: str
    term: PriorTerm
    values: NDArray[np.float64]
    density: NDArray[np.float64]
    fitted_density: NDArray[np.float64]
    energy: NDArray[np.float64]
    sampled: NDArray[np.int64]
    data_energy: NDArray[np.float64]
    n_samples: int
    divergence: float

    @property
    def residual(self) -> NDArray[np.float64]:
        """Energy of the data less that of the term [kJ/mol], shape (n_sampled,)."""
        return self.data_energy - self.energy[self.sampled]

    @property
    def largest_error(self) -> float:
        """Largest difference of the two energies where there are data [kJ/mol]."""
        return float(np.abs(self.residual).max(initial=0.0))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "kind": self.kind,
            "unit": "nm" if self.kind == "bond" else "rad",
            **self.term.to_dict(),
            "n_samples": self.n_samples,
            "jensen_shannon_divergence": _rounded(self.divergence),
            "largest_energy_error": _rounded(self.largest_error),
            **{name: _rounded(getattr(self, name)) for name in ("values", "density", "fitted_density", "energy")},
            "sampled": self.sampled.tolist(),
            "data_energy": _rounded(self.data_energy),
            "residual": _rounded(self.residual),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class RepulsionFit:
    """One excluded volume beside the potential of mean force, which the network makes of it.

    The two need not agree. The repulsion should be small where the data are, and large where they end.

    Attributes:
        term: The prior.
        values: Bin centers up to the cutoff [nm], shape (n_bins,).
        g: Radial distribution function of the pairs that repel each other, shape (n_bins,).
        energy: Energy of the repulsion [kJ/mol], shape (n_bins,).
        sampled: Bins with at least 20 pairs, shape (n_sampled,).
        data_energy: -kT ln g in those bins [kJ/mol], shape (n_sampled,).
        closest: Smallest distance in the data [nm], or None if there is none within the cutoff.
        contact_energy: Energy of the repulsion there [kT], or None.
    """

    term: PriorTerm
    values: NDArray[np.float64]
    g: NDArray[np.float64]
    energy: NDArray[np.float64]
    sampled: NDArray[np.int64]
    data_energy: NDArray[np.float64]
    closest: float | None
    contact_energy: float | None

    @property
    def residual(self) -> NDArray[np.float64]:
        """Potential of mean force less the repulsion [kJ/mol], shape (n_sampled,): what is left to the network."""
        return self.data_energy - self.energy[self.sampled]

    @property
    def excess(self) -> float:
        """The most by which the repulsion lies above the potential of mean force where there are data [kJ/mol]."""
        return float(max(0.0, (-self.residual).max(initial=0.0)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content."""
        return {
            "kind": "repulsion",
            "unit": "nm",
            **self.term.to_dict(),
            "closest": None if self.closest is None else _rounded(self.closest),
            "contact_energy_kt": None if self.contact_energy is None else _rounded(self.contact_energy),
            "excess": _rounded(self.excess),
            **{name: _rounded(getattr(self, name)) for name in ("values", "g", "energy")},
            "sampled": self.sampled.tolist(),
            "data_energy": _rounded(self.data_energy),
            "residual": _rounded(self.residual),
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class PriorReport:
    """Every prior beside the data.

    Attributes:
        temperature: Temperature of the frames [K].
        n_frames: Number of frames.
        bonded: Bonds, angles and torsions.
        repulsions: Excluded volumes; empty without a box.
    """

    temperature: float
    n_frames: int
    bonded: tuple[BondedFit, ...]
    repulsions: tuple[RepulsionFit, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON content; energies are in kJ/mol, densities in 1/nm or 1/rad."""
        return {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "temperature": {"value": self.temperature, "unit": "K"},
            "n_frames": self.n_frames,
            "terms": [*(fit.to_dict() for fit in self.bonded), *(fit.to_dict() for fit in self.repulsions)],
        }


def report_priors(priors: PriorSet, topology: CGTopology, frames: Frames, temperature: float) -> PriorReport:
    """Every term of a prior set that occurs in a topology, beside the frames.

    Args:
        priors: The priors, fitted or by hand.
        topology: Beads and bonds.
        frames: Mapped frames.
        temperature: Temperature of the frames [K].

    Raises:
        InputError: If the frames do not fit the topology, or a box is below twice the cutoff.
    """
    if frames.n_particles != topology.n_beads:
        raise InputError(f"frames have {frames.n_particles} beads, the topology {topology.n_beads}")
    kt = BOLTZMANN * temperature
    return PriorReport(
        temperature=temperature,
        n_frames=len(frames),
        bonded=tuple(_bonded_fits(priors, topology, frames, kt)),
        repulsions=tuple(_repulsion_fits(priors, topology, frames, kt)),
    )


def _bonded_fits(priors: PriorSet, topology: CGTopology, frames: Frames, kt: float) -> Iterator[BondedFit]:
    for members, term in priors.bonded_members(topology):
        weights = term.bonded.weights(frames.positions, frames.box, members)
        yield _bonded_fit(term, term.bonded.coordinate.samples(frames, members), weights, kt)


def _bonded_fit(
    term: PriorTerm, samples: NDArray[np.float64], weights: NDArray[np.float64] | None, kt: float
) -> BondedFit:
    """The fit of one type, from samples of its coordinate and what its energy is multiplied by in each."""
    form, coordinate = term.bonded, term.bonded.coordinate
    n_bins = int(np.clip(len(samples) // _SAMPLES_PER_BIN, 20, _N_BINS[coordinate.kind]))
    edges = np.linspace(*_range(form, term, samples, kt), n_bins + 1)
    width = edges[1] - edges[0]
    fine = edges[0] + width * (np.arange(n_bins * _FINE) + 0.5) / _FINE
    weight = coordinate.jacobian(fine)
    energies = form.energy_of(term.parameters, fine)
    fitted = weight * np.exp(-(energies - energies.min()) / kt)
    fitted, weight = (values.reshape(-1, _FINE).sum(axis=1) for values in (fitted, weight))
    fitted /= fitted.sum()
    counts = np.histogram(samples, bins=edges, weights=None if weights is None else weights.ravel())[0]
    shares = counts / counts.sum()
    values = (edges[1:] + edges[:-1]) / 2
    energy = form.energy_of(term.parameters, values) - energies.min()
    sampled = np.flatnonzero(counts >= _LEAST_COUNT)
    data_energy = -kt * np.log(shares[sampled] / weight[sampled])
    if len(sampled):
        data_energy -= np.average(data_energy - energy[sampled], weights=shares[sampled])
    return BondedFit(
        kind=coordinate.kind,
        term=term,
        values=values,
        density=shares / width,
        fitted_density=fitted / width,
        energy=energy,
        sampled=sampled,
        data_energy=data_energy,
        n_samples=len(samples),
        divergence=divergence(shares, fitted),
    )


def _range(
    form: type[BondedPotential], term: PriorTerm, samples: NDArray[np.float64], kt: float
) -> tuple[float, float]:
    """Ends of the coordinate; without a limit those that hold the data and five standard deviations of the term."""
    low, high = form.coordinate.limits
    if math.isfinite(high):
        return low, high
    mean, deviation = form.moments(term.parameters, kt)
    reach = 5 * deviation
    return max(low, min(mean - reach, float(samples.min()))), max(mean + reach, float(samples.max()))


def _repulsion_fits(priors: PriorSet, topology: CGTopology, frames: Frames, kt: float) -> Iterator[RepulsionFit]:
    terms = [term for term in priors.terms if issubclass(term.potential, PairPotential)]
    if frames.box is None or not terms or priors.sites:
        return  # a bead meets another by all their sites, so no one term stands beside the g(r) of beads
    exclusions = priors.excluded_pairs(topology)
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_N_PAIR_FRAMES, len(frames))).astype(int))
    kinds, distances = _pairs(topology, frames[chosen], priors.cutoff, exclusions)
    volume = float(np.abs(np.linalg.det(np.asarray(frames.box, np.float64)[chosen])).mean())
    excluded = np.bincount(_kind_of(topology, exclusions.T), minlength=len(topology.type_names) ** 2)
    beads = np.bincount(topology.bead_types, minlength=len(topology.type_names))
    for term in terms:
        types = term.types
        if set(types) - set(topology.type_names):
            continue
        a, b = sorted(topology.type_names.index(name) for name in types)
        kind = a * len(topology.type_names) + b
        n_pairs = (beads[a] * (beads[a] - 1) / 2 if a == b else beads[a] * beads[b]) - excluded[kind]
        if n_pairs > 0:
            expected = n_pairs * len(chosen) / volume
            yield _repulsion_fit(priors, term, distances[kinds == kind], expected, kt)


def _repulsion_fit(
    priors: PriorSet, term: PriorTerm, distances: NDArray[np.float64], density: float, kt: float
) -> RepulsionFit:
    """The fit of one pair of types, from the distances within the cutoff and the mean density of pairs [1/nm^3]."""
    n_bins = max(20, min(len(distances) // _SAMPLES_PER_BIN, round(priors.cutoff / _PAIR_BIN)))
    edges = np.linspace(0, priors.cutoff, n_bins + 1)
    counts = np.histogram(distances, bins=edges)[0]
    values = (edges[1:] + edges[:-1]) / 2
    g = counts / (density * 4 / 3 * np.pi * np.diff(edges**3))
    sampled = np.flatnonzero(counts >= _LEAST_COUNT)
    first, second = term.types
    closest = float(distances.min()) if len(distances) else None
    contact = None if closest is None else float(priors.pair_energy(first, second, np.array([closest]))[0]) / kt
    return RepulsionFit(
        term=term,
        values=values,
        g=g,
        energy=priors.pair_energy(first, second, values),
        sampled=sampled,
        data_energy=-kt * np.log(g[sampled]),
        closest=closest,
        contact_energy=contact,
    )


def _pairs(
    topology: CGTopology, frames: Frames, cutoff: float, exclusions: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Type pairs and distances [nm] of all pairs within the cutoff in all frames."""
    kinds, distances = [], []
    assert frames.box is not None
    for positions, box in zip(
        np.asarray(frames.positions, np.float64), np.asarray(frames.box, np.float64), strict=True
    ):
        pairs = find_pairs(positions, box, cutoff, exclusions=exclusions)
        kinds.append(_kind_of(topology, pairs))
        distances.append(pair_distances(positions, box, *pairs))
    return np.concatenate(kinds), np.concatenate(distances)


def _kind_of(topology: CGTopology, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for the two types of each of the pairs, shape (2, n_pairs), whichever comes first."""
    low, high = np.sort(topology.bead_types[pairs], axis=0)
    return low * len(topology.type_names) + high


def _rounded(values: Any) -> Any:
    """Numbers with six digits, as lists."""
    array = np.asarray(values, np.float64)
    return [float(f"{value:.6g}") for value in array] if array.ndim else float(f"{array:.6g}")
