"""Bonded potentials: a function of a bond length, an angle or a torsion, the same for all with the same bead types."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.config import Config
from openmm_cgml.errors import InputError
from openmm_cgml.potentials.coordinate import Coordinate, Lengths
from openmm_cgml.potentials.inversion import Samples, excess_divergence, fit_linear
from openmm_cgml.potentials.potential import Parameters, Period, Potential

_N_POINTS = 4000  # of a numerical integral
_MOST_HALVINGS = 10

Fit = Literal["fit"]


class BondedConfig(Config):
    """Which bonded form a kind of coordinate gets.

    Attributes:
        form: Name of the form without the kind, such as "harmonic".
    """

    form: str

    def settings(self) -> dict[str, Any]:
        """What may be given by hand: each of them "fit", one value for all, or a mapping from bead types.

        A form that has none is always fitted.
        """
        return {}


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What the features of one term depend on beside the coordinate; a form whose features need more extends it.

    Attributes:
        origin: Where they count from [nm or rad], usually the mean of the data.
        n: How many there are.
    """

    origin: float
    n: int


class BondedPotential(Potential):
    """A bonded form. Its energy is linear in coefficients, which is what fitting and refinement work with.

    With x the coordinate, U(x) = sum over i of c_i f_i(x) up to a constant, where the f_i are the features of a
    `Basis`; `to_coefficients` and `from_coefficients` convert.
    """

    coordinate: ClassVar[Coordinate]
    """What it is a function of."""
    Config: ClassVar[type[BondedConfig]]
    """Its settings in a configuration of priors."""
    indices: NDArray[np.int64]
    """Beads of each term, shape (n_terms, coordinate.n_beads)."""
    straight_angles: ClassVar[bool] = False
    """Whether a torsion may have beads in line."""

    @classmethod
    def n_types(cls) -> int:
        """One for each bead."""
        return cls.coordinate.n_beads

    @classmethod
    @abc.abstractmethod
    def features(cls, values: NDArray[np.float64], basis: Basis) -> NDArray[np.float64]:
        """The functions that the coefficients weigh, shape (*values.shape, basis.n).

        Args:
            values: Values of the coordinate [nm or rad], any shape.
            basis: Of `basis_for` or `basis_of`.
        """

    @classmethod
    def weights(
        cls, positions: NDArray[Any], box: NDArray[Any] | None, members: NDArray[np.int64]
    ) -> NDArray[np.float64] | None:
        """What the energy is multiplied by, from other coordinates of the beads; by default None, for nothing.

        Args:
            positions: Positions [nm], shape (..., n_beads, 3).
            box: Box vectors [nm], shape (..., 3, 3), or None.
            members: Beads of each term, shape (n, coordinate.n_beads).

        Returns:
            Shape (..., n).
        """
        return None

    @classmethod
    @abc.abstractmethod
    def to_coefficients(cls, parameters: Parameters, basis: Basis) -> NDArray[np.float64]:
        """Coefficients of the features of one term [kJ/mol and powers of nm], shape (basis.n,)."""

    @classmethod
    @abc.abstractmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], basis: Basis) -> dict[str, Any]:
        """The parameters that have these coefficients.

        Raises:
            InputError: If no parameters of the form have them.
        """

    @abc.abstractmethod
    def minima(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each term is lowest [nm or rad], and its second derivative there, the force constant.

        Two arrays of shape (n_terms,), the second in kJ/mol/nm^2 or kJ/mol/rad^2.
        """

    @classmethod
    def basis_for(cls, samples: Samples, kt: float, config: BondedConfig) -> Basis:
        """The basis of a fit; by default about the mean, with as many features as there are parameters.

        Args:
            samples: Samples of the coordinate.
            kt: Thermal energy [kJ/mol].
            config: All settings of the form.
        """
        return Basis(origin=samples.mean, n=len(cls.parameters))

    @classmethod
    def basis_of(cls, parameters: Parameters, origin: float) -> Basis:
        """The basis in which a term is refined; by default with as many features as there are parameters.

        Args:
            parameters: Parameters of the term.
            origin: Where the features count from [nm or rad].
        """
        return Basis(origin=origin, n=len(cls.parameters))

    @classmethod
    def bind(cls, indices: NDArray[np.int64], terms: Sequence[Parameters]) -> Self:
        """The form for the beads of each term.

        Args:
            indices: Beads, shape (n_terms, coordinate.n_beads).
            terms: Parameters of each.
        """
        columns = {name: np.array([term[name] for term in terms]) for name in cls.parameters}
        return cls(indices=indices, **columns)  # type: ignore[call-arg]

    @classmethod
    def fit(cls, samples: Samples, kt: float, given: Mapping[str, Any], config: BondedConfig) -> dict[str, Any]:
        """The most likely parameters of one term.

        Args:
            samples: Samples of its coordinate.
            kt: Thermal energy [kJ/mol].
            given: `BondedConfig.settings` for its bead types, at least one of them "fit" if there are any.
            config: All settings of the form.

        Raises:
            InputError: If the data have none, or a form that cannot do so is to fit one parameter and keep another.
        """
        by_hand = [name for name, value in given.items() if value != "fit"]
        if by_hand:
            raise InputError(f"fits all of its parameters or none, but {', '.join(by_hand)} is given by hand")
        basis = cls.basis_for(samples, kt, config)
        return cls.from_coefficients(cls.invert(samples, kt, basis), basis)

    @classmethod
    def invert(cls, samples: Samples, kt: float, basis: Basis) -> NDArray[np.float64]:
        """Coefficients of the features in the energy whose distribution is nearest to the samples, shape (basis.n,).

        Raises:
            InputError: If the samples are too few or too narrow for so many.
        """
        rough = cls.roughness(basis)
        scaled = None if rough is None else rough / (kt * math.sqrt(samples.size))
        return fit_linear(samples, cls.features(samples.values, basis), kt, roughness=scaled)

    @classmethod
    def roughness(cls, basis: Basis) -> NDArray[np.float64] | None:
        """Combinations of the coefficients that are about 1 kT before any data, shape (n_rows, basis.n).

        They make a form with many local features smooth where there are few samples; by default None, no such rule.
        """
        return None

    @classmethod
    def changed(cls, parameters: Parameters, change: NDArray[np.float64], basis: Basis) -> dict[str, Any]:
        """Parameters with a change of the coefficients, or the largest half, quarter, ... of it that the form allows.

        Args:
            parameters: Those before.
            change: What to add to the coefficients, shape (basis.n,).
            basis: Of `basis_of` these parameters.
        """
        before = cls.to_coefficients(parameters, basis)
        for share in 0.5 ** np.arange(_MOST_HALVINGS):
            try:
                return cls.from_coefficients(before + share * change, basis)
            except InputError:
                continue
        return dict(parameters)

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], config: BondedConfig) -> dict[str, Any]:
        """The parameters of one term that are given by hand. Arguments as those of `fit`."""
        return dict(given)

    @classmethod
    def doubts(cls, parameters: Parameters, samples: NDArray[np.float64] | None, kt: float) -> tuple[str, ...]:
        """What speaks against a term, for warnings.

        Args:
            parameters: Its parameters.
            samples: Samples of its coordinate [nm or rad], shape (n,), or None if a parameter was given by hand.
            kt: Thermal energy [kJ/mol].
        """
        return ()

    @classmethod
    def divergence(cls, parameters: Parameters, samples: NDArray[np.float64], kt: float) -> float:
        """Jensen-Shannon divergence of the term's distribution from samples [bit], beyond that of so few by chance.

        Args:
            parameters: Parameters of the term.
            samples: Samples of its coordinate [nm or rad], shape (n,).
            kt: Thermal energy [kJ/mol].
        """
        histogram = Samples.of(cls.coordinate, samples)
        return excess_divergence(histogram, cls.energy_of(parameters, histogram.values), kt)

    @classmethod
    def energy_of(cls, parameters: Parameters, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Energy of one term at values of its coordinate [kJ/mol], up to a constant, shape (n,)."""
        basis = cls.basis_of(parameters, float(values.mean()))
        return np.asarray(cls.features(values, basis) @ cls.to_coefficients(parameters, basis))

    @classmethod
    def moments(cls, parameters: Parameters, kt: float) -> tuple[float, float]:
        """Mean and standard deviation of the coordinate under the term alone [nm or rad], with its Jacobian.

        Args:
            parameters: Parameters of the term.
            kt: Thermal energy [kJ/mol].
        """
        low, high = cls.coordinate.limits
        if not math.isfinite(high):
            lowest, highest = cls.reach(parameters, kt)
            low, high = max(low, lowest), highest
        values = low + (high - low) * (np.arange(_N_POINTS) + 0.5) / _N_POINTS
        energies = cls.energy_of(parameters, values)
        weights = cls.coordinate.jacobian(values) * np.exp(-(energies - energies.min()) / kt)
        mean = float(np.average(values, weights=weights))
        return mean, math.sqrt(float(np.average((values - mean) ** 2, weights=weights)))

    @classmethod
    def reach(cls, parameters: Parameters, kt: float) -> tuple[float, float]:
        """Ends of a range [nm or rad] outside which the coordinate is never found under the term alone.

        Args:
            parameters: Parameters of the term.
            kt: Thermal energy [kJ/mol].
        """
        beads = np.arange(cls.coordinate.n_beads)[None]
        center, force_constant = (float(of[0]) for of in cls.bind(beads, [parameters]).minima())
        width = 12 * math.sqrt(kt / force_constant)
        return center - width, center + width

    def usual_range(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest value [nm or rad] that says nothing against a simulation, shape (n_terms,) each.

        By default both are the minimum of a term, from which its force constant tells how far noise goes.
        """
        center, _ = self.minima()
        return center, center

    def stiffest(self, kt: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where each term is stiffest of all that is visited, and its second derivative there, as `minima`.

        By default that is its minimum.

        Args:
            kt: Thermal energy [kJ/mol].
        """
        return self.minima()

    def period(self, masses: NDArray[np.float64], lengths: Lengths, kt: float) -> Period | None:
        """The period of the stiffest term where it is stiffest. See `Potential.period`."""
        found = []
        stiffest = self.stiffest(kt)
        for beads, center, constant in zip(self.indices.tolist(), *map(np.ndarray.tolist, stiffest), strict=True):
            inverse = self.coordinate.inverse_mass(tuple(beads), center, masses, lengths)
            if constant > 0 and inverse:
                found.append((constant * inverse, f"{self.coordinate.kind} {'-'.join(map(str, beads))}"))
        if not found:
            return None
        rate, term = max(found, key=lambda entry: entry[0])
        return Period(period=2 * math.pi / math.sqrt(rate), term=term)
