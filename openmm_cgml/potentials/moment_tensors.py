"""Sums over pairs of neighbors of a bead, from moments of the directions and distances to each of them.

A function of two distances and the angle between them, g(r_j) h(r_k) P_l(cos theta), summed over all pairs of
neighbors, needs no loop over pairs of them: cos theta is the product of two unit vectors, so a power of it is a sum of
products of monomials of either, cos^k = sum over a + b + c = k of k! / (a! b! c!) x^a y^b z^c X^a Y^b Z^c, and the sum
over neighbors is taken of each factor first. These sums are the moment tensors of Shapeev, Multiscale Model. Simul. 14,
1153 (2016); with spherical harmonics in place of monomials they are the density moments of the atomic cluster expansion
(Drautz, Phys. Rev. B 99, 014104 (2019)) and their contraction the power spectrum of Bartok, Kondor and Csanyi,
Phys. Rev. B 87, 184115 (2013).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FIRST_POWER = 3
"""Power of (1 - r / cutoff) in the first radial function: with it two derivatives vanish at the cutoff."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Monomials:
    """The monomials x^a y^b z^c of unit vectors with a + b + c up to some degree, by degree.

    Attributes:
        exponents: a, b and c, shape (n, 3).
        degrees: a + b + c, shape (n,).
        weights: (a + b + c)! / (a! b! c!), shape (n,).
        lowered: Number of the monomial with an exponent lowered by one, and 0 where it is zero, shape (n, 3).
        parents: Number of a monomial that each is the product of with one coordinate, shape (n,).
        axes: That coordinate, shape (n,).
    """

    exponents: NDArray[np.int64]
    degrees: NDArray[np.int64]
    weights: NDArray[np.float64]
    lowered: NDArray[np.int64]
    parents: NDArray[np.int64]
    axes: NDArray[np.int64]

    def values(self, directions: NDArray[np.float64]) -> NDArray[np.float64]:
        """The monomials of unit vectors, shape (n_vectors, n), of shape (n_vectors, 3)."""
        result = np.ones((len(directions), len(self.degrees)))
        for m in range(1, len(self.degrees)):
            result[:, m] = result[:, self.parents[m]] * directions[:, self.axes[m]]
        return result

    def tangents(self, directions: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivatives of the monomials by a vector of length 1 across it, shape (n_vectors, n, 3).

        Args:
            directions: Unit vectors, shape (n_vectors, 3).
            values: The monomials of them, see `values`.
        """
        plain = self.exponents * values[:, self.lowered]
        return np.asarray(plain - (self.degrees * values)[:, :, None] * directions[:, None, :])


@lru_cache(maxsize=16)
def monomials(l_max: int) -> Monomials:
    """The monomials up to degree `l_max`."""
    listed = [
        (a, b, degree - a - b)
        for degree in range(l_max + 1)
        for a in range(degree, -1, -1)
        for b in range(degree - a, -1, -1)
    ]
    number: dict[tuple[int, ...], int] = {exponents: index for index, exponents in enumerate(listed)}
    steps = np.eye(3, dtype=np.int64)
    lowered = [[number.get(tuple((np.array(each) - step).tolist()), 0) for step in steps] for each in listed]
    axes = [int(np.argmax(np.array(e) > 0)) for e in listed]
    return Monomials(
        exponents=np.array(listed),
        degrees=np.array(listed).sum(axis=1),
        weights=np.array([math.factorial(sum(e)) / math.prod(map(math.factorial, e)) for e in listed]),
        lowered=np.array(lowered),
        parents=np.array([row[axis] for row, axis in zip(lowered, axes, strict=True)]),
        axes=np.array(axes),
    )


@lru_cache(maxsize=16)
def legendre_powers(l_max: int) -> NDArray[np.float64]:
    """Coefficients of cos^k in the Legendre polynomial P_l, at row l and column k, shape (l_max + 1, l_max + 1)."""
    result = np.zeros((l_max + 1, l_max + 1))
    for degree in range(l_max + 1):
        result[degree, : degree + 1] = np.polynomial.legendre.leg2poly([0.0] * degree + [1.0])
    return result


def radial_functions(
    distances: NDArray[np.float64], cutoff: float, n_max: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """g_n(r) = (1 - r / cutoff)^(n + 2) for n from 1 to n_max, and their derivatives [1/nm], shape (n_pairs, n_max).

    Args:
        distances: [nm], shape (n_pairs,).
        cutoff: Distance from which they are zero [nm].
        n_max: Number of functions.
    """
    inside = np.clip(1 - distances / cutoff, 0.0, None)[:, None]
    powers = np.arange(n_max) + FIRST_POWER
    return inside**powers, -powers / cutoff * inside ** (powers - 1)
