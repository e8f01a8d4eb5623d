"""Excluded volume, epsilon (sigma/r)^n, switched smoothly to zero at the cutoff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field, model_validator

from openmm_cgml.config import Energy, Length
from openmm_cgml.errors import InputError
from openmm_cgml.potentials.bonded import Fit
from openmm_cgml.potentials.contacts import find_contacts
from openmm_cgml.potentials.pair import PairConfig, PairData, PairFit, PairPotential
from openmm_cgml.potentials.potential import Parameter, Parameters, frozen_array
from openmm_cgml.potentials.rare_pairs import supported_contacts
from openmm_cgml.potentials.settings import by_types
from openmm_cgml.units import KILOCALORIE

if TYPE_CHECKING:
    import torch


class PowerRepulsionConfig(PairConfig):
    """Excluded volume epsilon (sigma/r)^n. Sigma and epsilon are one value, or a mapping from bead types such as "A-B".

    A fitted sigma makes the energy at the closest approach of the two bead types in the data `contact_energy` kT:
    sigma = r_closest (contact_energy kT / epsilon)^(1/n), where r_closest is the distance at which a bead has
    `contacts_per_bead` neighbors of the other type.

    Attributes:
        exponent: The power n.
        epsilon: Energy at r = sigma; the papers' (sigma/r)^n means "1 kcal/mol".
        sigma: Length, or "fit".
        cutoff: Distance from which the energy is zero; usually that of the network.
        switch_distance: Distance from which it is switched off smoothly; by default 0.9 of the cutoff.
        contact_energy: Energy at the closest approach in kT, for a fitted sigma.
        contacts_per_bead: Neighbors within the closest approach, for a fitted sigma; 0 takes the one smallest distance.
    """

    form: Literal["power"] = "power"
    exponent: int = Field(default=12, ge=1)
    epsilon: Energy | dict[str, Energy] = KILOCALORIE
    sigma: Fit | Length | dict[str, Fit | Length] = "fit"
    cutoff: Length = Field(default=0.8, gt=0)
    switch_distance: Length | None = None
    contact_energy: float = Field(default=5.0, gt=0)
    contacts_per_bead: float = Field(default=0.002, ge=0, lt=1)

    def settings(self) -> dict[str, Any]:
        """See `PairConfig.settings`."""
        return {"sigma": self.sigma, "epsilon": self.epsilon}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.switch_distance is not None and not 0 < self.switch_distance < self.cutoff:
            raise ValueError(
                f"switch_distance {self.switch_distance:g} nm must lie below the cutoff {self.cutoff:g} nm"
            )
        return self


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class PowerRepulsion(PairPotential):
    """E = sum over pairs epsilon (sigma/r)^n S(r), the papers' excluded volume with its energy unit made explicit.

    S falls from 1 at the switch distance to 0 at the cutoff as OpenMM's switching function does,
    S = 1 - 10 x^3 + 15 x^4 - 6 x^5 with x = (r - r_switch)/(r_cutoff - r_switch): same function in training and in
    OpenMM, and energy is conserved.

    Attributes:
        bead_types: Bead type of every bead, shape (n_beads,).
        sigma: Lengths by type pair [nm], symmetric, shape (n_types, n_types).
        epsilon: Energies by type pair [kJ/mol], symmetric, shape (n_types, n_types).
        exponent: The power n.
        cutoff: Distance from which the energy is zero [nm].
        switch_distance: Distance from which it is switched off [nm], below the cutoff.
        exclusions: Pairs that do not interact, i < j, shape (n_exclusions, 2).

    Raises:
        InputError: If shapes disagree, a table is not symmetric or positive, or 0 < switch_distance < cutoff fails.
    """

    key: ClassVar[str] = "power_repulsion"
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "sigma": Parameter(unit="nm"),
        "epsilon": Parameter(unit="kJ/mol"),
        "exponent": Parameter(unit="1", shared=True),
        "cutoff": Parameter(unit="nm", shared=True),
        "switch_distance": Parameter(unit="nm", shared=True),
    }
    since: ClassVar[str] = "1.0"
    Config: ClassVar[type[PairConfig]] = PowerRepulsionConfig

    bead_types: NDArray[np.int64]
    sigma: NDArray[np.float64]
    epsilon: NDArray[np.float64]
    exponent: int
    cutoff: float
    switch_distance: float
    exclusions: NDArray[np.int64]

    def __post_init__(self) -> None:
        n_types = len(self.sigma)
        self.check_pairs(n_types)
        for field, unit in (("sigma", "nm"), ("epsilon", "kJ/mol")):
            table = frozen_array(getattr(self, field), np.float64, (n_types, n_types), field)
            object.__setattr__(self, field, table)
            if not ((table > 0).all() and (table == table.T).all()):
                raise InputError(f"{field} [{unit}] must be positive and symmetric in the types, not {table.tolist()}")
        self._check()

    def _check(self) -> None:
        if isinstance(self.exponent, bool) or int(self.exponent) != self.exponent or self.exponent < 1:
            raise InputError(f"exponent is {self.exponent!r}; it must be an integer of at least 1")
        object.__setattr__(self, "exponent", int(self.exponent))
        if not 0 < self.switch_distance < self.cutoff:
            raise InputError(
                f"switch_distance {self.switch_distance:g} nm must lie between 0 and the cutoff {self.cutoff:g} nm: "
                "a repulsion cut off abruptly does not conserve energy"
            )

    def pair_energy(
        self, distance: torch.Tensor, type_i: torch.Tensor | int, type_j: torch.Tensor | int
    ) -> torch.Tensor:
        """Energy [kJ/mol] of pairs, shape (n_pairs,).

        Args:
            distance: Distances [nm], shape (n_pairs,).
            type_i: Bead types of the first beads, shape (n_pairs,), or one for all.
            type_j: Likewise of the second beads.
        """
        sigma, epsilon = (distance.new_tensor(table)[type_i, type_j] for table in (self.sigma, self.epsilon))
        x = ((distance - self.switch_distance) / (self.cutoff - self.switch_distance)).clamp(0, 1)
        switch = 1 + x**3 * (x * (15 - 6 * x) - 10)
        return epsilon * (sigma / distance) ** int(self.exponent) * switch

    def to_openmm(self, *, periodic: bool) -> openmm.CustomNonbondedForce:
        """A `CustomNonbondedForce` with OpenMM's switching function. See `Potential.to_openmm`."""
        coefficient = self.epsilon * self.sigma ** int(self.exponent)
        n_types = len(coefficient)
        if n_types == 1:  # a constant is faster than a table of one element
            force = openmm.CustomNonbondedForce(f"{float(coefficient[0, 0])!r}/r^{int(self.exponent)}")
        else:
            force = openmm.CustomNonbondedForce(f"coefficient(type1, type2)/r^{int(self.exponent)}")
            table = openmm.Discrete2DFunction(n_types, n_types, coefficient.ravel().tolist())
            force.addTabulatedFunction("coefficient", table)
            force.addPerParticleParameter("type")
        for bead_type in self.bead_types.tolist():
            force.addParticle([] if n_types == 1 else [bead_type])
        for i, j in self.exclusions.tolist():
            force.addExclusion(i, j)
        method = force.CutoffPeriodic if periodic else force.CutoffNonPeriodic
        force.setNonbondedMethod(method)
        force.setCutoffDistance(self.cutoff)
        force.setUseSwitchingFunction(True)
        force.setSwitchingDistance(self.switch_distance)
        force.setName(f"prior: {self.name}")
        return force

    def contact(self, type_i: int, type_j: int, energy: float) -> tuple[float, float]:
        """See `PairPotential.contact`; of the repulsion before it is switched off."""
        power = int(self.exponent)
        distance = self.sigma[type_i, type_j] * (self.epsilon[type_i, type_j] / energy) ** (1 / power)
        return float(distance), float(power * (power + 1) * energy / distance**2)

    @classmethod
    def features(cls, parameters: Parameters, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """r^-n S(r). See `PairPotential.features`."""
        begin, end = parameters["switch_distance"], parameters["cutoff"]
        x = np.clip((distances - begin) / (end - begin), 0, 1)
        switch = 1 + x**3 * (x * (15 - 6 * x) - 10)
        return np.asarray(distances ** -parameters["exponent"] * switch)[:, None]

    @classmethod
    def to_coefficients(cls, parameters: Parameters) -> NDArray[np.float64]:
        """Epsilon sigma^n. See `PairPotential.to_coefficients`."""
        return np.array([parameters["epsilon"] * parameters["sigma"] ** parameters["exponent"]])

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], parameters: Parameters) -> dict[str, Any]:
        """Another sigma with the same epsilon. See `PairPotential.from_coefficients`."""
        value = float(coefficients[0])
        if not value > 0:
            raise InputError(f"has the coefficient {value:g}; a repulsion needs a positive one")
        sigma = (value / parameters["epsilon"]) ** (1 / parameters["exponent"])
        return {**parameters, "sigma": sigma}

    @classmethod
    def fit(cls, data: PairData, config: PairConfig) -> PairFit:
        """Sigma from the closest approach, or by hand. See `PairPotential.fit`.

        A fitted sigma is r_closest (contact_energy kT / epsilon)^(1/n): the repulsion is `contact_energy` kT where the
        data end, grows by the power n inside, and leaves the rest to the network. One-bead benzene, with 0.365 nm,
        n = 12 and 1 kcal/mol, gets 0.40 nm.

        Raises:
            InputError: If a sigma is to be fitted for bead types without a closest approach.
        """
        assert isinstance(config, PowerRepulsionConfig)  # the class that this form declares
        contacts: dict[tuple[str, ...], float] = {}
        if config.sigma == "fit" or isinstance(config.sigma, dict):
            seen = find_contacts(data, cutoff=config.cutoff, contacts_per_bead=config.contacts_per_bead)
            given = by_types(config.settings(), data.types, "repulsion")
            contacts = supported_contacts(seen, [pair for pair in data.types if given[pair]["sigma"] == "fit"])
        parameters = _parameters(config, data.types, contacts, data.kt)
        found = {"unit": "nm", **{"-".join(types): distance for types, distance in contacts.items()}}
        return PairFit(parameters=parameters, provenance={"closest_approach": found})


def _parameters(
    config: PowerRepulsionConfig,
    types: tuple[tuple[str, ...], ...],
    contacts: Mapping[tuple[str, ...], float],
    kt: float,
) -> dict[tuple[str, ...], dict[str, float]]:
    """Parameters of each pair of bead types, from what is given and from closest approaches [nm]."""
    given = by_types(config.settings(), types, "repulsion")
    unseen = [pair for pair in types if given[pair]["sigma"] == "fit" and pair not in contacts]
    if unseen:
        raise InputError(
            f"bead types {', '.join('-'.join(pair) for pair in unseen)} hardly ever come within {config.cutoff:g} nm "
            "in the data, so their sigma cannot be fitted; give it by hand under repulsion.sigma, or use more frames"
        )
    shared = {
        "exponent": float(config.exponent),
        "cutoff": config.cutoff,
        "switch_distance": config.switch_distance or 0.9 * config.cutoff,
    }
    result = {}
    for pair in types:
        epsilon, sigma = given[pair]["epsilon"], given[pair]["sigma"]
        if sigma == "fit":
            sigma = contacts[pair] * (config.contact_energy * kt / epsilon) ** (1 / config.exponent)
        result[pair] = {"sigma": sigma, "epsilon": epsilon, **shared}
    return result
