"""Pair forms fitted to forces between molecules by linear least squares, with the pressure as a constraint.

The pressure is that of molecules that move as a whole: P V = N_mol k T + 1/3 <sum over pairs f_ij R_ij>, with f_ij the
force between two beads of different molecules and R_ij the vector between the centers of mass of these (or of images
of one). Only forces between molecules enter, so bonded terms need not be right for it, and the atomistic run has the
same pressure by the same formula, since mapping keeps the total force on a molecule and its center of mass.

Forms between sites are fitted to the same forces on beads: a force on a site is one on all beads that tell where the
site is, by the chain rule. Where molecules move as a whole their sites do, so forces and arms of sites make the same
pressure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.frames import Frames
from openmm_cgml.periodic import find_pairs, minimum_image
from openmm_cgml.potentials.least_squares import minimize_quadratic
from openmm_cgml.potentials.pair import PairData, PairPotential
from openmm_cgml.potentials.potential import Parameters
from openmm_cgml.potentials.three_body_features import ThreeBodyFeatures
from openmm_cgml.topology import CGTopology
from openmm_cgml.units import KJ_PER_MOL_NM3_IN_BAR
from openmm_cgml.wholeness import BondForest

_MOST_FRAMES = 400  # forces of some dozen frames are enough; see docs/priors.md
_RIDGE = 1e-6  # of its own curvature, for the square of each coefficient of three-body terms, which are much alike
_LEAST = 1e-6  # of the largest curvature of them, for those of types that never meet
_MOST_CUTS = 50
_PRESSING = 1e-7  # of the terms of a product that is as large as it may be, for what rounding leaves of it
_SMOOTHING = 1e-7  # of the mean curvature of the sum of squares, for the squares of second differences

Terms = Mapping[tuple[str, ...], Parameters]


@dataclass(frozen=True, eq=False, kw_only=True)
class InterPairs:
    """Pairs of points (beads, or sites) of different molecules, or of two images of one, in one frame.

    Attributes:
        first: Points, shape (n_pairs,).
        second: Points, shape (n_pairs,).
        vectors: From first to second [nm], shape (n_pairs, 3).
        distances: [nm], shape (n_pairs,).
        arms: From the center of mass of the first's molecule to that of the second's [nm], shape (n_pairs, 3).
        axes: What sites or centers are placed by; None where the points are the beads.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    vectors: NDArray[np.float64]
    distances: NDArray[np.float64]
    arms: NDArray[np.float64]
    axes: Any = None

    def __getitem__(self, chosen: NDArray[np.integer]) -> InterPairs:
        """Some of the pairs."""
        own = (self.first, self.second, self.vectors, self.distances, self.arms)
        first, second, vectors, distances, arms = (array[chosen] for array in own)
        return InterPairs(first=first, second=second, vectors=vectors, distances=distances, arms=arms, axes=self.axes)


@dataclass(frozen=True, eq=False, kw_only=True)
class Match:
    """A fit to forces.

    Attributes:
        parameters: Parameters of each pair of bead types.
        n_frames: Frames fitted to.
        force_rmse: Root mean square deviation of the intermolecular forces [kJ/mol/nm].
        r2: Share of their variance that the fit explains.
        pressure: Pressure of the fit in the frames [bar]; None without a box.
        free_pressure: That of the fit without the constraint.
        three_body: Parameters of each three-body term.
    """

    parameters: Mapping[tuple[str, ...], dict[str, Any]]
    n_frames: int
    force_rmse: float
    r2: float
    pressure: float | None
    free_pressure: float | None
    three_body: Mapping[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)


def match_forces(form: type[PairPotential], terms: Terms, data: PairData, *, pressure: float | None = None) -> Match:
    """Coefficients of a pair form whose forces between molecules are nearest to those of the data.

    Args:
        form: The form.
        terms: A term for each pair of bead types that says what its features are; its coefficients do not matter.
        data: Frames with forces, and the three-body term that is fitted with the pairs, if there is one.
        pressure: Pressure that the fit must have in the frames [bar].

    Raises:
        InputError: If the frames have no forces, or no box for the pressure, or the constraints contradict each other.
    """
    if pressure is not None and data.frames.box is None:
        raise InputError("the frames have no box, so there is no pressure to hold; leave it out of the fit")
    equations = NormalEquations(form, terms, data)
    solution = free = equations.solve()
    if pressure is not None:
        solution = equations.solve((equations.virial[None], np.array([equations.virial_at(pressure)])))
    return Match(
        parameters={
            types: form.from_coefficients(solution[place], terms[types]) for types, place in equations.places.items()
        },
        n_frames=equations.n_frames,
        force_rmse=equations.rmse(solution),
        r2=1 - equations.rmse(solution) ** 2 / equations.mean_square,
        pressure=equations.pressure_of(solution),
        free_pressure=equations.pressure_of(free),
        three_body=equations.three_body_of(solution),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Layer:
    """Terms between points of one kind: beads, sites or centers."""

    data: PairData
    places: Mapping[tuple[str, ...], slice]
    cutoff: float


class NormalEquations:
    """The normal equations of a fit, and the row of its pressure.

    Attributes:
        places: Where the coefficients of each term stand among all, which are n.
        matrix: Sums over frames and forces of the products of each two coefficients' forces, shape (n, n).
        vector: Sums of their products with the forces of the data [kJ/mol], shape (n,).
        virial: Mean over the frames of the sum of forces times arms by each coefficient, shape (n,).
        n_pair: Coefficients of the pair terms, which come first; those of three-body terms follow.
        n_frames: Frames fitted to.
        mean_square: Of the forces of the data [(kJ/mol/nm)^2].

    Args:
        form: The form.
        terms: See `match_forces`.
        data: See `match_forces`.

    Raises:
        InputError: If the frames have no forces.
    """

    def __init__(self, form: type[PairPotential], terms: Terms, data: PairData) -> None:
        self._form, self._terms, self._data = form, terms, data
        sizes = [len(form.to_coefficients(parameters)) for parameters in terms.values()]
        ends = np.cumsum(sizes)
        self.places = {types: slice(end - n, end) for types, n, end in zip(terms, sizes, ends, strict=True)}
        self._three_body: ThreeBodyFeatures | None = None
        if data.three_body is not None:
            topology = data.topology
            self._three_body = ThreeBodyFeatures(data.three_body, topology.bead_types, topology.type_names)
        self.n_pair = int(ends[-1])
        n = self.n_pair + (0 if self._three_body is None else self._three_body.n)
        self.matrix, self.vector, self.virial = np.zeros((n, n)), np.zeros(n), np.zeros(n)
        chosen = data.choose_frames(_MOST_FRAMES)
        frames = data.frames[chosen]
        labels = intermolecular_forces(frames, data.topology)
        self.n_frames, square = len(frames), 0.0
        layers = [self._layer(each) for each in (data, data.of_centers) if each is not None]
        searches = [inter_pairs(layer.data, layer.cutoff, chosen) for layer in layers]
        for *pairs, label in zip(*searches, labels, strict=True):
            basis = np.sum([self._basis(*both) for both in zip(layers, pairs, strict=True)], axis=0)
            target = np.asarray(label, np.float64).ravel()
            self.matrix += basis.T @ basis
            self.vector += basis.T @ target
            square += float(target @ target)
        self._n_labels = self.n_frames * 3 * data.topology.n_beads
        self.mean_square = square / self._n_labels
        self.virial /= self.n_frames
        self._volume = None if frames.box is None else float(np.mean(np.abs(np.linalg.det(frames.box))))

    def _layer(self, data: PairData) -> _Layer:
        """The terms between what the data see."""
        places = {types: self.places[types] for types in data.types}
        cutoff = form_cutoff({types: self._terms[types] for types in places})
        return _Layer(
            data=data, places=places, cutoff=cutoff if data.three_body is None else max(cutoff, data.three_body.cutoff)
        )

    def _basis(self, layer: _Layer, pairs: InterPairs) -> NDArray[np.float64]:
        """Forces on all beads by each coefficient, shape (3 n_beads, n); adds to the virial what they press."""
        data = layer.data
        n_points = len(data.points.types)
        basis = np.zeros((3 * n_points, len(self.vector)))
        for types, place in layer.places.items():
            of_types = data.points.are_of(types, pairs.first, pairs.second)
            own = pairs[np.flatnonzero(of_types & (pairs.distances < self._terms[types]["cutoff"]))]
            slopes = self._form.slopes(self._terms[types], own.distances)
            basis[:, place] = _on_points(own, slopes, n_points)
            directions = own.vectors / own.distances[:, None]
            self.virial[place] -= np.einsum("px,px->p", directions, own.arms) @ slopes
        if self._three_body is not None:
            self._add_three_body(self._three_body, pairs, basis)
        if data.sites is None or pairs.axes is None:
            return basis
        on_beads = data.sites.carry(pairs.axes, basis.reshape(n_points, 3, -1))
        return on_beads.reshape(-1, len(self.vector))

    def _add_three_body(self, features: ThreeBodyFeatures, pairs: InterPairs, basis: NDArray[np.float64]) -> None:
        """Fill in the columns of the three-body terms, and add to the virial what they press."""
        near = pairs[np.flatnonzero(pairs.distances < features.config.cutoff)]
        middle, other = np.concatenate([[near.first, near.second], [near.second, near.first]], axis=1)
        vectors, arms = (np.concatenate([each, -each]) for each in (near.vectors, near.arms))
        gradients = features.gradients(middle, other, vectors)
        basis[:, self.n_pair :] = _scattered(middle, other, gradients, len(self._data.points.types))
        self.virial[self.n_pair :] -= np.einsum("pnx,px->n", gradients, arms)

    def solve(self, equal: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None) -> NDArray[np.float64]:
        """The coefficients with the least sum of squares that keep beads apart, shape (n,).

        Three-body terms have no negative eigenvalue. That is no linear condition, but each of its eigenvectors is one:
        those of a solution are forbidden, until there are none (the method of cutting planes, Kelley, J. Soc. Ind.
        Appl. Math. 8, 703 (1960)). What is left of them after many rounds is set to zero.

        Args:
            equal: Rows, shape (m, n), and what their products with the coefficients equal, shape (m,).

        Raises:
            InputError: If the constraints contradict each other.
        """
        features = self._three_body
        cuts, solution = np.zeros((0, len(self.vector))), self._solve(equal)
        for _ in range(_MOST_CUTS if features else 0):
            assert features is not None  # the range says so
            new = features.cuts(solution[self.n_pair :])
            if not len(new):
                return solution
            pressing = cuts @ solution > -_PRESSING * np.abs(cuts) @ np.abs(solution)
            cuts = np.concatenate([cuts[pressing], np.pad(new, ((0, 0), (self.n_pair, 0)))])
            try:
                solution = self._solve(equal, cuts)
            except InputError:  # too many cuts that are nearly the same
                break
        return solution if features is None else self._clipped(features, solution, equal)

    def _solve(
        self,
        equal: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
        cuts: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """The solution whose products with each cut are not positive."""
        rows, limits = self.walls()
        if cuts is not None:
            rows, limits = np.concatenate([rows, cuts]), np.concatenate([limits, np.zeros(len(cuts))])
        return minimize_quadratic(self.regularized(), self.vector, equal=equal, at_most=(rows, limits))

    def _clipped(
        self,
        features: ThreeBodyFeatures,
        solution: NDArray[np.float64],
        equal: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    ) -> NDArray[np.float64]:
        """A solution without negative eigenvalues that is near to one that has small ones: pairs are fitted again."""
        fixed = np.eye(len(solution))[self.n_pair :]
        wanted = features.without_negative(solution[self.n_pair :])
        if equal is not None:
            fixed, wanted = np.concatenate([equal[0], fixed]), np.concatenate([equal[1], wanted])
        return self._solve((fixed, wanted))

    def regularized(self) -> NDArray[np.float64]:
        """The matrix, with second differences of each term's coefficients a little in the way."""
        result = self.matrix.copy()
        weight = _SMOOTHING * float(np.trace(self.matrix)) / len(self.matrix)
        for place in self.places.values():
            n = place.stop - place.start
            bends = np.diff(np.eye(n + 2)[:, :n], n=2, axis=0)  # coefficients beyond the cutoff are zero
            result[place, place] += weight * bends.T @ bends
        rest = np.arange(self.n_pair, len(result))
        own = np.diag(self.matrix)[rest]
        result[rest, rest] += _RIDGE * np.maximum(own, _LEAST * own.max(initial=0.0) or 1.0)
        return result

    def of_three_body(self, terms: Terms) -> NDArray[np.float64]:
        """Coefficients of three-body terms, shape (n - n_pair,), from parameters by types."""
        result = np.zeros(len(self.vector) - self.n_pair)
        if self._three_body is not None:
            for types, place in self._three_body.places.items():
                result[place] = terms[types]["coefficients"]
        return result

    def three_body_of(self, solution: NDArray[np.float64]) -> dict[tuple[str, ...], dict[str, Any]]:
        """Parameters of each three-body term."""
        if self._three_body is None:
            return {}
        own, config = solution[self.n_pair :], self._three_body.config
        return {types: config.parameters(own[place].tolist()) for types, place in self._three_body.places.items()}

    def walls(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and limits of all terms' walls."""
        rows, limits, of_centers = [], [], self._data.of_centers
        for types, place in self.places.items():
            own, limit = self._form.walls(self._terms[types])
            if of_centers is not None and types in of_centers.types:
                limit = np.maximum(limit, 0.0)  # sites keep them apart
            padded = np.zeros((len(own), len(self.vector)))
            padded[:, place] = own
            rows.append(padded)
            limits.append(limit)
        return np.concatenate(rows), np.concatenate(limits)

    def rmse(self, solution: NDArray[np.float64]) -> float:
        """Root mean square deviation of the forces [kJ/mol/nm]."""
        square = float(solution @ self.matrix @ solution - 2 * self.vector @ solution)
        return math.sqrt(max(square / self._n_labels + self.mean_square, 0.0))

    def virial_at(self, pressure: float) -> float:
        """Sum of forces times arms [kJ/mol] that makes a pressure [bar]."""
        assert self._volume is not None  # checked before
        ideal = self._data.topology.n_molecules * self._data.kt
        return 3 * (pressure * self._volume / KJ_PER_MOL_NM3_IN_BAR - ideal)

    def pressure_of(self, solution: NDArray[np.float64]) -> float | None:
        """Pressure in the frames [bar]."""
        if self._volume is None:
            return None
        ideal = self._data.topology.n_molecules * self._data.kt
        return float((ideal + self.virial @ solution / 3) / self._volume * KJ_PER_MOL_NM3_IN_BAR)


def form_cutoff(terms: Terms) -> float:
    """Longest cutoff of terms [nm]."""
    return max(float(parameters["cutoff"]) for parameters in terms.values())


def inter_pairs(data: PairData, cutoff: float, chosen: NDArray[np.int64]) -> Iterator[InterPairs]:
    """Pairs between molecules within a cutoff [nm], for each of the chosen frames."""
    topology, sites = data.topology, data.sites
    forest = BondForest.from_topology(topology)
    for index in chosen.tolist():
        positions, box = np.asarray(data.frames.positions[index], np.float64), data.box(index)
        whole = positions if box is None else positions - forest.images(positions, box) @ box
        centers = forest.centers(whole, topology.masses)
        axes = None
        if sites is not None:
            axes = sites.axes(whole)
            positions = whole = sites.place(axes)
            centers = centers[sites.owners]
        pairs = find_pairs(positions, box, cutoff, exclusions=data.points.exclusions)
        tell = forest if sites is None else sites
        i, j = pairs[:, ~tell.is_intra(positions, box, pairs)]
        vectors = minimum_image(positions[j] - positions[i], box)
        offsets = whole - centers
        yield InterPairs(
            first=i,
            second=j,
            vectors=vectors,
            distances=np.linalg.norm(vectors, axis=1),
            arms=vectors + offsets[i] - offsets[j],
            axes=axes,
        )


def _on_points(pairs: InterPairs, slopes: NDArray[np.float64], n_points: int) -> NDArray[np.float64]:
    """Forces on all points by each coefficient, from dU/dr of each pair by each, shape (3 n_points, n)."""
    from scipy.sparse import csr_array

    directions = pairs.vectors / pairs.distances[:, None]
    axes, columns = np.arange(3), np.repeat(np.arange(len(pairs.first)), 3)
    rows = [(3 * points[:, None] + axes).ravel() for points in (pairs.first, pairs.second)]
    values = np.concatenate([directions.ravel(), -directions.ravel()])
    acting = csr_array((values, (np.concatenate(rows), np.tile(columns, 2))), shape=(3 * n_points, len(pairs.first)))
    return np.asarray(acting @ slopes)


def _scattered(
    middle: NDArray[np.int64], other: NDArray[np.int64], gradients: NDArray[np.float64], n_points: int
) -> NDArray[np.float64]:
    """Forces on all points, shape (3 n_points, n), from derivatives of energies by vectors, shape (n_pairs, n, 3)."""
    from scipy.sparse import csr_array

    ones, columns = np.ones(len(middle)), np.arange(len(middle))
    rows, values = np.concatenate([middle, other]), np.concatenate([ones, -ones])
    acting = csr_array((values, (rows, np.tile(columns, 2))), shape=(n_points, len(middle)))
    n = gradients.shape[1]
    flat = np.asarray(acting @ gradients.swapaxes(1, 2).reshape(len(middle), -1))
    return flat.reshape(3 * n_points, n)


def intermolecular_forces(frames: Frames, topology: CGTopology) -> NDArray[np.floating]:
    """The intermolecular forces where they were recorded; without bonds the total forces are the same.

    Raises:
        InputError: If the frames have no forces, or molecules of several beads and no intermolecular part of them.
    """
    if frames.forces_inter is not None:
        return frames.forces_inter
    if frames.forces is None:
        raise InputError("the frames have no forces; splines are fitted to those of a force-matching dataset")
    if topology.n_molecules < topology.n_beads:
        raise InputError(
            "the frames have no intermolecular part of the forces, and in molecules of several beads the rest is not "
            "what splines between molecules are to follow; record it (`openmm-cgml reference` does, and `openmm-cgml "
            "import "
            "--rerun` for an imported run), and map again"
        )
    return frames.forces
