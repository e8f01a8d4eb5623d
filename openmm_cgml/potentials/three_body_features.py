"""Forces of a three-body term by each of its coefficients, for fits that are linear in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.potentials.moment_tensors import Monomials, legendre_powers, monomials, radial_functions
from openmm_cgml.potentials.three_body import MOST_RADIAL, Layout, ThreeBodyConfig, Types, three_body_types

_Array = NDArray[np.float64]

_DEFINITE = 1e-4
"""Share of the largest eigenvalue that a negative one may be, of mixtures that are orthogonal."""


class ThreeBodyFeatures:
    """What each coefficient of the three-body terms of some bead types does.

    Attributes:
        places: Where the coefficients of each term stand.
        n: Number of coefficients.
    """

    def __init__(self, config: ThreeBodyConfig, bead_types: NDArray[np.int64], type_names: Sequence[str]) -> None:
        """Args:
        config: Cutoff and numbers of functions.
        bead_types: Type of each bead, shape (n_beads,).
        type_names: Names of the types; terms are those of the types that occur.
        """
        self.config = config
        present, self._types = np.unique(bead_types, return_inverse=True)
        self._names = [type_names[t] for t in present]
        self._layouts = [Layout.of(types, config.n_max) for types in three_body_types(self._names)]
        ends = np.cumsum([len(layout.radial) * (config.l_max + 1) for layout in self._layouts])
        starts = [0, *ends[:-1].tolist()]
        self.places: dict[Types, slice] = {
            layout.types: slice(start, end)
            for layout, start, end in zip(self._layouts, starts, ends.tolist(), strict=True)
        }
        self.n = int(ends[-1])

    def gradients(self, middle: NDArray[np.int64], other: NDArray[np.int64], vectors: _Array) -> _Array:
        """Derivatives of the energies by the vectors [1/nm], shape (n_pairs, n, 3).

        Args:
            middle: Bead whose neighbor the other is, shape (n_pairs,); each pair of beads stands there in both orders.
            other: The other bead, shape (n_pairs,).
            vectors: From the first to the other [nm], shape (n_pairs, 3); those beyond the cutoff do nothing.
        """
        config, known = self.config, monomials(self.config.l_max)
        distances = np.linalg.norm(vectors, axis=1)
        directions = vectors / distances[:, None]
        radial, slopes = radial_functions(distances, config.cutoff, config.n_max)
        values = known.values(directions)
        moments = self._moments(middle, other, radial, values)
        along = slopes[:, :, None, None] * values[:, None, :, None] * directions[:, None, None, :]
        across = (radial / distances[:, None])[:, :, None, None] * known.tangents(directions, values)[:, None]
        steps = along + across  # by pair, radial function, monomial and direction
        result = np.zeros((len(middle), self.n, 3))
        for layout in self._layouts:
            place = self.places[layout.types]
            one, center, last = map(self._names.index, layout.types)
            for index, (n, k) in enumerate(layout.radial):
                begin = place.start + index * (config.l_max + 1)
                columns = slice(begin, begin + config.l_max + 1)
                orders = {(one, n, last, k), (last, k, one, n)} if (one, n) != (last, k) else {(one, n, last, k)}
                for own, own_radial, partner, partner_radial in sorted(orders):
                    chosen = np.flatnonzero((self._types[middle] == center) & (self._types[other] == own))
                    weights = moments[middle[chosen], partner, partner_radial]
                    result[chosen, columns] += self._by_degree(known, steps[chosen, own_radial], weights)
                if one == last:
                    chosen = np.flatnonzero((self._types[middle] == center) & (self._types[other] == one))
                    result[chosen, columns] -= _of_one(radial, slopes, directions, chosen, n, k)[:, None]
        return result

    def cuts(self, coefficients: _Array) -> _Array:
        """Rows whose products with coefficients should be at most zero and are not for these, shape (n_rows, n).

        The energy of a bead is half of a quadratic form of moments for each l, less what each neighbor would have
        alone. Where a form has a negative eigenvalue, beads that crowd along its eigenvector gain energy with the
        square of their number; the rows forbid that of these eigenvectors.

        Args:
            coefficients: Shape (n,).
        """
        rows = [np.zeros((0, self.n))]
        found = [np.linalg.eigh(self._mix.T @ coefficients[places] @ self._mix) for places in self._forms]
        limit = -_DEFINITE * max(float(np.abs(values).max()) for values, _ in found)
        for places, (values, vectors) in zip(self._forms, found, strict=True):
            for vector in (self._mix @ vectors).T[values < limit]:
                row = np.zeros((1, self.n))
                np.add.at(row[0], places, -np.outer(vector, vector))
                rows.append(row / np.abs(row).max())
        return np.concatenate(rows)

    def without_negative(self, coefficients: _Array) -> _Array:
        """The coefficients with their negative eigenvalues, see `cuts`, set to zero, shape (n,)."""
        result, back = coefficients.copy(), np.linalg.inv(self._mix)
        for places in self._forms:
            values, vectors = np.linalg.eigh(self._mix.T @ coefficients[places] @ self._mix)
            result[places] = back.T @ (vectors * np.maximum(values, 0.0)) @ vectors.T @ back
        return result

    @cached_property
    def _forms(self) -> list[NDArray[np.int64]]:
        """Where the coefficients of each quadratic form stand, shape (n_channels, n_channels) each."""
        n_max, size = self.config.n_max, len(self._names) * self.config.n_max
        result = []
        for center in range(len(self._names)):
            places = np.zeros((size, size), np.int64)
            for layout in self._layouts:
                one, middle, last = map(self._names.index, layout.types)
                for index, (n, k) in enumerate(layout.radial if middle == center else ()):
                    place = self.places[layout.types].start + index * (self.config.l_max + 1)
                    places[one * n_max + n, last * n_max + k] = places[last * n_max + k, one * n_max + n] = place
            result += [places + degree for degree in range(self.config.l_max + 1)]
        return result

    @cached_property
    def _mix(self) -> _Array:
        """What makes channels of radial functions that are orthogonal from half of the cutoff on, of size 1.

        The functions themselves are much alike, so that the eigenvalues of their coefficients tell little; which signs
        they have is the same for any mixture.
        """
        points, weights = np.polynomial.legendre.leggauss(4 * MOST_RADIAL)
        radial, _ = radial_functions(self.config.cutoff * (0.75 + 0.25 * points), self.config.cutoff, self.config.n_max)
        lower = np.linalg.cholesky(radial.T @ (weights[:, None] * radial))
        return np.kron(np.eye(len(self._names)), lower)

    def _moments(self, middle: NDArray[np.int64], other: NDArray[np.int64], radial: _Array, values: _Array) -> _Array:
        """Moments of the neighbors of each bead, shape (n_beads, n_types, n_max, n_monomials)."""
        from scipy.sparse import csr_array

        n_types, n_rows = len(self._names), len(self._types) * len(self._names)
        each = (radial[:, :, None] * values[:, None, :]).reshape(len(middle), -1)
        rows = middle * n_types + self._types[other]
        adding = csr_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(n_rows, len(rows)))
        return np.asarray(adding @ each).reshape(len(self._types), n_types, self.config.n_max, -1)

    def _by_degree(self, known: Monomials, steps: _Array, weights: _Array) -> _Array:
        """Products of monomials summed up to Legendre polynomials, shape (n_pairs, l_max + 1, 3)."""
        products = steps * (known.weights * weights)[:, :, None]
        starts = np.searchsorted(known.degrees, np.arange(self.config.l_max + 1))
        by_power = np.add.reduceat(products, starts, axis=1)
        return np.einsum("lk,pkx->plx", legendre_powers(self.config.l_max), by_power)


def _of_one(radial: _Array, slopes: _Array, directions: _Array, chosen: NDArray[np.int64], n: int, k: int) -> _Array:
    """Derivatives of g_n g_k, or of half of it where n is k, by the vectors of some pairs, shape (n_chosen, 3)."""
    slope = radial[chosen, n] * slopes[chosen, k] + slopes[chosen, n] * radial[chosen, k]
    return np.asarray((slope * (0.5 if n == k else 1.0))[:, None] * directions[chosen])
