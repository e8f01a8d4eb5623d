"""What harmonic bonds and angles have in common, 1/2 k (x - x0)^2."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from openmm_cgml.errors import InputError
from openmm_cgml.potentials.bonded import Basis, BondedConfig, BondedPotential, Parameters
from openmm_cgml.potentials.inversion import Samples, fit_linear
from openmm_cgml.potentials.modes import modes

_DIVERGENT = 0.01  # bit: less is not seen in a figure
_SOFTEST = 0.5  # of a force constant that one change leaves at least

Convention = Literal["half", "full"]


class HarmonicConfig(BondedConfig):
    """Settings of a harmonic form.

    Attributes:
        convention: What a given stiffness means: "half" is 1/2 k (x - x0)^2, OpenMM's; "full" is k (x - x0)^2 as in the
            papers, and is doubled.
    """

    form: Literal["harmonic"] = "harmonic"
    convention: Convention = "half"


class Harmonic(BondedPotential):
    """A harmonic form, whose parameters are a center and a stiffness. Its features are x and x^2/2."""

    center: ClassVar[str]
    """Name of the parameter x0."""
    stiffness: NDArray[np.float64]

    @classmethod
    @abc.abstractmethod
    def other_ways(cls) -> str:
        """What a user may do where no harmonic term fits."""

    @classmethod
    def features(cls, values: NDArray[np.float64], basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.features`."""
        x = values - basis.origin
        return np.stack([x, x**2 / 2], axis=-1)

    @classmethod
    def to_coefficients(cls, parameters: Parameters, basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.to_coefficients`."""
        stiffness = parameters["stiffness"]
        return np.array([stiffness * (basis.origin - parameters[cls.center]), stiffness])

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], basis: Basis) -> dict[str, float]:
        """See `BondedPotential.from_coefficients`."""
        slope, stiffness = (float(value) for value in coefficients)
        if not stiffness > 0:
            raise InputError(f"has a force constant of {stiffness:g}; it must be positive")
        return {cls.center: basis.origin - slope / stiffness, "stiffness": stiffness}

    def minima(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `BondedPotential.minima`."""
        return getattr(self, self.center), self.stiffness

    @classmethod
    def fit(cls, samples: Samples, kt: float, given: Mapping[str, Any], config: BondedConfig) -> dict[str, float]:
        """See `BondedPotential.fit`; one of the two may be given."""
        values = cls.from_settings(given, config)
        by_hand = {name: None if value == "fit" else value for name, value in values.items()}
        try:
            fitted = fit_harmonic(samples, kt, center=by_hand[cls.center], stiffness=by_hand["stiffness"])
        except InputError as error:
            raise InputError(f"{error}; {cls.other_ways()}") from error
        return dict(zip((cls.center, "stiffness"), fitted, strict=True))

    @classmethod
    def invert(cls, samples: Samples, kt: float, basis: Basis) -> NDArray[np.float64]:
        """See `BondedPotential.invert`."""
        return cls.to_coefficients(dict(zip((cls.center, "stiffness"), fit_harmonic(samples, kt), strict=True)), basis)

    @classmethod
    def from_settings(cls, given: Mapping[str, Any], config: BondedConfig) -> dict[str, Any]:
        """See `BondedPotential.from_settings`."""
        assert isinstance(config, HarmonicConfig)  # the class that this form declares
        stiffness = given["stiffness"]
        return {
            **given,
            "stiffness": 2 * stiffness if config.convention == "full" and stiffness != "fit" else stiffness,
        }

    @classmethod
    def changed(cls, parameters: Parameters, change: NDArray[np.float64], basis: Basis) -> dict[str, float]:
        """See `BondedPotential.changed`; one change leaves half of the force constant at least."""
        change = change * min(1.0, (1 - _SOFTEST) * parameters["stiffness"] / max(-float(change[1]), 1e-300))
        return cls.from_coefficients(cls.to_coefficients(parameters, basis) + change, basis)

    @classmethod
    def doubts(cls, parameters: Parameters, samples: NDArray[np.float64] | None, kt: float) -> tuple[str, ...]:
        """See `BondedPotential.doubts`."""
        if samples is None:
            return ()
        section, maxima = cls.coordinate.section, modes(samples)
        divergence = cls.divergence(parameters, samples, kt)
        if len(maxima) > 1:
            listed = " and ".join(f"{value:.3g}" for value in maxima)
            return (
                f"has {len(maxima)} maxima, at {listed}; one harmonic term lies between them (mean "
                f"{samples.mean():.3g}, standard deviation {samples.std():.2g}, range {samples.min():.3g} to "
                f'{samples.max():.3g}; Jensen-Shannon divergence {divergence:.2g} bit). Take {section}.form "spline", '
                "split the bead type, or give a soft stiffness by hand and leave the rest to the network",
            )
        if divergence > _DIVERGENT:
            return (
                f"has another distribution than the data, by a Jensen-Shannon divergence of {divergence:.2g} bit; take "
                f'{section}.form "spline", which follows any',
            )
        return ()


def fit_harmonic(
    samples: Samples, kt: float, *, center: float | None = None, stiffness: float | None = None
) -> tuple[float, float]:
    """Center [nm or rad] and stiffness [kJ/mol/nm^2 or kJ/mol/rad^2] of 1/2 k (x - x0)^2.

    Args:
        samples: The data.
        kt: Thermal energy [kJ/mol].
        center: The center if it is given, to fit the stiffness alone.
        stiffness: The stiffness if it is given, to fit the center alone.

    Raises:
        InputError: If no valley describes the data, because without energy they would be less spread out.
    """
    mean, highest = samples.mean, samples.coordinate.limits[1]
    x = samples.values - mean  # about the mean, so that x and x^2 are not nearly the same
    if stiffness is not None:
        (slope,) = fit_linear(samples, x[:, None], kt, fixed=0.5 * stiffness * x**2)
        return mean - float(slope) / stiffness, stiffness
    if center is None:
        slope, curvature = fit_linear(samples, np.stack([x, x**2 / 2], axis=1), kt)
        if curvature > 0 and mean - slope / curvature <= highest:
            return mean - float(slope / curvature), float(curvature)
        center = highest if math.isfinite(highest) and mean > highest / 2 else mean
    (curvature,) = fit_linear(samples, 0.5 * (samples.values[:, None] - center) ** 2, kt)
    if not curvature > 0:
        raise InputError("is spread out more than it would be without any energy, so that no harmonic term fits")
    return center, float(curvature)
