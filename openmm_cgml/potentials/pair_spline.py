"""Pair splines: a cubic B-spline energy for every pair of bead types, fitted to forces between molecules."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, final

import numpy as np
import openmm
from numpy.typing import NDArray
from pydantic import Field, model_validator

from openmm_cgml.config import Config, Length, Pressure
from openmm_cgml.errors import InputError
from openmm_cgml.potentials.cardinal_splines import spline_functions
from openmm_cgml.potentials.centers import CenterKind
from openmm_cgml.potentials.contacts import find_contacts
from openmm_cgml.potentials.force_matching import Match, intermolecular_forces, match_forces
from openmm_cgml.potentials.pair import PairConfig, PairData, PairFit, PairPotential
from openmm_cgml.potentials.potential import Parameter, Parameters, frozen_array
from openmm_cgml.potentials.rare_pairs import supported_contacts
from openmm_cgml.potentials.settings import by_types
from openmm_cgml.potentials.sites import Sites, SiteTemplate, templates_of

if TYPE_CHECKING:
    import torch

_SOFTEST_WALL = 1e4
"""Least curvature of the wall below the sampled distances [kJ/mol/nm^2]: two kT deep in 0.02 nm."""
_PADDING = 24
"""Knots between two tables; a step in one changes the spline through the next by less than 1e-13 of it."""
_GRID = 2000
_STRAIGHT = math.radians(10)
_LOOKED_AT = 50  # frames


class CenterSplineConfig(Config):
    """Splines between centers beside those between sites: few, and enough for what structure and pressure still lack.

    Attributes:
        of: "molecules" for the centers of mass of whole molecules of one residue, or "beads".
        cutoff: Distance from which their energy is zero, with its first two derivatives.
    """

    of: CenterKind
    cutoff: Length = Field(gt=0)


class PairSplineConfig(PairConfig):
    """A cubic B-spline for each pair of bead types, fitted to the intermolecular forces of the data.

    Attributes:
        cutoff: Distance from which the energy is zero, with its first two derivatives; one for all, or one for each
            pair of types.
        spacing: Distance between knots.
        contacts_per_bead: The spline begins where a bead has this many neighbors of the other type; below is a wall.
        sites: The sites that the splines act between, by type of the bead that owns them and type of site: positions in
            the local frame of the bead (`openmm_cgml.potentials.sites`). None for splines between the beads.
        alike: Bead types that are too rare for splines of their own, such as those of chain ends, and the types whose
            splines they have: {PF: P}.
        centers: Further splines between centers of molecules or of beads, beside those between sites; None for none.
        pressure: Pressure that the fitted splines have in the data, a constraint of the fit; None for none. That of the
            run that the data are from is right: a force-matched model has a pressure of thousands of bar without it.
    """

    form: Literal["spline"] = "spline"
    cutoff: Annotated[Length, Field(gt=0)] | dict[str, Annotated[Length, Field(gt=0)]] = 1.0
    spacing: Length = Field(default=0.02, gt=0)
    contacts_per_bead: float = Field(default=0.0005, ge=0, lt=1)
    pressure: Pressure | None = None
    sites: dict[str, dict[str, list[tuple[Length, Length, Length]]]] | None = None
    centers: CenterSplineConfig | None = None
    alike: dict[str, str] = Field(default_factory=dict)

    def site_templates(self) -> tuple[SiteTemplate, ...]:
        """See `PairConfig.site_templates`."""
        return templates_of(self.sites or {})

    def center_kind(self) -> CenterKind | None:
        """See `PairConfig.center_kind`."""
        return None if self.centers is None else self.centers.of

    def alike_types(self) -> Mapping[str, str]:
        """See `PairConfig.alike_types`."""
        return self.alike

    @property
    def follows_forces(self) -> bool:
        """Whether the form is fitted to forces between molecules."""
        return True

    @property
    def takes_three_body(self) -> bool:
        """See `PairConfig.takes_three_body`; with splines between the beads."""
        return self.sites is None and not self.alike

    @model_validator(mode="after")
    def _check(self) -> Self:
        cutoffs = list(self.cutoff.values()) if isinstance(self.cutoff, dict) else [self.cutoff]
        if self.centers is not None:
            if self.sites is None:
                raise ValueError("centers stand beside sites; leave them out for splines between the beads alone")
            cutoffs.append(self.centers.cutoff)
        shortest = min(cutoffs, default=math.inf)
        if 8 * self.spacing > shortest:
            raise ValueError(f"spacing {self.spacing:g} nm must be at most an eighth of the cutoff {shortest:g} nm")
        try:
            self.site_templates()
        except InputError as error:
            raise ValueError(str(error)) from error
        if self.sites is not None and self.alike:
            raise ValueError("alike says which beads are taken for others, and there are sites; leave it out")
        if self.sites is not None and not any(self.sites.values()):
            raise ValueError("sites names no site; leave it out for splines between the beads")
        return self


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class PairSpline(PairPotential):
    """E = sum over pairs U(r), U being a cubic B-spline from `start` to `cutoff` by pair of types.

    With x = (r - start) / spacing and the cardinal B-splines B, U = sum over k of c_k B(x - k): c_0 is the first of the
    four that reach into the first interval. The three that reach beyond the cutoff have no coefficient, so energy,
    force and curvature end at zero there. Below `start` the energy goes on as the parabola that has its value, slope
    and curvature there: a wall, since the slope must not be positive there nor the curvature negative.

    Attributes:
        bead_types: Bead type of every bead, shape (n_beads,).
        start: Distance below which the wall begins by type pair [nm], symmetric, shape (n_types, n_types).
        coefficients: By type pair [kJ/mol], symmetric, shape (n_types, n_types, n): as many as there are intervals from
            start to cutoff, then zeros.
        spacing: Distance between knots [nm].
        cutoffs: Distance from which the energy is zero by type pair [nm], symmetric, shape (n_types, n_types).
        exclusions: Pairs that do not interact, i < j, shape (n_exclusions, 2).

    Raises:
        InputError: If shapes disagree, a table is not symmetric, a start is not a whole number of spacings below the
            cutoff, or a wall attracts.
    """

    key: ClassVar[str] = "pair_spline"
    parameters: ClassVar[Mapping[str, Parameter]] = {
        "start": Parameter(unit="nm"),
        "coefficients": Parameter(unit="kJ/mol", signed=True, many=True),
        "spacing": Parameter(unit="nm", shared=True),
        "cutoff": Parameter(unit="nm"),
    }
    since: ClassVar[str] = "1.2"
    Config: ClassVar[type[PairConfig]] = PairSplineConfig

    bead_types: NDArray[np.int64]
    start: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    spacing: float
    cutoffs: NDArray[np.float64]
    exclusions: NDArray[np.int64]

    def __post_init__(self) -> None:
        n_types = len(self.start)
        self.check_pairs(n_types)
        square = (n_types, n_types)
        for field, shape in (("start", square), ("cutoffs", square), ("coefficients", (*square, None))):
            table = frozen_array(getattr(self, field), np.float64, shape, field)
            object.__setattr__(self, field, table)
            if not np.array_equal(table, table.swapaxes(0, 1)):
                raise InputError(f"{field} must be symmetric in the types, not {table.tolist()}")
        for a in range(n_types):
            for b in range(n_types):
                parameters = self._parameters_of(a, b)
                self.check_term(parameters)
                if self.coefficients[a, b, len(parameters["coefficients"]) :].any():
                    raise InputError(f"the spline of types {a} and {b} has coefficients beyond its cutoff")

    @classmethod
    def bind(
        cls,
        bead_types: NDArray[np.int64],
        tables: Mapping[str, NDArray[np.float64]],
        exclusions: NDArray[np.int64],
    ) -> Self:
        """See `PairPotential.bind`."""
        return cls(
            bead_types=bead_types,
            start=tables["start"],
            coefficients=tables["coefficients"],
            spacing=float(tables["spacing"].flat[0]),
            cutoffs=tables["cutoff"],
            exclusions=exclusions,
        )

    @property
    def cutoff(self) -> float:  # type: ignore[override]  # what others hold, this one finds
        """The longest cutoff of all pairs of types [nm]."""
        return float(self.cutoffs.max())

    def cutoff_of(self, type_i: int, type_j: int) -> float:
        """See `PairPotential.cutoff_of`."""
        return float(self.cutoffs[type_i, type_j])

    @classmethod
    def check_term(cls, parameters: Parameters) -> None:
        """See `Potential.check_term`."""
        start, spacing, cutoff = (parameters[name] for name in ("start", "spacing", "cutoff"))
        n, given = _n_intervals(start, spacing, cutoff), len(parameters["coefficients"])
        if n != given:
            raise InputError(f"a spline from {start:g} to {cutoff:g} nm takes {n} coefficients, not {given}")
        _check_wall(np.array(parameters["coefficients"]), spacing)

    def pair_energy(
        self, distance: torch.Tensor, type_i: torch.Tensor | int, type_j: torch.Tensor | int
    ) -> torch.Tensor:
        """Energy [kJ/mol] of pairs, shape (n_pairs,). See `PairPotential.pair_energy`."""
        starts = distance.new_tensor(self.start)[type_i, type_j]
        cutoffs = distance.new_tensor(self.cutoffs)[type_i, type_j]
        n_types, n = len(self.start), self.coefficients.shape[-1]
        filled = distance.new_tensor(np.pad(self.coefficients, ((0, 0), (0, 0), (0, 4)))).flatten()
        row = (type_i * n_types + type_j) * (n + 4)
        x = (distance - starts) / self.spacing
        inside = x.clamp(0, n)
        first = inside.detach().floor().clamp(max=n)
        t = inside - first
        c = [filled[row + first.long() + k] for k in range(4)]
        u = 1 - t
        energy = u**3 * c[0] + (3 * t**3 - 6 * t**2 + 4) * c[1] + (3 * u**3 - 6 * u**2 + 4) * c[2] + t**3 * c[3]
        below = x.clamp(max=0)
        edge = [filled[row + k] for k in range(3)]
        wall = below * (edge[2] - edge[0]) / 2
        wall = wall + below**2 * (edge[0] - 2 * edge[1] + edge[2]) / 2
        return (energy / 6 + wall) * (distance < cutoffs)

    def to_openmm(self, *, periodic: bool) -> openmm.CustomNonbondedForce:
        """A `CustomNonbondedForce` of one table in which the splines stand one after the other.

        OpenMM interpolates by a cubic spline through the knots, which is the spline itself. See `Potential.to_openmm`.
        """
        n_types = len(self.start)
        knots, values, shifts = self._table()
        force = openmm.CustomNonbondedForce("energy(r)" if n_types == 1 else "energy(r + shift(type1, type2))")
        force.addTabulatedFunction("energy", openmm.Continuous1DFunction(values, *knots))
        if n_types > 1:
            force.addTabulatedFunction("shift", openmm.Discrete2DFunction(n_types, n_types, shifts))
            force.addPerParticleParameter("type")
        for bead_type in self.bead_types.tolist():
            force.addParticle([] if n_types == 1 else [bead_type])
        for i, j in self.exclusions.tolist():
            force.addExclusion(i, j)
        force.setNonbondedMethod(force.CutoffPeriodic if periodic else force.CutoffNonPeriodic)
        force.setCutoffDistance(self.cutoff)
        force.setName(f"prior: {self.name}")
        return force

    def _table(self) -> tuple[tuple[float, float], list[float], list[float]]:
        """First and last knot [nm], energies at all [kJ/mol], and what to add to a distance by type pair [nm].

        Knots lie a whole number of spacings from the cutoff, from below zero to beyond the longest one.
        """
        n_types, h, longest = len(self.start), self.spacing, self.cutoff
        below = int(np.ceil(longest / h)) + _PADDING
        length = below + int(np.ceil((longest - self.cutoffs.min()) / h)) + _PADDING + 1
        steps = h * np.arange(-below, length - below, dtype=np.float64)
        shifts = np.zeros((n_types, n_types))
        tables: list[NDArray[np.float64]] = []
        for a in range(n_types):
            for b in range(a + 1):
                cutoff = float(self.cutoffs[a, b])
                shifts[a, b] = shifts[b, a] = len(tables) * length * h + longest - cutoff
                parameters = self._parameters_of(a, b)
                tables.append(self.features(parameters, cutoff + steps) @ self.to_coefficients(parameters))
        values = np.concatenate(tables)
        first = longest + float(steps[0])
        return (first, first + h * (len(values) - 1)), values.tolist(), shifts.T.ravel().tolist()

    def _parameters_of(self, type_i: int, type_j: int) -> dict[str, Any]:
        start = float(self.start[type_i, type_j])
        cutoff = float(self.cutoffs[type_i, type_j])
        n = _n_intervals(start, self.spacing, cutoff)
        coefficients = tuple(self.coefficients[type_i, type_j, :n].tolist())
        return {"start": start, "coefficients": coefficients, "spacing": self.spacing, "cutoff": cutoff}

    def contact(self, type_i: int, type_j: int, energy: float) -> tuple[float, float]:
        """See `PairPotential.contact`: the first distance from zero at which the energy is below."""
        parameters = self._parameters_of(type_i, type_j)
        distances = np.linspace(0, parameters["cutoff"], _GRID + 1)[1:]
        coefficients = self.to_coefficients(parameters)
        energies = self.features(parameters, distances) @ coefficients
        place = int(np.argmax(energies < energy))
        curvature = self._derivatives(parameters, distances[place : place + 1], 2) @ coefficients
        return float(distances[place]), float(max(curvature[0], 0.0))

    @classmethod
    def features(cls, parameters: Parameters, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """The B-splines, continued below the first one. See `PairPotential.features`."""
        return cls._derivatives(parameters, distances, 0)

    @classmethod
    def slopes(cls, parameters: Parameters, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `PairPotential.slopes`."""
        return cls._derivatives(parameters, distances, 1)

    @classmethod
    def _derivatives(
        cls, parameters: Parameters, distances: NDArray[np.float64], derivative: int
    ) -> NDArray[np.float64]:
        """The features, or their first or second derivatives by the distance, shape (n_pairs, n)."""
        h, start = parameters["spacing"], parameters["start"]
        n = _n_intervals(start, h, parameters["cutoff"])
        x = (np.asarray(distances, np.float64) - start) / h
        result = spline_functions(np.clip(x, 0, n), n, derivative)
        below = np.minimum(x, 0.0)[:, None]
        edge = [spline_functions(np.zeros(1), n, order) for order in range(3)]
        wall = [edge[0] + below * edge[1] + below**2 / 2 * edge[2], edge[1] + below * edge[2], edge[2]][derivative]
        result = np.where(below < 0, wall, result)[:, :n]
        return np.asarray(np.where((x < n)[:, None], result, 0.0) / h**derivative)

    @classmethod
    def to_coefficients(cls, parameters: Parameters) -> NDArray[np.float64]:
        """See `PairPotential.to_coefficients`."""
        return np.array(parameters["coefficients"])

    @classmethod
    def from_coefficients(cls, coefficients: NDArray[np.float64], parameters: Parameters) -> dict[str, Any]:
        """See `PairPotential.from_coefficients`."""
        _check_wall(coefficients, parameters["spacing"])
        return {**parameters, "coefficients": tuple(map(float, coefficients))}

    @classmethod
    def walls(cls, parameters: Parameters) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """See `PairPotential.walls`: slope and curvature at the start."""
        start = np.array([parameters["start"]])
        slope, curvature = (cls._derivatives(parameters, start, derivative)[0] for derivative in (1, 2))
        return np.stack([slope, -curvature]), np.array([0.0, -_SOFTEST_WALL])

    @classmethod
    def fit(cls, data: PairData, config: PairConfig) -> PairFit:
        """Splines whose forces are nearest to those between the molecules of the data. See `PairPotential.fit`.

        Multiscale coarse-graining (Izvekov and Voth, J. Phys. Chem. B 109, 2469 (2005)) with the wall, and the pressure
        if one is given, as constraints. A three-body term of the data is fitted in the same equations.

        Raises:
            InputError: If the data have no forces, or bead types that never come within the cutoff.
        """
        assert isinstance(config, PairSplineConfig)  # the class that this form declares
        intermolecular_forces(data.frames, data.topology)  # refuses frames without, before anything is searched
        if isinstance(data.sites, Sites):
            _refuse_straight_beads(data, data.sites)
        given = by_types({"cutoff": config.cutoff}, data.types, "pairs")
        blank = _blank_terms(data, config, {types: float(given[types]["cutoff"]) for types in data.types})
        of_centers = data.of_centers
        if of_centers is not None and config.centers is not None:
            blank |= _blank_terms(of_centers, config, dict.fromkeys(of_centers.types, config.centers.cutoff))
        match = match_forces(cls, blank, data, pressure=config.pressure)
        return PairFit(
            parameters=match.parameters,
            provenance={"force_matching": _describe(match)},
            three_body=match.three_body,
        )


def _refuse_straight_beads(data: PairData, sites: Sites) -> None:
    """Raise where the data turn local frames about within little motion of the beads.

    Raises:
        InputError: If more than one local frame of a hundred is near a straight line.
    """
    n = len(data.frames)
    looked_at = np.unique(np.linspace(0, n - 1, min(n, _LOOKED_AT)).astype(int)).tolist()
    positions = (np.asarray(data.frames.positions[index], np.float64) for index in looked_at)
    axes = [sites.axes(beads, data.box(index)) for beads, index in zip(positions, looked_at, strict=True)]
    share = float(np.mean([sites.straight_share(each, _STRAIGHT) for each in axes]))
    if share > 0.01:
        raise InputError(
            f"{100 * share:.0f} % of the beads with sites are within {math.degrees(_STRAIGHT):.0f} degrees of a "
            "straight line with the beads that their sites are placed by, so that a little motion turns the sites; "
            "place sites along the bonds only ((x, 0, 0) at the ends of chains, (0, 0, 0) elsewhere), or use beads of "
            "fewer atoms"
        )


def _n_intervals(start: float, spacing: float, cutoff: float) -> int:
    """Intervals from start to cutoff.

    Raises:
        InputError: If they are not a whole number above two.
    """
    exact = (cutoff - start) / spacing
    n = round(exact)
    if n < 3 or abs(exact - n) > 1e-6 * n or start <= 0:
        raise InputError(
            f"start {start:g} nm must be positive and a whole number of spacings, at least three, of {spacing:g} nm "
            f"below the cutoff {cutoff:g} nm"
        )
    return n


def _check_wall(coefficients: NDArray[np.float64], spacing: float) -> None:
    """Raise unless a spline repels at its start, and more so the nearer.

    Raises:
        InputError: Giving slope and curvature.
    """
    slope = (coefficients[2] - coefficients[0]) / (2 * spacing)
    curvature = (coefficients[0] - 2 * coefficients[1] + coefficients[2]) / spacing**2
    tolerance = 1e-6 * float(np.abs(coefficients[:3]).max(initial=0.0))
    if slope * spacing > tolerance or curvature * spacing**2 < -tolerance:
        raise InputError(
            f"a spline begins with the slope {slope:g} kJ/mol/nm and the curvature {curvature:g} kJ/mol/nm^2; beads "
            "are kept apart only by a slope that is not positive and a curvature that is not negative"
        )


def _blank_terms(
    data: PairData, config: PairSplineConfig, cutoffs: Mapping[tuple[str, ...], float]
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Where the spline of each pair of bead types begins, without coefficients.

    Raises:
        InputError: If two types never come within their cutoff.
    """
    found = find_contacts(data, cutoff=max(cutoffs.values()), contacts_per_bead=config.contacts_per_bead)
    contacts = supported_contacts(found, data.types, remedy="watch the pairs {} in a simulation")
    unseen = [types for types in data.types if contacts.get(types, math.inf) >= cutoffs[types]]
    if unseen:
        named = ", ".join(f"{'-'.join(types)} within {cutoffs[types]:g} nm" for types in unseen)
        raise InputError(
            f"hardly any pair of types comes near in the data: {named}, so they have no spline; use more frames or a "
            "longer cutoff"
        )
    blank = {}
    for types, cutoff in cutoffs.items():
        n = max(3, int(np.floor((cutoff - contacts[types]) / config.spacing)))
        start = cutoff - n * config.spacing
        blank[types] = {
            "start": start, "coefficients": (0.0,) * n, "spacing": config.spacing, "cutoff": cutoff,
        }  # fmt: skip
    return blank


def _describe(match: Match) -> dict[str, Any]:
    """What a fit says about itself in files."""
    result: dict[str, Any] = {
        "n_frames": match.n_frames,
        "inter_force_rmse": {"value": match.force_rmse, "unit": "kJ/mol/nm"},
        "inter_force_r2": match.r2,
    }
    if match.pressure is not None:
        result["pressure"] = {"value": match.pressure, "without_constraint": match.free_pressure, "unit": "bar"}
    return result
