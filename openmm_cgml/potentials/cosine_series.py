"""What cosine angles and torsions have in common: sums of k_n cos(n x), also as polynomials of cos(x)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from openmm_cgml.config import Energy
from openmm_cgml.errors import InputError
from openmm_cgml.potentials.bonded import Basis, BondedConfig, BondedPotential, Fit, Parameters
from openmm_cgml.potentials.inversion import Samples
from openmm_cgml.potentials.potential import Parameter, check_indices, frozen_array

if TYPE_CHECKING:
    import torch

N_HARMONICS = 6
"""Coefficients of a series of cosines, k_1 to k_6."""
COSINES: Mapping[str, Parameter] = {f"k{n + 1}": Parameter(unit="kJ/mol", signed=True) for n in range(N_HARMONICS)}
"""The parameters of a series."""

Coefficients = Annotated[tuple[Energy, ...], Field(min_length=1, max_length=N_HARMONICS)]


class CosineConfig(BondedConfig):
    """A series of cosines, sum over n of k_n (1 + cos(n x)).

    Attributes:
        coefficients: [k_1, k_2, ...], "fit", or a mapping from bead types such as "A-B-B-A" to either.
        harmonics: Length of a fitted series.
    """

    form: Literal["cosine"] = "cosine"
    coefficients: Fit | Coefficients | dict[str, Fit | Coefficients] = "fit"
    harmonics: int = Field(default=4, ge=1, le=N_HARMONICS)

    def settings(self) -> dict[str, Any]:
        """See `BondedConfig.settings`."""
        return {"coefficients": self.coefficients}


@dataclass(frozen=True, eq=False, kw_only=True)
class CosineSeries(BondedPotential):
    """A series of cosines of an angle or a torsion. Its features are cos(n x).

    Attributes:
        indices: Beads of each term in the order of their bonds, shape (n_terms, n_beads).
        coefficients: k_1, k_2, ... of each term [kJ/mol], of either sign, shape (n_terms, n_harmonics).

    Raises:
        InputError: If shapes disagree, a bead repeats or a coefficient is not finite.
    """

    parameters: ClassVar[Mapping[str, Parameter]] = COSINES

    indices: NDArray[np.int64]
    coefficients: NDArray[np.float64]

    def __post_init__(self) -> None:
        kind = self.coordinate.kind
        indices = frozen_array(self.indices, np.int64, (None, self.coordinate.n_beads), f"{kind} indices")
        object.__setattr__(self, "indices", indices)
        coefficients = frozen_array(self.coefficients, np.float64, (len(indices), None), f"{kind} coefficients")
        object.__setattr__(self, "coefficients", coefficients)
        check_indices(indices, kind)

    @classmethod
    def bind(cls, indices: NDArray[np.int64], terms: Sequence[Parameters]) -> Self:
        """See `BondedPotential.bind`; without harmonics that no term has."""
        rows = np.array([[term[name] for name in COSINES] for term in terms]).reshape(len(terms), N_HARMONICS)
        used = int(np.flatnonzero(rows.any(axis=0)).max(initial=0)) + 1
        return cls(indices=indices, coefficients=rows[:, :used])

    def minima(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `BondedPotential.minima`."""
        return series_minima(self.coefficients, np.pi)

    @classmethod
    def basis_for(cls, samples: Samples, kt: float, config: BondedConfig) -> Basis:
        """See `BondedPotential.basis_for`."""
        assert isinstance(config, CosineConfig)  # the class that this form declares
        return Basis(origin=samples.mean, n=config.harmonics)

    @classmethod
    def basis_of(cls, parameters: Parameters, origin: float) -> Basis:
        """See `BondedPotential.basis_of`; up to the last harmonic that is not zero."""
        values = [parameters[name] for name in COSINES]
        return Basis(origin=origin, n=int(np.flatnonzero(values).max(initial=0)) + 1)

    @classmethod
    def features(cls, values: NDArray[np.float64], basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.features`."""
        return np.asarray(np.cos(np.arange(1, basis.n + 1) * values[..., None]))

    @classmethod
    def to_coefficients(cls, parameters: Parameters, basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.to_coefficients`."""
        return np.array([parameters[name] for name in COSINES][: basis.n])

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], basis: Basis) -> dict[str, float]:
        """See `BondedPotential.from_coefficients`."""
        return cosine_parameters(coefficients.tolist())

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], config: BondedConfig) -> dict[str, float]:
        """See `BondedPotential.from_settings`."""
        return cosine_parameters(given["coefficients"])

    @classmethod
    def fit(cls, samples: Samples, kt: float, given: Mapping[str, Any], config: BondedConfig) -> dict[str, float]:
        """See `BondedPotential.fit`."""
        try:
            return super().fit(samples, kt, given, config)
        except InputError as error:
            raise InputError(f"{error}; lower {cls.coordinate.section}.harmonics") from error


def cosine_parameters(coefficients: Sequence[float]) -> dict[str, float]:
    """Parameters of a series of at most six coefficients k_1, k_2, ... [kJ/mol], the rest being zero.

    Raises:
        InputError: If there are none, or more than six.
    """
    if not 1 <= len(coefficients) <= N_HARMONICS:
        raise InputError(
            f"a series of cosines has {len(coefficients)} coefficients; it takes 1 to {N_HARMONICS}: k1, k2, ..."
        )
    values = [*map(float, coefficients), *[0.0] * (N_HARMONICS - len(coefficients))]
    return dict(zip(COSINES, values, strict=True))


def series_minima(coefficients: NDArray[np.float64], highest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angle of least energy of each series within 0 to `highest` [rad] and the curvature there [kJ/mol/rad^2].

    Args:
        coefficients: Shape (n_terms, n_harmonics) [kJ/mol].
        highest: The largest angle [rad].
    """
    kinds, kind_of = np.unique(coefficients, axis=0, return_inverse=True)
    order = np.arange(1, coefficients.shape[1] + 1)
    angles = np.linspace(0, highest, 1801)
    deepest = angles[np.argmin(kinds @ np.cos(order[:, None] * angles), axis=1)]
    curvature = -(kinds * order**2 * np.cos(order * deepest[:, None])).sum(axis=1)
    return deepest[kind_of.ravel()], curvature[kind_of.ravel()]


def lowest(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least value of sum over n of k_n (1 + cos(n x)) for each series [kJ/mol], shape (n_terms,).

    Args:
        coefficients: Shape (n_terms, n_harmonics) [kJ/mol].
    """
    order = np.arange(1, coefficients.shape[1] + 1)
    deepest = series_minima(coefficients, np.pi)[0]
    return np.asarray((coefficients * (1 + np.cos(order * deepest[:, None]))).sum(axis=1))


def powers_of_cosine(coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients of the powers of cos(x) in sum over n of k_n (1 + cos(n x)), shape (n_terms, n_harmonics + 1).

    Args:
        coefficients: Shape (n_terms, n_harmonics) [kJ/mol].
    """
    n = coefficients.shape[1] + 1
    chebyshev = np.zeros((n, n))
    for order in range(n):
        chebyshev[order, : order + 1] = np.polynomial.chebyshev.cheb2poly([0.0] * order + [1.0])
    return np.asarray(np.column_stack([coefficients.sum(axis=1), coefficients]) @ chebyshev)


def cosine_series(cosine: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """Sum over n = 1, 2, ... of k_n (1 + cos(n x)) [kJ/mol], shape (..., n_terms).

    cos(n x) is the Chebyshev polynomial T_n of cos(x), so neither the angle nor its sine is needed, and the derivative
    is finite at 0 and 180 degrees.

    Args:
        cosine: cos(x) of each term, shape (..., n_terms).
        coefficients: k_1, k_2, ... of each term [kJ/mol], shape (n_terms, n_harmonics).
    """
    before, present = cosine.new_ones(cosine.shape), cosine
    energy = cosine.new_zeros(cosine.shape)
    for harmonic in coefficients.unbind(-1):
        energy = energy + harmonic * (1 + present)
        before, present = present, 2 * cosine * present - before
    return energy


def cosine_between(first: torch.Tensor, second: torch.Tensor, lowest: torch.Tensor) -> torch.Tensor:
    """Cosine of the angle between vectors, shape (..., n); 0 with a zero gradient where a direction is lost.

    Args:
        first: Vectors, shape (..., n, 3).
        second: Vectors, shape (..., n, 3).
        lowest: Product of their squared lengths up to which they have no direction, shape (..., n).
    """
    squares = (first * first).sum(-1) * (second * second).sum(-1)
    lost = squares <= lowest
    return (first * second).sum(-1).masked_fill(lost, 0.0) * squares.masked_fill(lost, 1.0).rsqrt()
