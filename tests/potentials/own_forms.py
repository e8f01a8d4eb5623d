"""Two forms that the package does not know: a quartic bond, and a repulsion that falls off exponentially."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
import openmm
import torch

from openmm_cgml.config import Length
from openmm_cgml.errors import InputError
from openmm_cgml.potentials import (
    BOND,
    BondedConfig,
    BondedPotential,
    Coordinate,
    PairConfig,
    PairData,
    PairFit,
    PairPotential,
    Parameter,
    minimum_image,
)


class QuarticBondConfig(BondedConfig):
    """All parameters are fitted, or given as [length, k2, k3, k4] in nm, kJ/mol and powers of nm."""

    form: Literal["quartic"] = "quartic"
    values: Literal["fit"] | tuple[float, float, float, float] = "fit"

    def settings(self) -> dict[str, Any]:
        return {"values": self.values}


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class QuarticBond(BondedPotential):
    """E = sum 1/2 k2 x^2 + 1/3 k3 x^3 + 1/4 k4 x^4 with x = r - length, the class-II bond."""

    key: ClassVar[str] = "quartic_bond"
    coordinate: ClassVar[Coordinate] = BOND
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "length": Parameter(unit="nm"),
        "k2": Parameter(unit="kJ/mol/nm^2"),
        "k3": Parameter(unit="kJ/mol/nm^3", signed=True),
        "k4": Parameter(unit="kJ/mol/nm^4"),
    }
    Config: ClassVar[type[BondedConfig]] = QuarticBondConfig

    indices: np.ndarray
    length: np.ndarray
    k2: np.ndarray
    k3: np.ndarray
    k4: np.ndarray

    @classmethod
    def features(cls, values, basis):
        x = values - basis.origin
        return np.stack([x, x**2 / 2, x**3 / 3, x**4 / 4], axis=-1)

    @classmethod
    def to_coefficients(cls, parameters, basis):
        shift = basis.origin - parameters["length"]
        force = np.polynomial.Polynomial([0, parameters["k2"], parameters["k3"], parameters["k4"]])
        return np.resize(force(np.polynomial.Polynomial([shift, 1.0])).coef, 4)

    @classmethod
    def from_coefficients(cls, coefficients, basis):
        force = np.polynomial.Polynomial(coefficients)
        roots = force.roots()
        real = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
        stable = [x for x in real if force.deriv()(x) > 0]
        if not stable or coefficients[3] <= 0:
            raise InputError(f"coefficients {coefficients} have no valley that holds a bond")
        x = min(stable, key=abs)
        shifted = force(np.polynomial.Polynomial([x, 1.0])).coef
        return dict(zip(cls.parameters, (float(basis.origin + x), *map(float, shifted[1:])), strict=True))

    @classmethod
    def from_settings(cls, given, config):
        return dict(zip(cls.parameters, given["values"], strict=True))

    @classmethod
    def fit(cls, samples, kt, given, config):
        return super().fit(samples, kt, {}, config)

    def minima(self):
        return self.length, self.k2

    def energy(self, positions, box=None):
        i, j = self.indices.T.tolist()
        x = torch.linalg.norm(minimum_image(positions[..., j, :] - positions[..., i, :], box), dim=-1)
        x = x - positions.new_tensor(self.length)
        k2, k3, k4 = (positions.new_tensor(values) for values in (self.k2, self.k3, self.k4))
        return (k2 * x**2 / 2 + k3 * x**3 / 3 + k4 * x**4 / 4).sum(-1)

    def to_openmm(self, *, periodic):
        force = openmm.CustomBondForce("k2*x^2/2 + k3*x^3/3 + k4*x^4/4; x = r - length")
        for name in self.parameters:
            force.addPerBondParameter(name)
        rows = np.stack([self.length, self.k2, self.k3, self.k4], axis=1).tolist()
        for (i, j), values in zip(self.indices.tolist(), rows, strict=True):
            force.addBond(i, j, values)
        return self.named(force, periodic=periodic)


class ExponentialConfig(PairConfig):
    """One decay length for all pairs; the height is chosen by hand here."""

    form: Literal["exponential"] = "exponential"
    decay: Length = 0.03


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class ExponentialRepulsion(PairPotential):
    """E = height exp(-r/decay) (1 - (r/cutoff)^2)^2 between all pairs that are not excluded."""

    key: ClassVar[str] = "exponential_repulsion"
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "height": Parameter(unit="kJ/mol"),
        "decay": Parameter(unit="nm", shared=True),
        "cutoff": Parameter(unit="nm", shared=True),
    }
    Config: ClassVar[type[PairConfig]] = ExponentialConfig

    bead_types: np.ndarray
    height: np.ndarray
    decay: float
    cutoff: float
    exclusions: np.ndarray

    def __post_init__(self):
        self.check_pairs(len(self.height))

    def pair_energy(self, distance, type_i, type_j):
        height = distance.new_tensor(self.height)[type_i, type_j]
        end = (1 - (distance / self.cutoff).clamp(max=1) ** 2) ** 2
        return height * torch.exp(-distance / self.decay) * end

    def contact(self, type_i, type_j, energy):
        distance = max(self.decay * float(np.log(self.height[type_i, type_j] / energy)), 0.0)
        return distance, energy / self.decay**2

    @classmethod
    def features(cls, parameters, distances):
        end = (1 - np.minimum(distances / parameters["cutoff"], 1) ** 2) ** 2
        return (np.exp(-distances / parameters["decay"]) * end)[:, None]

    @classmethod
    def to_coefficients(cls, parameters):
        return np.array([parameters["height"]])

    @classmethod
    def from_coefficients(cls, coefficients, parameters):
        if not coefficients[0] > 0:
            raise InputError(f"has a height of {coefficients[0]:g} kJ/mol; it must be positive")
        return {**parameters, "height": float(coefficients[0])}

    @classmethod
    def fit(cls, data: PairData, config: PairConfig) -> PairFit:
        assert isinstance(config, ExponentialConfig)
        values = {"height": 5e4, "decay": config.decay, "cutoff": 0.6}
        return PairFit(parameters=dict.fromkeys(data.types, values), provenance={})

    def to_openmm(self, *, periodic):
        text = f"height(type1, type2)*exp(-r/{self.decay})*(1 - (r/{self.cutoff})^2)^2"
        force = openmm.CustomNonbondedForce(text)
        n = len(self.height)
        force.addTabulatedFunction("height", openmm.Discrete2DFunction(n, n, np.ravel(self.height).tolist()))
        force.addPerParticleParameter("type")
        for bead_type in self.bead_types.tolist():
            force.addParticle([bead_type])
        for i, j in self.exclusions.tolist():
            force.addExclusion(i, j)
        force.setNonbondedMethod(force.CutoffPeriodic if periodic else force.CutoffNonPeriodic)
        force.setCutoffDistance(self.cutoff)
        force.setName(f"prior: {self.name}")
        return force
